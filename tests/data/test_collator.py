"""Rows of a table to batches; in training inputs are left out by chance, and the chance can be repeated."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from polymodal.data.collator import Collator
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import CategoryReader, NumberReader
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.data.targets import target_reader
from polymodal.errors import DataError

ROWS = 400
NAMES = ("a", "b", "c")


def make_rows(dropout=0.0, seed=0, names=NAMES, empty=True):
    """Rows of which every fourth lacks all but one input, and every tenth lacks that one too."""
    random = np.random.default_rng(0)
    columns = {name: random.normal(size=ROWS) for name in names}
    if empty:
        for place, name in enumerate(names):
            columns[name][::10] = np.nan
            if place:
                columns[name][::4] = np.nan
    columns["y"] = np.arange(ROWS) % 2
    processor = PolymodalProcessor(
        {name: NumberReader() for name in names}, {"y": target_reader("classification", ["0", "1"])}
    )
    table = read_table(pd.DataFrame(columns), name="rows.csv")
    return RowDataset(table, processor, targets=["y"], dropout=dropout, seed=seed)


def present(rows, indices=range(ROWS)):
    """``(rows, inputs)`` which inputs were given."""
    read = [rows[index] for index in indices]
    return np.array([[row["cells"][name] is not None for name in rows.processor.readers] for row in read])


def test_batches_hold_the_tables_rows_in_order():
    rows = make_rows()
    loader = DataLoader(rows, batch_size=150, collate_fn=Collator(rows.processor))
    batches = list(loader)
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(ROWS))
    assert torch.cat([batch["targets"]["y"] for batch in batches]).tolist() == [i % 2 for i in range(ROWS)]
    assert batches[0]["inputs"]["b"]["row"].tolist() == [i for i in range(150) if i % 4 and i % 10]


def test_without_dropout_nothing_is_left_out():
    given = present(make_rows())
    assert given[1].all() and given[4].tolist() == [True, False, False] and not given[0].any()


def test_the_same_key_leaves_out_the_same_whatever_the_batches():
    first, second = make_rows(0.3, seed=5), make_rows(0.3, seed=5)
    for rows in (first, second):
        rows.set_epoch(2)
    alone = present(first)
    together = second.__getitems__(list(reversed(range(ROWS))))
    found = [[row["cells"][name] is not None for name in NAMES] for row in reversed(together)]
    assert np.array_equal(alone, np.array(found))
    for other in ({"seed": 6, "epoch": 2}, {"seed": 5, "epoch": 3}):
        rows = make_rows(0.3, seed=other["seed"])
        rows.set_epoch(other["epoch"])
        assert not np.array_equal(alone, present(rows))


def test_workers_leave_out_the_same():
    rows = make_rows(0.3)
    rows.set_epoch(1)
    batches = [
        list(DataLoader(rows, batch_size=200, collate_fn=Collator(rows.processor), num_workers=workers))
        for workers in (0, 1)
    ]
    for ours, theirs in zip(*batches, strict=True):
        for name in NAMES:
            assert torch.equal(ours["inputs"][name]["row"], theirs["inputs"][name]["row"])


@pytest.mark.parametrize("dropout", [0.15, 0.5, 0.95])
def test_a_row_that_has_an_input_keeps_one(dropout):
    before, rows = present(make_rows()), make_rows(dropout)
    for epoch in range(3):
        rows.set_epoch(epoch)
        after = present(rows)
        assert np.array_equal(after.any(axis=1), before.any(axis=1))
        assert not (after & ~before).any()


@pytest.mark.parametrize(("names", "dropout"), [(("a", "b"), 0.15), (NAMES, 0.15), (NAMES, 0.4)])
def test_the_share_left_out_is_about_what_was_asked(names, dropout):
    rows = make_rows(dropout, names=names, empty=False)
    given = []
    for epoch in range(8):
        rows.set_epoch(epoch)
        given.append(present(rows))
    share = 1 - np.concatenate(given).mean(axis=0)
    expected = dropout - dropout ** len(names) / len(names)  # of a row that would lose all, one stays
    np.testing.assert_allclose(share, expected, atol=0.03)


def test_targets_are_never_left_out():
    rows = make_rows(0.9)
    assert [row["targets"]["y"] for row in rows.__getitems__(range(20))] == [i % 2 for i in range(20)]


def test_a_column_that_the_table_lacks_is_missing_in_every_row():
    processor = PolymodalProcessor({"a": NumberReader(), "b": NumberReader()})
    rows = RowDataset(read_table(pd.DataFrame({"a": [1.0, 2.0]})), processor)
    batch = Collator(processor)(rows.__getitems__([0, 1]))
    assert list(batch["inputs"]) == ["a"]


def test_words_among_numbers_are_told_at_once_with_file_row_and_column(tmp_path):
    lines = ["a,kind,y", "1,x,0", "two,x,0", "3,x,dear", ",x,1", "five,y,1"]
    (tmp_path / "houses.csv").write_text("\n".join(lines))
    processor = PolymodalProcessor(
        {"a": NumberReader(), "kind": CategoryReader(categories=["x"])}, {"y": target_reader("regression")}
    )
    table = read_table(tmp_path / "houses.csv", name="houses.csv")
    rows = RowDataset(table, processor, targets=["y"])
    with pytest.raises(DataError) as caught:
        rows.__getitems__([0, 1, 2, 3, 4])
    assert str(caught.value).splitlines() == [
        f"houses.csv, row {row}, column '{column}': '{word}', expected a number. "
        "Write the number alone, or leave it empty"
        for row, column, word in [(2, "a", "two"), (3, "y", "dear"), (5, "a", "five")]
    ]


def test_rows_of_a_split_are_named_by_their_number_in_the_file(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,1\nbad,1\n")
    table = read_table(tmp_path / "t.csv", name="t.csv").select(np.array([1]))
    rows = RowDataset(table, PolymodalProcessor({"a": NumberReader()}), numbers=[1])
    with pytest.raises(DataError, match=r"t\.csv, row 2, column 'a'"):
        rows[0]
