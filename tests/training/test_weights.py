"""Rows that count more: a fit on integer weights is the fit on rows that stand there so often."""

import inspect
import json
import shutil

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.errors import ConfigError, DataError
from polymodal.evaluation.metrics.metrics import METRICS
from polymodal.models.heads import HEADS, Regressor
from tests.support.command import polymodal
from tests.support.tables import tiny

ONE_STEP = {
    "fusion__dropout": 0, "train__modality_dropout": 0, "train__epochs": 1, "train__batch_size": 512,
    "train__optim": "sgd", "train__learning_rate": 0.1, "train__max_grad_norm": 0, "train__warmup": 0,
    "targets__kind__class_weights": "balanced", "targets__tags__class_weights": "balanced",
    "targets__kind__temperature": False, "targets__tags__temperature": False,  # their prior counts rows
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
        np.testing.assert_allclose(value, repeated[name], atol=1e-5, err_msg=name)
    once, often = (run.model.head("price") for run in runs)
    assert (once.mean, once.deviation) == (pytest.approx(often.mean), pytest.approx(often.deviation))


def test_metrics_of_weighted_rows_are_those_of_repeated_rows(runs, frame):
    run, rows = runs[0], frame[frame["split"] == "test"].reset_index(drop=True)
    stored = run.evaluate(rows)["price"]
    # These are the validation rows too: the end of an interval is one of their errors, which rounding moves.
    rows["price"] += np.random.default_rng(1).normal(0, 0.01, len(rows))
    weighted = run.evaluate(rows)
    with pytest.warns(UserWarning, match="no column 'count', by which the fit weighed its rows"):
        repeated = run.evaluate(rows.loc[rows.index.repeat(rows["count"])].drop(columns="count"))
        even = run.evaluate(rows.drop(columns="count"))
    for target in TARGETS:
        # Rows of equal cells have equal answers up to rounding, which orders them.
        ranks = [each[target].pop("spearman", 0.0) for each in (weighted, repeated)]
        assert ranks[0] == pytest.approx(ranks[1], abs=0.01)
        assert weighted[target] == pytest.approx(repeated[target], abs=1e-6), target
        assert weighted[target] != pytest.approx(even[target], abs=1e-3)
    results = json.loads((run.folder / "metrics.json").read_text())
    assert results["sample_weight"] == "count" and results["test"]["price"] == pytest.approx(stored)
    with pytest.raises(DataError, match=r"row 2, column 'count': -1\.0, expected 0, or"):
        run.evaluate(rows.assign(count=np.where(rows.index == 1, -1.0, 1.0)))
    with pytest.raises(DataError, match="all weights in column 'count' are 0"):
        run.evaluate(rows.assign(count=0))


def test_validation_metrics_and_what_is_chosen_by_them_weigh_rows(runs):
    weighted, repeated = (json.loads((run.folder / "metrics.json").read_text()) for run in runs)
    assert weighted["validation"] == pytest.approx(repeated["validation"], abs=1e-4)
    chosen, often = (results["calibration"]["tags"]["thresholds"] for results in (weighted, repeated))
    assert chosen == pytest.approx(often, abs=1e-4)


def test_a_report_and_a_comparison_weigh_rows_and_say_so(runs, frame, tmp_path):
    run, rows = runs[0], frame[frame["split"] == "test"].reset_index(drop=True)
    page = run.report(rows, noise_rows=10, output=tmp_path / "report").read_text()
    assert "rows are weighted by the column" in page
    figures, measured = json.loads((tmp_path / "report/report.json").read_text()), run.evaluate(rows)
    assert figures["sample_weight"] == "count"
    for target, metric in (("kind", "accuracy"), ("price", "r2"), ("tags", "micro_f1")):
        found = figures["targets"][target]
        assert found["metrics"] == pytest.approx(measured[target], abs=1e-6)
        assert found["worth"]["all"]["value"] == pytest.approx(measured[target][metric], abs=1e-6)
        assert found["robustness"]["missing"]["together"][0]["value"] == found["worth"]["all"]["value"]
    assert figures["targets"]["price"]["failures"]["residuals"]["mae"] == pytest.approx(
        measured["price"]["mae"]
    )
    shutil.copytree(run.folder, tmp_path / "again")
    both = pm.compare([run.folder, tmp_path / "again"]).figures
    assert "rows count by their weights, which are the same in all runs" in both["notes"]
    scored = both["targets"]["price"]["runs"][0]["score"]["value"]
    assert scored == pytest.approx(measured["price"]["r2"], abs=1e-5)
    assert "rows are weighted by the column `count`" in (run.folder / "README.md").read_text()


def test_evaluate_states_on_the_command_line_whether_it_weighs_rows(runs, frame, tmp_path):
    rows = frame[frame["split"] == "test"].drop(columns="tags").assign(tags=None)
    rows.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    rows.drop(columns="count").to_json(tmp_path / "plain.jsonl", orient="records", lines=True)
    for name, line in (("rows", "note: rows count by 'count'"), ("plain", "warning: plain.jsonl: no column")):
        result = polymodal("evaluate", runs[0].folder, f"{name}.jsonl", "--json", folder=tmp_path)
        assert result.status == 0 and line in result.err and "UserWarning" not in result.err
        assert result.json["weighted"] is (name == "rows") and "rmse" in result.json["price"]
    frame.drop(columns="tags").to_csv(tmp_path / "all.csv", index=False)
    probe = ["--linear-probe", "kind", "--json"]
    result = polymodal("evaluate", runs[0].folder, "all.csv", *probe, folder=tmp_path)
    assert "note: every row counts the same in linear probe" in result.err
    assert result.json["weighted"] is False


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
    monkeypatch.setattr(METRICS, "_whole", {})
    with pytest.warns(DeprecationWarning, match="register them one by one"):
        METRICS.register("regression")(lambda prediction, target: {})
    with pytest.raises(ConfigError, match=r"the metrics of 'price' \(regression\) cannot weigh rows"):
        pm.check(frame, target="price", inputs=["style"], sample_weight="count")


def test_a_head_that_takes_no_weights_is_still_fitted_without_any(frame, tmp_path, monkeypatch):
    monkeypatch.setitem(HEADS._entries, "deaf", Deaf)
    assert "weight" not in inspect.signature(Deaf.loss).parameters
    settings = [*tiny(), "targets.price={task: deaf}"]
    pm.fit(frame, target="price", inputs=["style"], output=tmp_path / "run", settings=settings)
