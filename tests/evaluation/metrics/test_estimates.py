"""Metrics with intervals: equal to scikit-learn's, in any number of classes, and as wide as chance is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from polymodal.evaluation.metrics.estimates import class_estimates, number_estimates
from polymodal.evaluation.statistics.bootstrap import Bootstrap


def answered(rows: int = 300, classes: int = 5, right: float = 0.6, seed: int = 0):
    """Classes of which a share is right; the last one never occurs, yet is said."""
    random = np.random.default_rng(seed)
    true = random.integers(0, classes - 1, rows)
    return np.where(random.random(rows) < right, true, random.integers(0, classes, rows)), true


@pytest.mark.parametrize("classes", [3, 80])
def test_classes_are_measured_as_scikit_learn_does(classes):
    said, true = answered(classes=classes)
    found = class_estimates(said, true, classes, Bootstrap(np.arange(300)))
    assert found["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(true, said))
    recalls = metrics.recall_score(true, said, labels=np.unique(true), average="macro")
    assert found["balanced_accuracy"]["value"] == pytest.approx(recalls)
    assert found["macro_f1"]["value"] == pytest.approx(metrics.f1_score(true, said, average="macro"))
    for entry in found.values():
        assert entry["low"] < entry["value"] < entry["high"] or classes == 80


def test_intervals_are_those_of_resampled_rows():
    said, true = answered()
    bootstrap = Bootstrap(np.arange(300))
    found = class_estimates(said, true, 5, bootstrap)
    drawn = [np.repeat(np.arange(300), weights.astype(int)) for weights in bootstrap.weights]
    for name, metric in {
        "accuracy": metrics.accuracy_score,
        "macro_f1": lambda t, s: metrics.f1_score(t, s, average="macro"),
    }.items():
        by_hand = np.percentile([metric(true[rows], said[rows]) for rows in drawn], [2.5, 97.5])
        assert [found[name]["low"], found[name]["high"]] == pytest.approx(by_hand)


def test_numbers_are_measured_as_scikit_learn_does():
    random = np.random.default_rng(0)
    true = random.normal(100, 20, 200)
    said = true + random.normal(0, 5, 200)
    found = number_estimates(said, true, Bootstrap(np.arange(200)))
    assert found["r2"]["value"] == pytest.approx(metrics.r2_score(true, said))
    assert found["rmse"]["value"] == pytest.approx(metrics.root_mean_squared_error(true, said))
    assert found["mae"]["value"] == pytest.approx(metrics.mean_absolute_error(true, said))
    assert all(entry["low"] < entry["value"] < entry["high"] for entry in found.values())


def test_rows_that_hang_together_widen_the_interval_and_a_single_group_has_none():
    true = np.repeat(np.arange(2), 150)
    said = np.where(np.arange(300) % 30 < 10, 1 - true, true)  # whole tens are wrong
    alone, together, one = (
        class_estimates(said, true, 2, Bootstrap(groups))["accuracy"]
        for groups in (np.arange(300), np.arange(300) // 10, np.zeros(300))
    )
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])
    assert one == {"value": alone["value"], "low": None, "high": None}
