"""Whatever holds rows and columns is a table: carriers, forms of JSON, CSVs as programs write them."""

import datetime
import fractions
import gzip
import json
import uuid

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import polymodal as pm
from polymodal.data.tables import files, parquet_tables
from polymodal.data.tables.table import read_table
from polymodal.errors import DataError
from tests.support.command import polymodal

ROWS = [{"name": "a", "rooms": 1}, {"name": "b", "rooms": 2}, {"name": None, "rooms": 3}]
ARROW = pa.Table.from_pylist(ROWS)
FRAME = pd.DataFrame(ROWS)


class Stream:
    """What polars' frames are to us: columns of Arrow, handed over by the C interface."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class LazyFrame:
    def collect(self):
        return Stream(ARROW)


@pytest.mark.parametrize(
    "source",
    [
        ARROW, ARROW.to_batches()[0], ARROW.to_reader(), pyarrow.dataset.dataset(ARROW),
        Stream(ARROW), LazyFrame(),
        {"name": ["a", "b", None], "rooms": [1, 2, 3]},
        {"name": ("a", "b", None), "rooms": np.array([1, 2, 3])},
        {"name": ARROW["name"], "rooms": FRAME["rooms"]},
        iter(ROWS), (row for row in ROWS), tuple(ROWS), datasets.Dataset.from_list(ROWS), FRAME,
        Stream(pa.table({"name": ARROW["name"].cast(pa.string_view()).dictionary_encode(),
                         "rooms": ARROW["rooms"]})),
    ],
    ids=lambda source: type(source).__name__,
)  # fmt: skip
def test_carriers_of_rows(source):
    assert list(read_table(source).rows()) == ROWS


@pytest.mark.parametrize("kind", [set, frozenset])
@pytest.mark.parametrize("carrier", [pd.DataFrame, lambda columns: columns, lambda columns: [
    {"tags": cell} for cell in columns["tags"]]], ids=["frame", "columns", "rows"])  # fmt: skip
def test_sets_are_lists_in_one_order_in_every_process(kind, carrier):
    words = [f"tag {n:02d}" for n in range(30)]  # 30 texts are in this order by chance in no process
    table = read_table(carrier({"tags": [kind(words), kind(words[:2])]}))
    assert table.row(0)["tags"] == words and table.row(1)["tags"] == words[:2]


@pytest.mark.parametrize("index", [None, pd.Index(["x", "y", "z"]), pd.date_range("2020", periods=3)])
@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table"])
def test_every_orientation_of_pandas_json_that_names_its_columns(tmp_path, orient, index):
    frame = FRAME if index is None else FRAME.set_index(index)
    text = frame.to_json(orient=orient)
    for form in (text, json.dumps(json.loads(text), indent=1)):
        (tmp_path / "t.json").write_text(form)
        table = read_table(tmp_path / "t.json")
        assert list(table.rows()) == ROWS
    is_dropped = index is not None and index.dtype.kind not in "M" and orient != "records"
    assert bool(table.notes) == is_dropped or index is not None


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"photo": {"path": "a.png", "bytes": null}}', [{"photo": {"path": "a.png", "bytes": None}}]),
        ('{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{\n "a": 1\n}', [{"a": 1}]),
        ("", None),
    ],
)
def test_other_json_is_rows(tmp_path, text, rows):
    (tmp_path / "t.json").write_text(text)
    if rows is None:
        with pytest.raises(DataError, match="the file is empty"):
            read_table(tmp_path / "t.json")
    else:
        assert list(read_table(tmp_path / "t.json").rows()) == rows


AS_TEXT = [{"a": "1", "b": "x, y"}, {"a": "2", "b": None}]


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("t.csv", 'a,b\n1,"x, y"\n2,\n', None),
        ("t.csv", '\n\r\na,b\r\n1,"x, y"\r\n\r\n2,\r\n', None),
        ("t.csv", 'a,b\r1,"x, y"\r2,\r', None),
        ("t.csv", "a;b\n1;x, y\n2;\n", "cells are separated by semicolons"),
        ("t.csv", "a\tb\n1\tx, y\n2\t\n", "cells are separated by tabs"),
        ("t.csv", "a|b\n1|x, y\n2|\n", "cells are separated by pipes"),
        ("t.tsv", "a\tb\n1\tx, y\n2\t\n", None),
        ("t.tsv", 'a,b\n1,"x, y"\n2,\n', "cells are separated by commas"),
        ("t.csv", "sep=;\na;b\n1;x, y\n2;\n", "cells are separated by semicolons"),
        ("t.csv", '"sep=,"\r\na,b\r\n1,"x, y"\r\n2,\r\n', None),
        ("t.csv", '# by a program; 2, 3\n#\na,b\n1,"x, y"\n2,\n', "2 lines that begin with '#' passed over"),
        ("t.csv", "# one, two\na;b\n1;x, y\n2;\n", "1 line that begins with '#' passed over"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_csv_as_programs_write_it(tmp_path, name, content, note, encoding):
    (tmp_path / name).write_bytes(content.encode(encoding))
    table = read_table(tmp_path / name)
    assert list(table.rows()) == AS_TEXT
    said = [entry for entry in table.notes if "encoding" not in entry]
    assert said[:1] == ([note] if note else [])
    assert len(table.notes) - len(said) == (encoding in ("utf-16", "utf-32"))


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("#chrom\tstart\nx\t1\n", ["#chrom", "start"]),
        ("# x,y\n1,2\n", ["# x", "y"]),
        ("# x,y\na,b\n1,2\n", ["a", "b"]),
        ("tags\nbalcony|lift\n", ["tags"]),
        ("text\nno; not, this\n", None),
        ("price;size\n1,5;2,5\n3,5;4\n", ["price", "size"]),
        ("a,b|c\n1,x|y\n2,z\n", ["a", "b|c"]),
    ],
)
def test_the_header_decides(tmp_path, content, columns):
    (tmp_path / "t.csv").write_text(content)
    if columns is None:
        with pytest.raises(DataError, match="row 1: found 2 cells, expected 1"):
            read_table(tmp_path / "t.csv")
    else:
        assert read_table(tmp_path / "t.csv").columns == columns


def test_blank_lines_of_one_column_are_rows(tmp_path):
    (tmp_path / "t.csv").write_text('text\nx\n\n" "\n\ny\n')
    assert read_table(tmp_path / "t.csv").values("text").to_pylist() == ["x", None, " ", None, "y"]


def test_separator_and_encoding_may_be_named(tmp_path):
    (tmp_path / "t.csv").write_bytes("näme~rooms\ncafé~1\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"is not UTF-8, expected UTF-8 text\. .* by encoding="):
        read_table(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv", sep="~", encoding="cp1252")
    assert list(table.rows()) == [{"näme": "café", "rooms": "1"}]
    (tmp_path / "u.csv").write_text("a|b;c\n1|2;3\n")
    assert read_table(tmp_path / "u.csv", sep="semicolon").columns == ["a|b", "c"]
    for wrong in ({"sep": "ab"}, {"encoding": "none"}):
        with pytest.raises(DataError, match=r"data\.sep is 'ab'|no encoding 'none'"):
            read_table(tmp_path / "u.csv", **wrong)


def test_the_check_says_how_a_file_was_read(tmp_path):
    lines = [f"{n % 7};{'ab'[n % 2]}" for n in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["rooms;kind", *lines]))
    out = polymodal("check", tmp_path / "t.csv", "-t", "kind").out
    assert "note: " in out and "t.csv: cells are separated by semicolons" in out
    frame = pd.read_csv(tmp_path / "t.csv", sep=";").set_index(
        pd.Index([f"id{n}" for n in range(40)], name="key")
    )
    assert pm.check(frame, target="kind").notes == [
        "DataFrame: the DataFrame's index (key) is no column: reset_index() makes it one"
    ]
    assert pm.check(frame.reset_index(drop=True)[5:], target="kind").notes == []


def test_packed_files(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b'a,b\n1,"x, y"\n') + gzip.compress(b"2,\n"))
    assert list(read_table(tmp_path / "t.csv.gz").rows()) == AS_TEXT
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert list(read_table(tmp_path / "t.jsonl.gz").rows()) == [{"a": 1}]


KEY = uuid.UUID(int=7)
SPAN = datetime.timedelta(days=1, hours=2)


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (pd.period_range("2020-01", periods=1, freq="M"), "2020-01"),
        (pd.interval_range(0, 1), "(0, 1]"),
        (pd.cut([1.0], [0, 2]), "(0, 2]"),
        (pd.to_timedelta(["1 days 02:00:00"]), "1 days 02:00:00"),
        ([SPAN], "1 days 02:00:00"),
        ([KEY], str(KEY)),
        ([1 + 2j], "(1+2j)"),
        ([fractions.Fraction(1, 3)], "1/3"),
        ([pd.Period("2020", "Y")], "2020"),
        (pa.array([KEY.bytes], pa.uuid()), str(KEY)),
        (pa.array([SPAN], pa.duration("s")), "1 days 02:00:00"),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pd.Categorical(["x"]), "x"),
    ],
)
def test_values_without_a_type_of_their_own_are_text(cells, text):
    for source in (
        {"a": cells},
        pd.DataFrame({"a": cells}) if not isinstance(cells, pa.Array) else pa.table({"a": cells}),
    ):
        assert read_table(source).values("a").to_pylist() == [text]


@pytest.mark.parametrize(
    "cells",
    [
        pd.PeriodIndex(["2020", None], freq="Y"),
        pd.to_timedelta([1, None]),
        pd.cut([1.0, np.nan], [0, 2]),
        [KEY, None],
    ],
)
def test_an_empty_cell_of_such_a_column_stays_empty(cells):
    assert read_table(pd.DataFrame({"a": cells})).values("a").null_count == 1


def test_sparse_and_mixed_categories_are_read():
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0, 1]), "b": pd.Categorical(["x", 1])})
    assert list(read_table(frame).rows()) == [{"a": 0, "b": "x"}, {"a": 1, "b": "1"}]


# --- what a small file may cost


def deep(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", f'{{"a": 1}}\n{{"a": {deep(900)}}}', "row 2, column 'a': lists and records nested"),
        ("t.jsonl", f'{{"a": {deep(100_000)}}}', "nested too deep"),
        ("t.csv", ",".join(f"c{n}" for n in range(100_000)) + "\n", "100,000 columns, expected at most"),
        ("t.csv", "a,b\n" + "1\n" * 50_000, "row 1: found 1 cells"),
        ("t.jsonl", "\n".join(f'{{"k{n}": 1}}' for n in range(10_000)), "10,000 different keys"),
        ("t.json", json.dumps([1] * 50_000), "row 1: found 1, expected an object"),
        ("t.csv", 'a,b\n1,"' + "x\n" * 500_000, "a double quote is opened and never closed"),
        ("t.csv", "x" * 500_000 + "\n", "the first line cannot be read"),
    ],
)  # fmt: skip
def test_a_file_made_to_cost_much_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / name)
    assert message in str(caught.value)
    assert len(caught.value.problems) <= 1000


def test_bombs_of_parquet_and_gzip_are_refused_before_they_unfold(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_tables, "FREE", 2**20)
    monkeypatch.setattr(files, "UNPACKED", 2**16)
    constant = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int8)), ["x" * 1000])
    bombs = {
        "texts": pa.table({"a": constant}),
        "numbers": pa.table({"a": np.zeros(500_000)}),
        "nested": pa.table({"a": [["y" * 10_000] * 2000], "b": [{"c": "y", "d": [b"y"]}]}),
        "a cell": pa.table({"a": ["z" * 2_000_000]}),
        "rows": pa.table({f"c{n}": np.zeros(2**20, bool) for n in range(9)}),
    }
    for name, table in bombs.items():
        pq.write_table(table, tmp_path / f"{name}.parquet", compression="zstd")
        with pytest.raises(DataError, match=r"expected at most 1 MB in memory, or 20 times the file"):
            read_table(tmp_path / f"{name}.parquet")
    several = pa.table({"a": ["x", None] * 50_000, "b": [[{"c": "u"}], None] * 50_000})
    pq.write_table(several, tmp_path / "fine.parquet", row_group_size=30_000)
    monkeypatch.undo()
    assert list(read_table(tmp_path / "fine.parquet").rows()) == several.to_pylist()
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"0,0\n" * 2**18, 1))
    monkeypatch.setattr(files, "UNPACKED", 2**16)
    with pytest.raises(DataError, match="bytes unpacked, expected at most 0 MB, or 10 times the file"):
        read_table(tmp_path / "t.csv.gz")
