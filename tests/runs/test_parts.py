"""Several processes: the parts are those of one process, and a later call writes only what is missing."""

import json
import os

import pandas as pd
import pytest
from typer.testing import CliRunner

import polymodal as pm
from polymodal.cli import app
from polymodal.runs import parts

WORDS = ["large", "small", "old", "new", "warm", "cold", "quiet"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with a text, a number and a class, in a folder of its own."""
    path = tmp_path_factory.mktemp("parts") / "rooms.csv"
    rows = [
        {"note": f"{WORDS[row % 7]} {WORDS[row % 5]}", "size": 2.5 * row, "kind": "ab"[row % 7 > 3]}
        for row in range(60)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(table):
    settings = ["report.write=false", "train.candidates=[plain]"]
    return pm.fit(table, target="kind", settings=settings, output=table.parent / "run", quiet=True)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 16)


def write(run, table, folder, **options):
    return parts.write_parts(run, table, folder, "predict", workers=2, batch_size=8, **options)


def test_parts_hold_what_one_process_predicts(run, table, tmp_path):
    written = write(run, table, tmp_path / "answers", probabilities=True, keep=["size"])
    assert (written.rows, written.parts, written.skipped) == (60, 4, 0)
    expected = run.predict(table, probabilities=True, keep=["size"], batch_size=8)
    held = pd.concat(map(pd.read_parquet, sorted((tmp_path / "answers").glob("part-*.parquet"))))
    assert list(held.columns) == list(expected.columns)
    assert held["size"].astype(float).tolist() == [2.5 * row for row in range(60)]
    pd.testing.assert_frame_equal(
        held.reset_index(drop=True), expected.reset_index(drop=True), check_dtype=False
    )


def test_complete_parts_are_skipped_and_changed_rows_written_again(run, table, tmp_path):
    folder = tmp_path / "answers"
    changed = tmp_path / "rooms.csv"
    frame = pd.read_csv(table)
    frame.to_csv(changed, index=False)
    write(run, changed, folder)
    (folder / "part-00001.parquet").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    assert write(run, changed, folder).skipped == 3
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}.items()

    frame.loc[40, "note"] = "another note"
    frame.iloc[:50].to_csv(changed, index=False)
    assert write(run, changed, folder).skipped == 2  # the last part has fewer rows, the third another note
    assert len(pd.read_parquet(folder / "part-00003.parquet")) == 2
    frame.iloc[:30].to_csv(changed, index=False)
    assert write(run, changed, folder).parts == 2
    assert sorted(path.name for path in folder.iterdir()) == [
        "part-00000.parquet", "part-00001.parquet", "parts.json",
    ]  # fmt: skip


def test_other_options_another_model_and_other_files_are_refused(run, table, tmp_path):
    folder = tmp_path / "answers"
    write(run, table, folder)
    with pytest.raises(
        pm.RunError, match=r"its parts have another probabilities\. Name a new folder with -o"
    ):
        write(run, table, folder, probabilities=True)
    content = json.loads((folder / "parts.json").read_text())
    content["request"]["model"] = "0"
    (folder / "parts.json").write_text(json.dumps(content))
    with pytest.raises(pm.RunError, match="its parts have another model"):
        write(run, table, folder)
    (folder / "parts.json").write_text('{"request": {}, "parts": {"../part-0.parquet": ""}}')
    with pytest.raises(pm.RunError, match=r"parts\.json: cannot be read"):
        write(run, table, folder)
    with pytest.raises(pm.RunError, match="has other files"):
        write(run, table, table.parent)


def end_process(*given):
    os._exit(1)


def test_a_process_that_ends_is_one_line_and_the_parts_stay(run, table, tmp_path, monkeypatch):
    folder = tmp_path / "answers"
    write(run, table, folder)
    (folder / "part-00002.parquet").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(parts, "_write", end_process)
        with pytest.raises(pm.RunError, match="a process ended, perhaps for lack of memory"):
            write(run, table, folder)
    assert write(run, table, folder).skipped == 3


def test_the_command(run, table, tmp_path):
    folder = str(tmp_path / "answers")
    called = ["predict", str(run.folder), str(table), "--workers", "2"]
    result = CliRunner().invoke(app, [*called, "-o", folder])
    assert result.exit_code == 0 and "60 rows answered in " in result.stdout
    again = CliRunner().invoke(app, [*called, "-o", folder])
    assert "complete parts that are skipped: 1 of 1" in again.stdout
    refused = CliRunner().invoke(app, [*called, "-o", "answers.csv"])
    assert refused.exit_code == 2 and "expected a folder's name" in refused.stderr
