"""Rows of an Arrow table in any order, across its chunks."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from polymodal.data.tables.arrow_rows import ArrowRows

ROWS = [{"a": 0, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "z"}, {"a": 3, "b": None}]
WHOLE = pa.concat_tables(
    [
        pa.Table.from_pylist(ROWS[:3]),
        pa.Table.from_pylist(ROWS[3:], pa.schema([("a", "int64"), ("b", "string")])),
    ]
)


@pytest.mark.parametrize("indices", [None, [3, 0, 1, 2, 2]])
@pytest.mark.parametrize("rows", [[], [0], [0, 1, 2, 3], [3, 2, 1, 1], [-1, 0], [1, 2, 3, 0, 1]])
def test_cells_are_those_of_the_rows_in_their_order(indices, rows):
    held = ArrowRows(WHOLE, None if indices is None else np.array(indices))
    all_rows = [ROWS[index] for index in (indices or range(4))]
    expected = [all_rows[row] for row in rows]
    assert list(held.rows(rows)) == expected == list(held.select(np.array(rows, int)).rows(range(len(rows))))
    assert held.cells(rows) == {name: [row[name] for row in expected] for name in ("a", "b")}
    assert held.column("b").to_pylist() == [row["b"] for row in all_rows]


def test_a_row_that_is_not_there_is_refused():
    held = ArrowRows(WHOLE).select(np.array([1, 2]))
    with pytest.raises(IndexError):
        held.cells([2])
    with pytest.raises(IndexError):
        held.select(np.array([-3]))


def test_without_columns_the_rows_stay():
    held = ArrowRows(WHOLE).select_columns([])
    assert len(held) == 4 and list(held.rows([0, 3])) == [{}, {}]


def test_a_copy_in_another_process_holds_the_same_rows():
    held = ArrowRows(WHOLE).select(np.array([3, 1]))
    assert list(held.rows([0, 1])) == list(pickle.loads(pickle.dumps(held)).rows([0, 1]))
