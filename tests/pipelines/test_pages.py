"""A report or card that fails costs neither the results nor the run."""

import json
from unittest import mock

import pytest

import polymodal as pm
from polymodal.pipelines.prediction_fit import PredictionFit
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms,note", "-o", "run"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder)
    return folder


def results(folder):
    return json.loads((folder / "run/metrics.json").read_text())


def test_a_report_that_fails_leaves_one_line_and_is_written_on_resume(houses):
    fit = [*FIT, *settings("note", report__write=True, report__noise_rows=0)]
    with mock.patch("polymodal.report.gather.try_inputs", side_effect=ZeroDivisionError("by /nothing")):
        result = polymodal(*fit, folder=houses)
    assert result.status == 0
    lines = [line for line in result.err.splitlines() if line.startswith("warning: report.html")]
    assert len(lines) == 1 and "ZeroDivisionError: by /nothing" in lines[0] and "Traceback" not in result.err
    found = results(houses)
    assert lines[0].removeprefix("warning: ") in found["warnings"] and found["test"]["kind"]
    assert (houses / "run/predictions.parquet").exists() and (houses / "run/README.md").exists()
    assert not (houses / "run/report.html").exists() and not (houses / "run/checkpoints").exists()
    assert len(pm.load(houses / "run").predict([{"bedrooms": 3}])) == 1

    assert polymodal(*fit, "--resume", folder=houses).status == 0
    again = results(houses)
    assert (houses / "run/report.html").exists() and again["pages"] == "written"
    assert not [line for line in again["warnings"] if "report.html" in line]
    assert again["test"] == found["test"] and again["history"] == found["history"]


def test_a_fit_that_is_killed_before_its_report_goes_on(houses):
    fit = [*FIT, *settings("note"), "--overwrite"]
    with mock.patch.object(PredictionFit, "write_pages", side_effect=KeyboardInterrupt):
        assert polymodal(*fit, folder=houses).status == 130
    assert results(houses)["test"]["kind"] and not (houses / "run/README.md").exists()
    assert polymodal(*fit[:-1], "--resume", folder=houses).status == 0
    assert results(houses)["pages"] == "written" and (houses / "run/README.md").exists()


@pytest.mark.parametrize("rows", [1, 257])  # a last batch of one row
def test_a_single_row_is_reported(tmp_path, rows):
    numbers = [{"x": float(n), "split": "train", "y": "ab"[n % 2]} for n in range(12)]
    numbers += [{"x": 1.0, "split": "val", "y": "a"}] + [{"x": 2.0, "split": "test", "y": "b"}] * rows
    given = ["train.epochs=1", "fusion.width=8", "report.noise_rows=2"]
    pm.fit(numbers, target="y", inputs=["x"], output=tmp_path / "run", settings=given)
    assert results(tmp_path)["pages"] == "written" and (tmp_path / "run/report.html").exists()
