"""Runs that were written before the modules were renamed (commit 9d20528) load and predict the same.

``tests/data/old_run`` and ``tests/data/old_words_run`` each hold ``run``, the folder as that commit wrote it,
a table ``rows.csv`` with its pictures and some empty cells, and ``expected.csv``, that commit's predictions.
Their files are never written again: a change that needs new ones breaks the runs of users.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import polymodal as pm
from polymodal.config.parsing import declares, load_yaml
from polymodal.training.output_folder import check_folder
from tests.support.command import polymodal

DATA = Path(__file__).parent / "data"
KEPT = ["old_run", "old_words_run"]


@pytest.fixture(params=KEPT)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of one of the kept folders."""
    return shutil.copytree(DATA / request.param, tmp_path / request.param)


def require_expected(found: pd.DataFrame, old: Path) -> None:
    """Columns, their order and labels are equal; numbers to 1e-5."""
    expected = pd.read_csv(old / "expected.csv", keep_default_na=False)
    assert len(expected) == 8
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::polymodal.InputWarning")
def test_an_old_run_loads_and_predicts_the_same(old: Path) -> None:
    run = pm.load(old / "run")
    if old.name == "old_words_run":
        require_expected(run.generate(old / "rows.csv"), old)
    else:
        require_expected(run.predict(old / "rows.csv", probabilities=True), old)


def test_the_command_line_predicts_the_same_with_an_old_run(old: Path) -> None:
    more = [] if old.name == "old_words_run" else ["--probabilities"]
    result = polymodal("predict", "run", "rows.csv", "-o", "found.csv", *more, folder=old)
    assert result.status == 0, result.err
    require_expected(pd.read_csv(old / "found.csv", keep_default_na=False), old)


@pytest.mark.parametrize("name", KEPT)
def test_the_kept_files_are_small_and_name_no_machine(name: str) -> None:
    files = [path for path in (DATA / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    for path in files:
        assert b"/tmp/" not in path.read_bytes() and b"/home/" not in path.read_bytes(), path


def test_a_later_version_knows_the_declaration_of_an_old_run_again(old: Path) -> None:
    text = (old / "run" / "run.yaml").read_text(encoding="utf-8")
    declaration = load_yaml(old / "run" / "run.yaml")
    assert declares(text, declaration)  # it may have settings that the file lacks
    assert not declares(text.replace("seed: 3", "seed: 4"), declaration)
    assert not declares("- no declaration", declaration)
    assert not declares("inputs: [", declaration)


def test_an_old_run_may_be_resumed(old: Path) -> None:
    folder = old / "run"
    declaration = load_yaml(folder / "run.yaml")
    check_folder(folder, declaration, resume=True, overwrite=False)
    with pytest.raises(pm.PolymodalError, match="declares something else"):
        check_folder(folder, load_yaml(folder / "run.yaml", ["train.seed=9"]), resume=True, overwrite=False)
