"""``data.sample_weight``: which columns are weights, and what is refused as one."""

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.data.collator import Collator
from polymodal.data.readers import NumberReader
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.errors import ConfigError, DataError
from tests.support.command import error, errors, polymodal

SPLIT = ["train"] * 16 + ["val"] * 4 + ["test"] * 4


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    size, kind = random.normal(size=24), np.array(["a", "b"] * 12)
    return pd.DataFrame({"size": size, "kind": kind, "count": [1.0, 0.5, 3.0] * 8, "split": SPLIT})


def check(frame, weight="count", **more):
    return pm.check(frame, target="kind", sample_weight=weight, **more)


def test_the_column_of_weights_is_no_input_and_is_described(frame):
    report = check(frame)
    assert report.ok
    roles = {entry.column: (entry.role, entry.detail) for entry in report.columns}
    assert roles["count"] == ("weight", "0.5 to 3")
    assert [name for name, (role, _) in roles.items() if role == "input"] == ["size"]
    assert check(frame.assign(count=[0, *[2] * 23])).columns[2].detail == "2 to 2, 1 rows are 0"


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        (-1.5, "-1.5"),
        (None, "an empty cell"),
        (np.inf, "inf"),
        (1e30, "1e+30"),
        (1e-30, "1e-30"),
        ("heavy", "'heavy'"),
        ("nan", "an empty cell"),
    ],
)
@pytest.mark.parametrize("row", [3, 17, 21], ids=["train", "validation", "test"])
def test_a_cell_that_holds_no_weight_is_named(frame, cell, found, row):
    cells = frame["count"].astype(object if isinstance(cell, str) else float)
    cells[row] = cell
    (problem,) = check(frame.assign(count=cells.astype(str) if isinstance(cell, str) else cells)).problems
    line = f"DataFrame, row {row + 1}, column 'count': {found}, expected 0, or a number from 1e-18 to 1e+18"
    assert str(problem) == f"{line}. Correct the cell; 0 lets the row count nothing."


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_weights_that_are_all_zero_are_refused(frame, split):
    (problem,) = check(frame.assign(count=np.where(frame["split"] == split, 0, 1))).problems
    name = {"val": "validation"}.get(split, split)
    rows = SPLIT.count(split)
    expected = f"column 'count': the weights of all {rows} {name} rows are 0, expected rows that count"
    assert expected in str(problem)


def test_answers_that_all_count_nothing_are_refused(frame):
    known = frame["kind"].where(frame.index % 3 == 0)
    (*_, problem) = check(frame.assign(kind=known, count=(frame.index % 3 > 0) * 1)).problems
    assert str(problem).startswith("DataFrame, column 'kind': no validation row with an answer has a weight")


def test_on_the_command_line_what_is_wrong_is_one_line(frame, tmp_path):
    frame.assign(count=[-1, *[1] * 22, -2]).to_csv(tmp_path / "t.csv", index=False)
    given = ["t.csv", "-t", "kind", "--sample-weight"]
    first, last = errors(tmp_path, "fit", *given, "count")
    assert first.startswith("t.csv, row 1, column 'count': '-1', expected") and "row 24" in last
    found = polymodal("check", *given, "count", "--json", folder=tmp_path)
    assert found.status == 1 and len(found.json["problems"]) == 2
    assert error(tmp_path, "fit", *given, "cuont").startswith(
        "t.csv: no column 'cuont'. Did you mean 'count'?"
    )


def test_a_weight_that_is_a_target_or_weighs_none_is_refused(frame):
    with pytest.raises(ConfigError, match="'kind' is both a target and"):
        check(frame, "kind")
    with pytest.raises(ConfigError, match="weighs the losses of targets: there is none"):
        pm.pretrain(frame, settings=["data.sample_weight=count"])
    with pytest.raises(ConfigError, match="does not go with answers in words"):
        pm.check(frame, prompt="{size}", answer="{kind}", sample_weight="count")


def test_a_column_called_by_a_number_can_be_the_weight(frame):
    report = pm.check(frame.rename(columns={"count": "1"}), target="kind", sample_weight="1")
    assert report.ok and report.columns[2].role == "weight"


def test_rows_carry_their_weight_and_those_without_one_are_skipped_on_demand(frame):
    processor = pm.PolymodalProcessor({"size": NumberReader.of_numbers(frame["size"].to_numpy())})
    cells = frame["count"].where(frame.index != 2, -1.0)
    table = read_table(frame.assign(count=cells))
    with pytest.raises(DataError, match="row 3, column 'count'"):
        RowDataset(table, processor, weight="count")
    rows = RowDataset(table, processor, weight="count", skip=True)
    batch = Collator(processor)([rows[0], rows[1], rows[2]])
    assert batch["weight"].tolist() == [1.0, 0.5, 0.0] and list(batch["problems"]) == [2]
    assert "weight" not in Collator(processor)([RowDataset(table, processor)[0]])
