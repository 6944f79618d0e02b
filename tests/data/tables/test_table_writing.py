"""Tables out and in again: every format, every type of cell, whole or not at all."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from openpyxl import Workbook, load_workbook

import polymodal as pm
from polymodal.data.tables.table import read_table
from polymodal.data.tables.table_writing import SUFFIXES, check_output, write_table

TEXTS = ["=1+1", "+49 30", "-", "@home", 'a "b", c', "two\nlines", "a\rb", "#N/A!", None, " x "]
FRAME = pd.DataFrame({
    "text": pd.array(TEXTS, dtype="string"),
    "int": pd.array([2**60, None, *range(8)], dtype="Int64"),
    "bool": pd.array([True, None, *[False] * 8], dtype="boolean"),
    "float": np.array([0.1, np.nan, *range(8)], dtype="float32"),
    "day": [datetime.date(2024, 2, 1), None, *[datetime.date(1999, 12, 31)] * 8],
    "moment": pd.to_datetime(["2024-02-01 05:06:07", None, *["2000-01-01 00:00:01"] * 8]),
    "list": [["a", "b"], [], *[["é"]] * 8],
})  # fmt: skip


def written(tmp_path, name, frames=(FRAME[:4], FRAME[4:]), types=None):
    path = tmp_path / name
    assert write_table(frames, path, types) == len(FRAME)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_cell_reads_back_as_it_was(tmp_path, suffix):
    types = {"list": pa.list_(pa.string()), "day": pa.date32()}
    table = read_table(written(tmp_path, f"a{suffix}", types=types))
    assert table.columns == list(FRAME.columns) and len(table) == len(FRAME)
    rows = list(table.rows())
    assert [row["text"] for row in rows] == TEXTS
    assert str(rows[0]["int"]) == str(2**60) and rows[1]["int"] is None
    assert [str(row["bool"]).lower() for row in rows[:3]] == ["true", "none", "false"]
    assert float(rows[0]["float"]) == pytest.approx(0.1, abs=1e-8) and rows[1]["float"] is None
    assert str(rows[0]["day"])[:10] == "2024-02-01" and rows[1]["day"] is None
    assert str(rows[0]["moment"]).startswith("2024-02-01 05:06:07") and rows[1]["moment"] is None
    lists = [row["list"] if isinstance(row["list"], list) else json.loads(row["list"]) for row in rows[:2]]
    assert lists == [["a", "b"], []]


def test_texts_in_a_workbook_are_no_formulas_and_no_errors(tmp_path):
    path = written(tmp_path, "a.xlsx", [FRAME.assign(text="=HYPERLINK(1)")])
    sheet = load_workbook(path).active
    assert {cell.data_type for cell in sheet["A"]} == {"s"} and sheet["A2"].value == "=HYPERLINK(1)"
    assert isinstance(sheet["D2"].value, float) and sheet["B3"].value is None


def test_numbers_of_single_precision_are_written_in_as_few_digits_as_they_need(tmp_path):
    frame = pd.DataFrame({"p": np.array([0.1, 0.3, np.nan], dtype="float32")})
    vectors = frame.assign(v=[np.array([0.1, 2], dtype="float32")] * 2 + [np.array([np.nan] * 2, "float32")])
    write_table([vectors], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "p,v",
        '0.1,"[0.1, 2.0]"',
        '0.3,"[0.1, 2.0]"',
        ",",
    ]
    write_table([vectors], tmp_path / "a.jsonl")
    last = (tmp_path / "a.jsonl").read_text().splitlines()[-1]
    assert json.loads(last) == {"p": None, "v": None}


def test_a_dash_is_standard_output(capsys):
    assert write_table([FRAME[["int", "text"]][:2]], Path("-")) == 2
    assert capsys.readouterr().out == f"int,text\n{2**60},=1+1\n,+49 30\n"


@pytest.mark.parametrize("name", ["a.txt", "a.xls", "a", "a.parquet.gz"])
def test_other_suffixes_are_refused_in_one_line(tmp_path, name):
    with pytest.raises(
        pm.PolymodalError, match=r"expected one of \.parquet, \.csv, \.tsv, \.jsonl, \.xlsx, or -"
    ):
        check_output(tmp_path / name)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".xlsx"])
def test_what_a_format_cannot_hold_leaves_the_file_as_it_was(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("before")
    with pytest.raises(pm.PolymodalError, match=r"column 'b' holds bytes, .* Write \.parquet"):
        write_table([pd.DataFrame({"b": [b"\x89PNG"]})], path)
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_cell_longer_than_excel_holds_is_refused(tmp_path):
    with pytest.raises(
        pm.PolymodalError, match=r"a text of 40,000 characters in row 1, where a cell holds 32,767"
    ):
        write_table([pd.DataFrame({"t": ["x" * 40_000]})], tmp_path / "a.xlsx")


def workbook(path, **sheets):
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook_is_read_as_a_table(tmp_path):
    day = datetime.datetime(2024, 5, 1)
    rows = [["a", "day", None], ["007", day, None], [None, None, None], [7, day, None], [None, None, None]]
    table = read_table(workbook(tmp_path / "t.xlsx", data=rows, empty=[]))
    assert table.columns == ["a", "day"]
    assert [row["a"] for row in table.rows()] == ["007", None, "7"]
    assert table.row(0)["day"] == day.date()


@pytest.mark.parametrize(
    ("sheets", "said"),
    [
        ({"a": [["x"], [1]], "b": [["y"], [2]]}, r"2 sheets \(a, b\), expected one sheet with rows"),
        ({"a": []}, "the workbook is empty"),
        ({"a": [["x", "y"], [1, "=A2"]]}, "row 1: cell B2 holds a formula without its value"),
        ({"a": [["x", None, "y"], [1, 2, 3]]}, "column 2 has no name"),
        ({"a": [["x"]]}, "no rows, expected rows to read"),
    ],
)  # fmt: skip
def test_a_workbook_that_is_no_table_is_one_line(tmp_path, sheets, said):
    with pytest.raises(pm.DataError, match=said):
        read_table(workbook(tmp_path / "t.xlsx", **sheets))


@pytest.mark.parametrize("content", [b"", b"no workbook", b"PK\x03\x04" + b"\0" * 50])
def test_a_damaged_workbook_is_one_line(tmp_path, content):
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(pm.DataError, match=r"t\.xlsx: cannot be read"):
        read_table(tmp_path / "t.xlsx")


def test_half_a_workbook_is_one_line(tmp_path):
    whole = io.BytesIO(workbook(tmp_path / "t.xlsx", a=[["x"], [1]]).read_bytes()).getvalue()
    (tmp_path / "t.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(pm.DataError, match=r"t\.xlsx: cannot be read"):
        read_table(tmp_path / "t.xlsx")
