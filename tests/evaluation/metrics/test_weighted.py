"""Metrics, thresholds, temperatures and intervals of rows that do not all count the same."""

import numpy as np
import pytest
import torch

from polymodal.evaluation.metrics.calibration import fit_temperature, reliability
from polymodal.evaluation.metrics.metrics import evaluate, weighs_metrics
from polymodal.evaluation.metrics.thresholds import class_thresholds, label_thresholds
from polymodal.evaluation.metrics.weighted import effective_rows
from polymodal.evaluation.statistics.conformal import conformal_quantile

ROWS = 60


def answered(task):
    """Answers, what they should have been (some unknown), and what is decided."""
    torch.manual_seed(0)
    logits = torch.randn(ROWS, 4)
    unknown = torch.arange(ROWS) % 11 == 5
    if task == "classification":
        target = torch.where(unknown, -100, (logits + torch.randn(ROWS, 4)).argmax(dim=1))
        return logits.softmax(dim=1), target, {}
    if task == "multilabel":
        target = (logits + torch.randn(ROWS, 4) > 0).float()
        target[unknown] = torch.nan
        return logits.sigmoid(), target, {"predicted": logits > -0.3}
    target = (3 * logits[:, 0]).round() + torch.randn(ROWS)
    target[unknown] = torch.nan
    answer = (3 * logits[:, 0]).round()  # with ties
    return answer, target, {"low": answer - 1, "high": answer + 1}


def repeated(weight, *values):
    places = torch.arange(len(weight)).repeat_interleave(weight.long())
    return [value[places] for value in values]


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_every_metric_of_weighted_rows_is_that_of_repeated_rows(task):
    answer, target, decided = answered(task)
    weight = torch.randint(0, 4, (ROWS,))
    whole = repeated(weight, answer, target, *decided.values())
    expected = evaluate(task, *whole[:2], **dict(zip(decided, whole[2:], strict=True)))
    assert weighs_metrics(task) and len(expected) >= 6
    for factor in (1, 1e-15, 1e15):
        measured = evaluate(task, answer, target, weight.double() * factor, **decided)
        assert measured == pytest.approx(expected, abs=1e-6)
    alike = evaluate(task, answer, target, torch.full((ROWS,), 0.1), **decided)
    assert alike == pytest.approx(evaluate(task, answer, target, **decided), abs=1e-6)
    assert evaluate(task, answer, target, torch.zeros(ROWS), **decided) == {}


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_reliability_and_thresholds_of_weighted_rows_are_those_of_repeated_rows(task):
    answer, target, _ = answered(task)
    weight = torch.randint(1, 4, (ROWS,))
    twice = repeated(weight, answer, target)
    found, expected = reliability(answer, target, weight=weight), reliability(*twice)
    for name in ("nll", "ece", "brier"):
        assert found[name] == pytest.approx(expected[name])
    assert [b["accuracy"] for b in found["bins"]] == pytest.approx([b["accuracy"] for b in expected["bins"]])
    if task == "multilabel":
        assert label_thresholds(answer, target, weight) == pytest.approx(label_thresholds(*twice))
        return
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        chosen = class_thresholds(answer, target, metric, weight)
        assert chosen == pytest.approx(class_thresholds(*twice, metric))


def test_a_temperature_follows_the_rows_that_count_and_ratios_alone():
    torch.manual_seed(0)
    logits, random = 4 * torch.randn(400, 3), torch.rand(400)
    honest = torch.where(random < 0.5, logits.argmax(dim=1), torch.randint(0, 3, (400,)))
    target = torch.where(torch.arange(400) < 200, logits.argmax(dim=1), honest)
    first = (torch.arange(400) < 200).double()
    sure, unsure = fit_temperature(logits, target, first), fit_temperature(logits, target, 1 - first)
    assert sure == pytest.approx(fit_temperature(logits[:200], target[:200]), rel=1e-3)
    assert unsure == pytest.approx(fit_temperature(logits[200:], target[200:]), rel=1e-3)
    assert sure < 1 < unsure
    assert fit_temperature(logits, target, 1e-9 * torch.ones(400)) == pytest.approx(
        fit_temperature(logits, target), rel=1e-3
    )


def test_an_interval_follows_the_rows_that_count():
    residuals = torch.rand(101, dtype=torch.float64)
    for level in (0.5, 0.8, 0.9):
        plain = conformal_quantile(residuals, level)
        assert conformal_quantile(residuals, level, torch.full((101,), 0.3)) == plain
    heavy = torch.where(residuals > 0.5, 1.0, 1e-6)
    expected = conformal_quantile(residuals[residuals > 0.5], 0.8)
    assert conformal_quantile(residuals, 0.8, heavy) == pytest.approx(expected, abs=1e-3)
    few = torch.where(torch.arange(101) < 5, 1.0, 1e-6)
    assert effective_rows(few.numpy()) == pytest.approx(5, rel=1e-3)
    assert conformal_quantile(residuals, 0.9, few) is None, "five rows say too little for 90 %"
    assert effective_rows(np.zeros(3)) == 0
