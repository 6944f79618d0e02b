"""Every recipe is a declaration that can be read, made for the very table it names."""

import hashlib
import re
from importlib import import_module
from pathlib import Path

import pytest

from polymodal.config.parsing import load_yaml

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_reads_and_states_seed_tolerance_and_time(path):
    declaration = load_yaml(path)
    assert declaration.inputs and (declaration.targets or declaration.objectives or declaration.generation)
    head = path.read_text(encoding="utf-8").split("data:")[0]
    assert all(word in head for word in ("seed:", "tolerance:", "time:"))


@pytest.fixture
def made_folder(tmp_path, monkeypatch):
    """The table that ``benchmarks/motion.py`` makes, without its clips."""
    monkeypatch.syspath_prepend(str(RECIPES[0].parent.parent / "benchmarks"))
    import_module("motion").make_table().to_csv(tmp_path / "motion.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_table_is_the_one_it_was_made_for(path, request):
    stated = re.search(r"table sha256: ([0-9a-f]{64})", path.read_text(encoding="utf-8"))
    declared = load_yaml(path).data.train
    variable, _, name = declared.partition("/")
    folders = {"${POLYMODAL_DATA}": "data_folder", "${MOTION}": "made_folder"}
    made_from = re.search(r" from (\S+\.csv)", path.read_text(encoding="utf-8"))
    folder, name = ("data_folder", made_from[1]) if made_from else (folders[variable], name)
    table = request.getfixturevalue(folder) / name
    assert stated and hashlib.sha256(table.read_bytes()).hexdigest() == stated[1]
