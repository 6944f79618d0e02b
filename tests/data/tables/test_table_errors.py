"""A table that cannot be read says where, what and the cure; all of it, not the first fault."""

import gzip

import datasets
import pandas as pd
import pyarrow as pa
import pytest

from polymodal.data.tables.table import read_table
from polymodal.errors import DataError


def problems(source) -> list[str]:
    with pytest.raises(DataError) as caught:
        read_table(source)
    lines = str(caught.value).split("\n")
    assert all(line.strip() for line in lines)
    return lines


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xls", b"x", "extension '.xls', expected one of .csv, .tsv"),
        ("table", b"x", "no extension, expected one of .csv"),
        ("t.csv", b"", "the file is empty, expected column names and rows"),
        ("t.jsonl", b"\n \n", "the file is empty"),
        ("t.csv", b"a,b\n", "no rows, expected rows to read"),
        ("t.json", b"[]", "no rows"),
        ("t.csv", b"a,b,a\n1,2,3\n", "column 'a': columns 1 and 3 have the same name. Rename one of them."),
        ("t.csv", b",b\n1,2\n", "column 1 has no name"),
        ("t.csv", b"a, \n1,2\n", "column 2 has no name"),
        ("t.csv", b"a,b\n1,\xe9t\xe9\n", "row 1: byte 0xE9 in line 2 is not UTF-8, expected UTF-8"),
        ("t.csv", b'a,b\n"1\n",x\n1,\xe9\n', "row 2: byte 0xE9 in line 4 is not UTF-8"),
        ("t.csv", b"a,\xe9\n1,2\n", "byte 0xE9 in line 1 is not UTF-8"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), "line 1 holds a NUL character, expected text."),
        ("t.csv", b"a,b\n1,x\0y\n", "row 1: line 2 holds a NUL character"),
        ("t.csv", b"a" * 2000 + b",b\n1,2\n", "column 1 has a name of 2,000 characters, expected text of"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-9], "the file is cut short, expected a whole"),
        ("t.json", b'{"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 4}}', "either the outer or the inner keys"),
        ("t.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n', "row 2: byte 0xE9 in line 2"),
        ("t.csv", b'a,b\n1,x\n2,"never closed\n3,y\n', "row 2, column 'b': a double quote is opened"),
        ("t.json", b"[{]", "not valid JSON"),
        ("t.json", b"[1]", "row 1: found 1, expected an object"),
        ("t.parquet", b"no parquet at all", "cannot be read"),
        ("t.parquet", b"", "cannot be read"),
    ],
)  # fmt: skip
def test_unreadable_file_is_named_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    (line,) = problems(path)
    assert line.startswith(str(path))
    assert message in line


def test_missing_file(tmp_path):
    (line,) = problems(tmp_path / "none.csv")
    assert line == f"{tmp_path}/none.csv: there is no such file. Looked in {tmp_path}."


def test_every_ragged_row_is_listed(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n1,2\n\n"x\ny",3,4\n5\n6,7\n\n8\n')
    lines = problems(tmp_path / "t.csv")
    assert [line.split(": ")[0].split(", ")[1] for line in lines] == ["row 2", "row 3", "row 5"]
    assert "found 3 cells, expected 2 as in the first line" in lines[0]


def test_every_broken_json_line_is_listed(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": \n[2]\n{"a": 3}\nword\n')
    lines = problems(tmp_path / "t.jsonl")
    assert [line.split(": ")[0].split(", ")[1] for line in sorted(lines)] == ["row 2", "row 3", "row 5"]
    assert any("line 2 is not valid JSON" in line for line in lines)
    assert any("found [2], expected an object" in line for line in lines)


@pytest.mark.parametrize(
    ("inside", "cure"), [([], "Give the path of the table's file."), (["b.csv"], "Did you mean {}/b.csv?")]
)
def test_folder_without_a_saved_dataset(tmp_path, inside, cure):
    for name in inside:
        (tmp_path / name).write_text("a\n1\n")
    (line,) = problems(tmp_path)
    assert "the path is a folder, expected a table" in line
    assert line.endswith(cure.format(tmp_path))


def test_saved_folder_of_several_splits_names_them(tmp_path):
    data = datasets.Dataset.from_list([{"a": 1}])
    datasets.DatasetDict(train=data, test=data).save_to_disk(tmp_path / "saved")
    (line,) = problems(tmp_path / "saved")
    assert line.endswith(f"expected one table. Give one of {tmp_path}/saved/test, {tmp_path}/saved/train.")


@pytest.mark.parametrize("damage", ["state.json", "data-00000-of-00001.arrow"])
def test_damaged_saved_folder(tmp_path, damage):
    datasets.Dataset.from_list([{"a": 1}]).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / damage).write_bytes(b"{")
    (line,) = problems(tmp_path / "saved")
    assert "cannot be read" in line


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "a int, expected a path, a DataFrame"),
        (
            {"a": 1, "b": [1]},
            "column 'a': a int, expected a list or an array of its cells. For one row, give",
        ),
        ({"a": [1, 2], "b": [1]}, "columns, column 'b': 1 cells, expected 2 as in column 'a'"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "columns of several levels"),
        (pd.DataFrame({1: [1], "1": [2]}), "column '1': columns 1 and 2 have the same name"),
        (pd.DataFrame({None: [1]}), "column 1 has no name"),
        (
            pa.table({"a": pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int64()))}),
            "cells of Arrow's type map",
        ),
        ([], "rows: no rows"),
        ([{}], "rows: no rows"),
        ([{"a": 1}, 5, "x"], "rows, row 2: a int, expected a dict"),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            "DataFrame, column 'a': columns 1 and 2 have the same name",
        ),
        (pd.DataFrame({"a": []}), "DataFrame: no rows"),
        ([{"a": 1}, {"a": [1]}], "rows, row 2, column 'a': a list, expected a int as in row 1"),
        ([{"a": object()}], "rows, row 1, column 'a': a object that cannot be stored"),
        (datasets.DatasetDict(train=datasets.Dataset.from_list([{"a": 1}])), "several splits (train)"),
    ],
)
def test_objects_that_are_no_table(source, message):
    assert message in problems(source)[0]
