"""Ordered classes: a cumulative link model, metrics of ranks, and the order from declaration or numbers."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

import polymodal as pm
from polymodal.errors import ConfigError
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.models.heads import OrdinalClassifier, build_head
from polymodal.models.outputs import FusedState
from tests.support.command import error, polymodal
from tests.support.tables import tiny


def bound(classes=4, width=6):
    torch.manual_seed(0)
    return OrdinalClassifier(classes).bind(width).eval()


def test_probabilities_are_those_of_the_cumulative_link():
    head = bound()
    head.gaps.data = torch.tensor([0.3, -2.0])
    state = FusedState(torch.randn(20, 6))
    logits = head(state)
    height = head.out(state.pooled)
    below = torch.cat([torch.sigmoid(head.cuts - height), torch.ones(20, 1)], dim=1)
    expected = below.diff(dim=1, prepend=torch.zeros(20, 1))
    torch.testing.assert_close(head.answer(logits), expected)
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(20))


def test_classes_are_equally_likely_at_the_start_and_far_rows_stay_finite():
    head = bound(5)
    torch.testing.assert_close(head(FusedState(torch.zeros(1, 6))).exp(), torch.full((1, 5), 0.2))
    head.out.weight.data.fill_(1e3)
    logits = head(FusedState(torch.ones(2, 6) * torch.tensor([[1.0], [-1.0]])))
    assert logits.isfinite().all() and logits.argmax(dim=1).tolist() == [4, 0]


def test_the_median_class_is_predicted():
    answer = torch.tensor([[0.4, 0.15, 0.45], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7]])
    assert OrdinalClassifier(3).decide(answer)["predicted"].tolist() == [1, 0, 2]


def test_a_head_is_built_again_from_its_settings_and_needs_two_classes():
    head = OrdinalClassifier(["low", "high"], weight=2.0)
    assert build_head({"task": "ordinal", **head.settings()}).settings() == head.settings()
    with pytest.raises(ValueError, match="two or more"):
        OrdinalClassifier(1)


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_ranks(weighted):
    torch.manual_seed(0)
    answer, target = torch.rand(80, 5), torch.randint(0, 5, (80,))
    answer[torch.arange(80), target] += 0.5
    answer /= answer.sum(dim=1, keepdim=True)
    weight = torch.randint(0, 3, (80,)) if weighted else None
    decided = OrdinalClassifier(5).decide(answer)
    found = evaluate("ordinal", answer, target, weight, **decided)
    assert list(found) == ["rank_mae", "quadratic_kappa", "accuracy"]
    t, p = target.numpy(), decided["predicted"].numpy()
    kappa = cohen_kappa_score(t, p, weights="quadratic", sample_weight=weight)
    assert found["quadratic_kappa"] == pytest.approx(kappa)
    assert found["rank_mae"] == pytest.approx(np.average(np.abs(t - p), weights=weight))
    same = evaluate("ordinal", answer, torch.full((80,), 2), predicted=torch.full((80,), 2))
    assert same == {"rank_mae": 0.0, "accuracy": 1.0}


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    size = random.normal(size=120)
    level = size + 0.3 * random.normal(size=120)
    grade = np.where(level > 0.6, "high", np.where(level > -0.6, "mid", "low"))
    stars = np.digitize(level, [-0.6, 0.6]) + 1
    frame = pd.DataFrame({"size": size.round(3), "grade": grade, "stars": stars})
    frame.to_csv(tmp_path / "grades.csv", index=False)
    return tmp_path


def test_ordered_classes_by_the_command_line(folder):
    task = "targets.grade={task: ordinal, classes: [low, mid, high]}"
    sets = [
        *tiny(train__epochs=20, train__learning_rate=0.02),
        task,
        "report.write=true",
        "report.noise_rows=10",
        "data.seed=0",
    ]
    options = [word for setting in sets for word in ("--set", setting)]
    result = polymodal("fit", "grades.csv", "-t", "grade", "-i", "size", "-o", "run", *options, folder=folder)
    assert result.status == 0, result.err
    run = pm.load(folder / "run")
    assert run.model.head("grade").classes == ["low", "mid", "high"]
    measured = run.evaluate(folder / "grades.csv")["grade"]
    assert measured["quadratic_kappa"] > 0.5 and measured["rank_mae"] < 0.5
    figures = json.loads((folder / "run/report.json").read_text())["targets"]["grade"]
    assert figures["worth"]["score"] == "quadratic_kappa" and figures["calibration"]["after"]
    assert figures["failures"]["confusion"]["classes"] == ["low", "mid", "high"]
    explained = polymodal("explain", "run", "grades.csv", "--rows", "1", "--json", folder=folder)
    assert explained.status == 0, explained.err
    assert polymodal("predict", "run", "grades.csv", "-o", "o.parquet", folder=folder).status == 0
    assert set(pd.read_parquet(folder / "o.parquet")["grade"]) <= {"low", "mid", "high"}
    again = [*options, "--set", "train.seed=1"]
    done = polymodal("fit", "grades.csv", "-t", "grade", "-i", "size", "-o", "two", *again, folder=folder)
    assert done.status == 0, done.err
    compared = json.loads(polymodal("compare", "run", "two", "--json", folder=folder).out)
    assert compared["targets"]["grade"]["task"] == "ordinal"
    assert compared["targets"]["grade"]["score"] == "quadratic_kappa"


def test_numbers_are_in_order_and_keep_their_type(folder):
    settings = [*tiny(), "targets.stars.task=ordinal"]
    run = pm.fit(
        folder / "grades.csv", target="stars", inputs=["size"], output=folder / "r", settings=settings
    )
    assert run.model.head("stars").classes == ["1", "2", "3"]
    assert run.predict(folder / "grades.csv")["stars"].dtype == "int64"


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("{task: ordinal}",
         "Name them from the lowest to the highest: targets.grade.classes: [high, low, mid]"),
        ("{task: ordinal, classes: [low, high]}", "lacks the class 'mid' of the column (low, high)"),
        ("{task: ordinal, classes: [low, low]}", "expected two classes or more, each once"),
        ("{task: classification, classes: [low, mid, high]}", "'classes' is no setting of a classification"),
        ("{task: ordinal, classes: [low, mid, high], thresholds: 0.5}",
         "'thresholds' is no setting of a ordinal"),
    ],
)  # fmt: skip
def test_an_order_that_is_missing_or_wrong_is_refused(folder, setting, line):
    assert line in error(folder, "check", "grades.csv", "-t", "grade", "--set", f"targets.grade={setting}")


def test_an_order_is_no_setting_of_a_head_without_one(folder):
    with pytest.raises(ConfigError, match="'classes' is no setting of a regression"):
        settings = ["targets.stars={task: regression, classes: ['1', '2']}"]
        pm.check(folder / "grades.csv", target="stars", settings=settings)
