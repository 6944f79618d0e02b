"""Rows that count more: a fit on integer weights is the fit on rows that stand there so often."""

import inspect

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.errors import ConfigError
from polymodal.evaluation.metrics import METRICS
from polymodal.models.heads import HEADS, Regressor
from tests.tables import tiny

ONE_STEP = {
    "fusion__dropout": 0, "train__modality_dropout": 0, "train__epochs": 1, "train__batch_size": 512,
    "train__optim": "sgd", "train__learning_rate": 0.1, "train__max_grad_norm": 0, "train__warmup": 0,
    "targets__kind__class_weights": "balanced", "targets__tags__class_weights": "balanced",
}  # fmt: skip
TARGETS = ["kind", "price", "tags"]


@pytest.fixture(scope="module")
def frame():
    """Categories and weights from 0 to 3; the same rows train, validate and test."""
    random = np.random.default_rng(0)
    district, style = random.choice(["n", "s", "w"], 40), random.choice(["old", "new"], 40)
    price = 10 * (district == "n") + 5 * (style == "old") + random.normal(size=40)
    tags = [["lift"] * int(p > 5) + ["pool"] * int(p > 9) if p > 0 else None for p in price]
    kind = np.where(random.random(40) < 0.4, "flat", "house")
    rows = pd.DataFrame({"district": district, "style": style, "price": price, "kind": kind, "tags": tags})
    rows["count"] = random.integers(0, 4, 40)
    return pd.concat([rows.assign(split=split) for split in ("train", "val", "test")], ignore_index=True)


@pytest.fixture(scope="module")
def runs(frame, tmp_path_factory):
    """One step on the weighted rows, and one on the rows repeated."""
    folder = tmp_path_factory.mktemp("weights")
    repeated = frame.loc[frame.index.repeat(frame["count"])]
    given = {"target": TARGETS, "inputs": ["district", "style"], "settings": tiny(**ONE_STEP)}
    weighted = pm.fit(frame, sample_weight="count", output=folder / "weighted", **given)
    return weighted, pm.fit(repeated, output=folder / "repeated", **given)


def test_one_step_on_integer_weights_is_one_on_repeated_rows(runs):
    weighted, repeated = (run.model.state_dict() for run in runs)
    for name, value in weighted.items():
        if name.endswith("temperature"):  # it asks how many rows there are, not what they count
            continue
        np.testing.assert_allclose(value, repeated[name], atol=1e-5, err_msg=name)
    once, often = (run.model.head("price") for run in runs)
    assert (once.mean, once.deviation) == (pytest.approx(often.mean), pytest.approx(often.deviation))


class Deaf(Regressor):
    """A head of another package that knows nothing of weights."""

    task = "deaf"

    def loss(self, logits, target):
        return super().loss(logits, target)


def test_a_head_or_metrics_that_take_no_weights_are_refused_by_name(frame, monkeypatch):
    monkeypatch.setitem(HEADS._entries, "deaf", Deaf)
    settings = ["targets.price={task: deaf}"]
    assert pm.check(frame, target="price", inputs=["style"], settings=settings).ok
    with pytest.raises(
        ConfigError, match="the head 'deaf' of 'price' cannot weigh rows: no argument 'weight'"
    ):
        pm.check(frame, target="price", inputs=["style"], settings=settings, sample_weight="count")
    monkeypatch.setitem(METRICS._entries, "regression", lambda prediction, target: {})
    with pytest.raises(ConfigError, match=r"the metrics of 'price' \(regression\) cannot weigh rows"):
        pm.check(frame, target="price", inputs=["style"], sample_weight="count")


def test_a_head_that_takes_no_weights_is_still_fitted_without_any(frame, tmp_path, monkeypatch):
    monkeypatch.setitem(HEADS._entries, "deaf", Deaf)
    assert "weight" not in inspect.signature(Deaf.loss).parameters
    settings = [*tiny(), "targets.price={task: deaf}"]
    pm.fit(frame, target="price", inputs=["style"], output=tmp_path / "run", settings=settings)
