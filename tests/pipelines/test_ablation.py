"""Subsets fitted afresh: equal settings, the same rows, the seeds asked for, beside the masked figures."""

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.pipelines.ablation import agreement, subsets
from polymodal.report.report_figures import RetrainedSubset
from tests.support.command import error, polymodal, settings

INPUTS = ["x", "y", "z"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A label that hangs on x, and a little on y."""
    return retrained(tmp_path_factory.mktemp("retrain"), INPUTS, rows=240, epochs=5)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Fewer rows and inputs, and fits too short to learn from them."""
    return retrained(tmp_path_factory.mktemp("small"), ["x", "y"], rows=60, epochs=1)


def retrained(place, inputs, rows, epochs):
    """``run`` in a folder, and the subsets of its inputs fitted afresh with two seeds."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(rows, len(inputs))), columns=inputs)
    frame["label"] = np.where(frame["x"] + 0.4 * frame["y"] > 0, "high", "low")
    frame.to_csv(place / "t.csv", index=False)
    fit = ["fit", "t.csv", "-t", "label", "-o", "run", "--set", "data.test=0.4", "--set", "train.seed=3"]
    result = polymodal(*fit, *settings(train__epochs=epochs, train__learning_rate=0.01), folder=place)
    assert result.status == 0, result.err
    asked = ["report", "run", "--retrain", "--seeds", "2", "--noise-rows", "0"]
    result = polymodal(*asked, folder=place)
    assert result.status == 0, result.err
    return place


@pytest.mark.slow
def test_every_single_input_and_every_leave_one_out_is_fitted_with_each_seed(folder):
    again = json.loads((folder / "run/report.json").read_text())["targets"]["label"]["retrained"]
    tried = [tuple(entry["inputs"]) for entry in again["subsets"]]
    assert tried == subsets(INPUTS) and len(tried) == 7 and again["seeds"] == 2
    runs = sorted(path.parent.name for path in folder.glob("run/retrained/*/run.yaml"))
    assert len(runs) == 14 and runs[0] == "0_x_y_z_seed3" and runs[-1] == "6_x_y_seed4"
    for entry in again["subsets"]:
        assert len(entry["values"]) == 2
        assert entry["mean"] == pytest.approx(np.mean(entry["values"]))
        assert entry["deviation"] == pytest.approx(np.std(entry["values"], ddof=1))
    page = (folder / "run/report.html").read_text()
    assert "Retrained ablation" in page and "Both rank the subsets in" in page
    by_inputs = {tuple(entry["inputs"]): entry["mean"] for entry in again["subsets"]}
    assert by_inputs["x",] > by_inputs["y",] + 0.1 and by_inputs["x", "y"] > by_inputs["y", "z"] + 0.1


def test_a_fit_differs_in_inputs_and_seed_alone_and_is_tested_on_the_same_rows(small):
    whole, one = (pm.load(small / name).declaration for name in ("run", "run/retrained/1_x_seed4"))
    assert list(one.inputs) == ["x"] and one.train.seed == 4 and one.data.seed == 3
    trained = json.loads((small / "run/metrics.json").read_text())["train"]
    assert one.train.threads == trained["threads"]  # on which rounding depends
    changed = {"seed": 3, "threads": None}
    assert one.train.model_copy(update=changed) == whole.train and one.fusion == whole.fusion
    assert one.inputs["x"] == whole.inputs["x"] and not one.report.write
    rows = [pd.read_parquet(small / name / "predictions.parquet")["row"].tolist()
            for name in ("run", "run/retrained/1_x_seed4")]  # fmt: skip
    assert rows[0] == rows[1]
    again = json.loads((small / "run/report.json").read_text())["targets"]["label"]["retrained"]
    metrics = json.loads((small / "run/retrained/1_x_seed4/metrics.json").read_text())
    assert again["subsets"][1]["values"][1] == pytest.approx(metrics["test"]["label"]["accuracy"])
    # All inputs with the run's own seed are the run itself.
    own = json.loads((small / "run/metrics.json").read_text())["test"]["label"]["accuracy"]
    assert again["subsets"][0]["values"][0] == own
    assert again["subsets"][0]["masked"]["value"] == pytest.approx(own, abs=1e-6)


@pytest.mark.slow
def test_what_is_finished_is_not_fitted_again(folder):
    weights = folder / "run/retrained/1_x_seed4/model.safetensors"
    before, text = weights.stat().st_mtime_ns, (folder / "run/report.json").read_text()
    asked = ["report", "run", "--retrain", "--seeds", "2", "--noise-rows", "0"]
    assert polymodal(*asked, folder=folder).status == 0
    assert weights.stat().st_mtime_ns == before and (folder / "run/report.json").read_text() == text
    asked[asked.index("2")] = "1"
    weights = folder / "run/retrained/1_x_seed3/model.safetensors"
    stale = folder / "run/retrained/1_x_seed3/run.yaml"
    stale.write_text(stale.read_text().replace("epochs: 5", "epochs: 4"))
    assert polymodal(*asked, folder=folder).status == 0
    assert weights.stat().st_mtime_ns > before and "epochs: 5" in stale.read_text()


def test_what_cannot_be_retrained_is_said(small):
    fit = ["fit", "t.csv", "-t", "label", "-i", "x", "-o", "single", *settings()]
    assert polymodal(*fit, folder=small).status == 0
    said = error(small, "report", "single", "--retrain", "--noise-rows", "0")
    assert said == "single: reads one input, so that there is nothing to retrain without"
    frame = pd.read_csv(small / "t.csv")
    pm.fit(frame, target="label", output=small / "frame", settings=["train.epochs=1", "report.write=false"])
    said = error(small, "report", "frame", "t.csv", "--retrain", "--noise-rows", "0")
    assert said == "frame: was not fitted to a file, so that nothing can be retrained"
    assert polymodal("report", "run", "--seeds", "2", folder=small).status == 2


def test_two_inputs_are_left_out_as_they_stand_alone():
    assert subsets(["a", "b"]) == [("a", "b"), ("a",), ("b",)]


def test_the_order_is_that_of_both_or_not():
    def entries(*pairs):
        named = [(["a", "b"], 1.0, 1.0), *(([name], mean, masked) for name, mean, masked in pairs)]
        return [
            RetrainedSubset(inputs=n, by_seed=[m], mean=m, deviation=None, masked=Estimate(value=v))
            for n, m, v in named
        ]

    assert agreement(entries(("a", 0.9, 0.6), ("b", 0.5, 0.4))) == {"same": True, "tau": pytest.approx(1.0)}
    assert agreement(entries(("a", 0.9, 0.3), ("b", 0.5, 0.4))) == {"same": False, "tau": pytest.approx(-1.0)}
    assert agreement(entries(("a", 0.9, None), ("b", 0.5, 0.4))) == {"same": None, "tau": None}
