"""The list of runs: finished, unfinished and damaged ones, of every kind."""

import json

import pytest

import polymodal as pm
from tests.support.command import polymodal

DECLARED = (
    "data: {train: tables/houses.csv}\ntargets: {price: {task: regression}, kind: {task: classification}}\n"
)
RESULTS = {
    "test": {"price": {"mae": 312.5, "r2": 0.9}, "kind": {"accuracy": 0.75}},
    "rows": {"train": 1200, "validation": 100, "test": 100},
}


def write_run(folder, declared=DECLARED, results=RESULTS):
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(declared)
    if results is None:
        (folder / "checkpoints").mkdir()
    else:
        (folder / "metrics.json").write_text(results if isinstance(results, str) else json.dumps(results))


def test_runs_are_listed_with_their_leading_metrics(tmp_path):
    write_run(tmp_path / "runs" / "b" / "deep")
    write_run(tmp_path / "runs" / "a", results=None)
    write_run(tmp_path / "runs" / "b" / "deep" / "candidates" / "fused")  # a part of a run
    (tmp_path / "runs" / "photos").mkdir()
    unfinished, finished = pm.list_runs(tmp_path / "runs")
    assert unfinished.state == "not finished" and not unfinished.scores and unfinished.written is None
    assert finished.run.endswith("deep") and finished.state == "finished" and finished.rows == 1200
    assert finished.scores == {"price": ("mae", 312.5), "kind": ("accuracy", 0.75)}
    result = polymodal("runs", folder=tmp_path)
    assert result.status == 0 and "houses.csv" in result.out and "1,200" in result.out
    assert "mae 312.5" in result.out and "accuracy 75.0 %" in result.out and "not finished" in result.out
    assert len(polymodal("runs", "--json", folder=tmp_path).json["runs"]) == 2


@pytest.mark.parametrize(
    "files", [{"results": "{"}, {"results": "[]"}, {"declared": "- a"}, {"declared": "a: ["}]
)
def test_a_damaged_run_is_listed_with_the_reason(tmp_path, files):
    write_run(tmp_path / "run", **files)
    (entry,) = pm.list_runs(tmp_path)
    assert entry.state.startswith("cannot be read") and not entry.scores


def test_a_pretraining_and_rows_from_memory(tmp_path):
    write_run(tmp_path / "run", "data: {train: null}\ntargets: {}\n", {**RESULTS, "test": {}})
    (entry,) = pm.list_runs(tmp_path)
    assert entry.state == "finished" and entry.data is None and entry.targets == []
    assert "in memory" in polymodal("runs", ".", folder=tmp_path).out


def test_no_folder_and_no_runs(tmp_path):
    assert "no such folder" in polymodal("runs", "nothing", folder=tmp_path).err
    assert "no runs" in polymodal("runs", ".", folder=tmp_path).out
