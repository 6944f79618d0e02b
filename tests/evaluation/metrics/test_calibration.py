"""Temperatures: the one that is planted is found; what is overconfident by construction becomes right."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss
from torch.nn import functional as F

import polymodal as pm
from polymodal.evaluation.metrics.calibration import fit_temperature, reliability
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.models.heads import Classifier, MultilabelClassifier
from polymodal.tasks.temperature import before_and_after
from tests.support.command import polymodal, settings


def sure(rows: int, classes: int = 4, times: float = 3.0, seed: int = 0):
    """Logits that are ``times`` too large, and answers drawn from the probabilities they should give."""
    generator = torch.Generator().manual_seed(seed)
    logits = 1.5 * torch.randn(rows, classes, generator=generator)
    target = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)
    return times * logits, target


@pytest.mark.parametrize("times", [0.4, 1.0, 3.0, 8.0])
def test_what_is_too_sure_or_too_shy_is_calibrated_on_new_rows(times):
    logits, target = sure(20_000, times=times)
    found = fit_temperature(logits[:10_000], target[:10_000])
    assert found == pytest.approx(times, rel=0.04)
    ece = [reliability((logits[10_000:] / by).softmax(dim=1), target[10_000:])["ece"] for by in (1.0, found)]
    assert ece[1] < 0.02 and (times == 1.0 or ece[0] > 0.1)


def test_labels_have_one_too():
    generator = torch.Generator().manual_seed(1)
    logits = 1.5 * torch.randn(8000, 3, generator=generator)
    target = (torch.rand(8000, 3, generator=generator) < logits.sigmoid()).float()
    target[:100] = torch.nan
    found = fit_temperature(5 * logits[:4000], target[:4000])
    assert found == pytest.approx(5, rel=0.06)
    assert reliability((5 * logits[4000:] / found).sigmoid(), target[4000:])["ece"] < 0.02


def test_it_is_the_likeliest_of_all_but_for_the_prior():
    logits, target = sure(5000)
    best = minimize_scalar(lambda t: float(F.cross_entropy(logits / t, target)), bounds=(1, 9)).x
    assert fit_temperature(logits, target) == pytest.approx(best, rel=2e-3)


@pytest.mark.parametrize("rows", [1, 5, 30])
def test_few_rows_that_are_all_right_make_no_answer_certain(rows):
    logits = torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows))
    target = logits.argmax(dim=1)
    found = fit_temperature(logits, target)
    assert 0.03 < found <= 1.0
    assert F.cross_entropy(logits / found, target) <= F.cross_entropy(logits, target)


def test_rows_without_an_answer_do_not_count():
    logits, target = sure(300)
    unknown = torch.cat([target, torch.full((50,), -100)])
    more = torch.cat([logits, torch.randn(50, 4)])
    assert fit_temperature(more, unknown) == fit_temperature(logits, target)
    assert fit_temperature(more[-50:], unknown[-50:]) == 1.0
    assert reliability(more.softmax(dim=1), unknown) == reliability(logits.softmax(dim=1), target)
    assert reliability(more[-50:].softmax(dim=1), unknown[-50:]) is None


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"expected \(rows, classes\)"):
        fit_temperature(torch.zeros(4, 3), torch.zeros(5))


def test_the_diagram_agrees_with_the_metrics_and_scikit_learn():
    logits, target = sure(700, classes=2)
    probabilities = logits.softmax(dim=1)
    found, metrics = reliability(probabilities, target), evaluate("classification", probabilities, target)
    for key, metric in (("ece", "ece"), ("nll", "log_loss"), ("brier", "brier")):
        assert found[key] == pytest.approx(metrics[metric], rel=1e-5)
    own = probabilities[:, 1].double().numpy()
    assert found["brier"] == pytest.approx(2 * brier_score_loss(target, own), rel=1e-6)  # over both classes
    assert found["nll"] == pytest.approx(log_loss(target, own), rel=1e-5)
    assert sum(entry["count"] for entry in found["bins"]) == found["rows"] == 700
    for entry in found["bins"]:
        assert entry["low"] <= entry["confidence"] <= entry["high"]


@pytest.mark.parametrize("kind", [Classifier, MultilabelClassifier])
def test_before_and_after_leave_the_decoder_as_it_was(kind):
    head = kind(["a", "b", "c"])
    head.temperature.fill_(2.5)
    logits, target = sure(200, classes=3)
    known = target if kind is Classifier else F.one_hot(target, 3).float()
    decoder = head.saved_decoder()
    found = before_and_after(decoder, logits, known)
    assert decoder.temperature == 2.5 == found["temperature"]
    assert found["before"]["nll"] != found["after"]["nll"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that is sure of a rule which three of ten rows break, save those it learned from."""
    place = tmp_path_factory.mktemp("sure")
    random = np.random.default_rng(0)
    names = np.array(["train"] * 300 + ["val"] * 1500 + ["test"] * 3000)
    x = np.sign(random.normal(size=len(names))) * random.uniform(1, 2, len(names))
    label = (x > 0) ^ ((random.random(len(names)) < 0.3) & (names != "train"))
    frame = pd.DataFrame({"x": x, "label": np.where(label, "yes", "no"), "split": names})
    frame.to_csv(place / "t.csv", index=False)
    learned = settings(train__epochs=8, train__learning_rate=0.03, report__write="true", report__noise_rows=0)
    fit = ["fit", "t.csv", "-t", "label", "-i", "x", *learned]
    for name, more in (("run", []), ("plain", ["--set", "targets.label.temperature=false"])):
        result = polymodal(*fit, *more, "-o", name, folder=place)
        assert result.status == 0, result.err
    return place


@pytest.mark.slow
def test_a_fit_keeps_the_temperature_and_predicts_with_it(folder):
    written = [json.loads((folder / name / "metrics.json").read_text()) for name in ("run", "plain")]
    chosen = written[0]["calibration"]["label"]
    head = pm.load(folder / "run").model.head("label")
    assert chosen["temperature"] == float(head.temperature) > 2 and chosen["rows"] == 1500
    assert chosen["after"]["nll"] < chosen["before"]["nll"]
    assert written[1]["calibration"] == {}
    with_it, without = (entry["test"]["label"] for entry in written)
    assert with_it["accuracy"] == without["accuracy"]
    assert without["ece"] > 0.2 and with_it["ece"] < 0.02 and with_it["brier"] < without["brier"]
    calibration = json.loads((folder / "run/report.json").read_text())["targets"]["label"]["calibration"]
    assert calibration["after"]["ece"] == pytest.approx(with_it["ece"], abs=1e-4)
    assert calibration["before"]["ece"] == pytest.approx(without["ece"], abs=1e-4)
    page = (folder / "run/report.html").read_text()
    assert f"with temperature {chosen['temperature']:.2f}" in page
    assert "No temperature is applied" in (folder / "plain/report.html").read_text()
