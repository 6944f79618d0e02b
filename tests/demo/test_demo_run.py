"""The demo: its table, its answers, and the line it ends with, which must work as it is."""

import json
import shlex

import pandas as pd
import pytest

from polymodal import cli
from polymodal.cli.demonstrating import show_demo
from polymodal.demo.demo_run import run_demo

FEW = ["train.epochs=1", "fusion.layers=1"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "runs" / "demo"
    return run_demo(folder, rows=150, settings=FEW, quiet=True)


def test_it_measures_every_input_alone_left_out_and_all_together(demo):
    names = ["image", "audio", "text"]
    given = [f"{name} alone" for name in names] + [f"all but {name}" for name in names] + ["all together"]
    assert list(demo.accuracy) == given
    assert all(0 <= value <= 1 for value in demo.accuracy.values())


def test_all_together_is_what_the_run_measured(demo):
    measured = json.loads((demo.folder / "metrics.json").read_text())["test"]["digit"]["accuracy"]
    assert demo.accuracy["all together"] == pytest.approx(measured)


def test_the_answers_shown_are_unseen_rows_with_their_truth(demo):
    table = pd.read_csv(demo.table, dtype=str, keep_default_na=False)
    unseen = table[table.split == "test"].head(len(demo.answers))
    assert list(demo.answers.truth.astype(str)) == list(unseen.digit)
    assert set(demo.answers.answer.astype(str)) <= set(table.digit)
    assert demo.answers.answer.dtype == demo.answers.truth.dtype == "int64"


def test_it_ends_with_a_command_that_works_and_its_report(demo, capsys, monkeypatch):
    show_demo(demo, command="polymodal")
    *_, last, named = capsys.readouterr().out.strip().splitlines()
    assert named == f"What each input is worth: {demo.folder / 'report.html'}"
    assert (demo.folder / "report.html").stat().st_size > 10_000
    settings = [part for setting in FEW for part in ("--set", setting)]
    monkeypatch.setattr("sys.argv", [*shlex.split(last), *settings])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert (demo.folder.parent / "mine" / "model.safetensors").exists()


def test_json_is_one_object(demo):
    assert json.loads(json.dumps(demo.to_json(), default=str))["rows"] == demo.rows
