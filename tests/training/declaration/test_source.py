"""Paths of a declaration: variables are filled in for whoever wrote it, never for what a run folder says."""

import pandas as pd
import pytest
import yaml

from tests.support.command import polymodal


@pytest.fixture
def declared(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    frame = pd.DataFrame({"rooms": [number % 7 for number in range(40)], "kind": ["a", "b"] * 20})
    frame.to_csv(tmp_path / "data/t.csv", index=False)
    monkeypatch.setenv("TABLES", str(tmp_path / "data"))
    values = {"data": {"train": "$TABLES/t.csv", "validation": "${TABLES}/t.csv", "test": 0},
              "targets": {"kind": {"task": "classification"}}}  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def test_variables_of_a_declaration_are_filled_in(declared, monkeypatch):
    assert polymodal("check", declared / "run.yaml").status == 0
    monkeypatch.delenv("TABLES")
    (said,) = polymodal("check", declared / "run.yaml").errors
    assert said.endswith("data: '$TABLES/t.csv' names an environment variable that is not set")


def test_those_of_a_run_folder_are_not(declared):
    (declared / "config.json").write_text("{}")
    (said,) = polymodal("check", declared / "run.yaml").errors
    assert "$TABLES/t.csv: there is no such file" in said
