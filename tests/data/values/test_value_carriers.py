"""One value has one name, whatever carries it: values by carriers, through the doors that a user takes."""

import datetime
import json
from decimal import Decimal

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import polymodal as pm
from polymodal.data.tables.table import read_table
from polymodal.data.values.column_values import as_labels
from tests.support.tables import tiny

DAY, NEXT = datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)
MOMENT = datetime.datetime(2024, 1, 31, 9, 30)


def series(values, kind):
    return pd.Series(values, dtype=kind)


COLUMNS = {
    ("True", "False"): {
        "bool": [True, False],
        "json": ["true", "false"],
        "spreadsheet": ["TRUE", "FALSE"],
        "numpy": series([True, False], "bool"),
        "nullable": series([True, False], "boolean"),
        "categorical": series(["true", "False"], "category"),
        "mixed": [True, "false"],
    },
    ("1", "2"): {
        "text": ["1", "2"],
        "text of floats": ["1.0", "2.0"],
        "decimal": [Decimal("1.00"), Decimal("2")],
        "mixed": [1, 2.0],
        **{kind: series([1, 2], kind) for kind in ("int8", "uint8", "int64", "Int64", "float32", "Float64")},
    },
    ("0.1", "2.5"): {
        "float64": [0.1, 2.5],
        "float32": series([0.1, 2.5], "float32"),
        "Float32": series([0.1, 2.5], "Float32"),
        "float32 scalars": [np.float32(0.1), np.float32(2.5)],
        "decimal": [Decimal("0.1"), Decimal("2.5")],
        "text": ["0.1", "2.5"],
    },
    ("2024-01-31", "2024-02-01"): {
        "date": [DAY, NEXT],
        "midnight": [datetime.datetime.combine(day, datetime.time()) for day in (DAY, NEXT)],
        "datetime64": pd.Series(pd.to_datetime(["2024-01-31", "2024-02-01"])),
        "text": ["2024-01-31", "2024-02-01"],
        "text with time": ["2024-01-31 00:00:00", "2024-02-01T00:00"],
    },
    ("2024-01-31T09:30:00", ""): {
        "datetime": [MOMENT, None],
        "datetime64": pd.Series(pd.to_datetime([MOMENT, None])),
        "text": ["2024-01-31 09:30:00", "nan"],
        "short text": ["2024-01-31T09:30", "<NA>"],
    },
    ("é b", "NA"): {
        "composed": ["é b", "NA"],
        "decomposed": ["e\u0301 b", "NA "],
        "invisible": ["\ufeffé\u200b b\u00a0", "N\u00adA"],
        "arrow": series(["é b", "NA"], "string[pyarrow]"),
        "categorical": series(["é b", "NA"], "category"),
    },
}


def frame_of(cells):
    return pd.DataFrame({"c": cells})


def as_csv(cells, folder):
    frame_of(cells).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def as_jsonl(cells, folder):
    lines = [json.dumps({"c": plain(cell)}, default=str) for cell in cells]
    (folder / "t.jsonl").write_text("\n".join(lines))
    return folder / "t.jsonl"


def plain(cell):
    cell = cell.item() if isinstance(cell, np.generic) else cell
    return None if pd.isna(cell) else cell


def as_parquet(cells, folder):
    mixed = len({type(cell) for cell in cells if cell is not None}) > 1
    cells = [str(cell) for cell in cells] if mixed and not isinstance(cells, pd.Series) else cells
    frame_of(cells).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


CARRIERS = {
    "frame": lambda cells, folder: frame_of(cells),
    "dicts": lambda cells, folder: [{"c": cell} for cell in cells],
    "csv": as_csv,
    "jsonl": as_jsonl,
    "parquet": as_parquet,
    "dataset": lambda cells, folder: datasets.Dataset.from_parquet(
        str(as_parquet(cells, folder)), cache_dir=str(folder)
    ),
}
EVERY = [(names, kind) for names, columns in COLUMNS.items() for kind in columns]


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(("names", "kind"), EVERY, ids=[f"{names[0]}-{kind}" for names, kind in EVERY])
def test_a_value_has_one_name(names, kind, carrier, tmp_path):
    table = read_table(CARRIERS[carrier](COLUMNS[names][kind], tmp_path))
    assert as_labels(table.values("c")).tolist() == list(names)


@pytest.mark.parametrize("carrier", ["frame", "dicts", "parquet", "dataset"])
def test_texts_may_be_stored_as_bytes(carrier, tmp_path):
    table = read_table(CARRIERS[carrier](["é b".encode(), b"NA"], tmp_path))
    assert as_labels(table.values("c")).tolist() == ["é b", "NA"]


@pytest.mark.parametrize("listed", [False, True])
def test_class_labels_of_a_dataset_are_their_names(listed):
    label = datasets.ClassLabel(names=["cat", "dog"])
    cells = [[0, 1], [], [1, -1]] if listed else [0, 1, -1]
    features = datasets.Features({"c": datasets.Sequence(label) if listed else label})
    table = read_table(datasets.Dataset.from_dict({"c": cells}, features=features))
    expected = [["cat", "dog"], [], ["dog"]] if listed else ["cat", "dog", None]
    assert table.values("c").to_pylist() == expected == [row["c"] for row in table.rows()]


ROWS = 60


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run of a CSV in which ``flag`` decides the class, and of marks of its own."""
    folder = tmp_path_factory.mktemp("carriers")
    place = np.arange(ROWS)
    pd.DataFrame({
        "flag": np.where(place % 2, "true", "false"),
        "day": np.where(place % 3, "2024-01-31", "2024-02-01"),
        "share": np.where(place % 5, "0.1", "2.5"),
        "size": np.where(place % 7, place, -999),
        "y": np.where(place % 2, np.where(place % 4 == 1, "1.0", "1"), "nan"),
    }).to_csv(folder / "t.csv", index=False)  # fmt: skip
    settings = tiny(train__epochs=1, **{f"inputs__{name}__modality": "category" for name in ("day", "share")})
    marks = ["data.missing=[-999, absent]"]
    return pm.fit(folder / "t.csv", target="y", output=folder / "run", settings=settings + marks)


SAME = {
    "bool and date": {"flag": True, "day": DAY, "share": 0.1},
    "numpy": {"flag": np.bool_(True), "day": pd.Timestamp(DAY), "share": np.float32(0.1)},
    "text": {"flag": "TRUE", "day": "2024-01-31 00:00:00", "share": " 0.1\u00a0"},
    "decimal": {"flag": "\ufefftrue", "day": np.datetime64("2024-01-31", "ns"), "share": Decimal("0.10")},
}


@pytest.mark.parametrize("row", SAME.values(), ids=SAME)
def test_a_run_answers_alike_whatever_carries_its_cells(fitted, row):
    expected = fitted.predict([{"flag": "true", "day": "2024-01-31", "share": "0.1"}], probabilities=True)
    for source in ([row], pd.DataFrame([row])):
        pd.testing.assert_frame_equal(fitted.predict(source, probabilities=True), expected)
    other = fitted.predict([row | {"flag": "false"}], probabilities=True)
    assert not other.equals(expected)


def test_marks_of_a_run_hold_in_every_command(fitted):
    again = pm.load(fitted.folder)
    assert again.processor.targets["y"].classes == ["1", "1.0", "nan"]  # 'nan' is no mark here
    row = {"flag": "absent", "size": -999, "day": "2024-01-31"}
    frame = again.predict([row, row | {"size": "-999.0"}, row | {"size": -999.0}])
    assert list(frame["missing"]) == ["flag, share, size"] * 3
    assert again.evaluate([row | {"y": "nan"}, row | {"y": "absent"}])["y"]
    empty = again.explain([row | {"flag": None, "size": None}])
    pd.testing.assert_frame_equal(again.explain([row]), empty)


CHECKED = {
    "case": (["red", "Red", "blue"], "differ only in case or blanks: 'Red' (20) and 'red' (20)"),
    "inner blanks": (["old town", "oldtown", "x"], "'old town' (20) and 'oldtown' (20)"),
    "outer blanks": (["red", "red ", "blue"], "read as one value: 'red' and 'red '"),
    "forms of Unicode": (["é", "e\u0301", "x"], "read as one value: 'e\\u0301' and '\\xe9'"),
    "numbers": (["1", "1.0", "2.0"], "two values: '1' (20) and '1.0' (20)"),
    "Namibia": (["NA", "DE", "FR"], "20 cells 'NA' are read as values. If they stand for a missing value: "
                                    "data.missing: [NA] makes them empty"),
    "beside a mark": (["?", "nan", "FR", "DE"], 'data.missing: ["?", nan] makes them empty'),
}  # fmt: skip


@pytest.mark.parametrize("role", ["input", "target"])
@pytest.mark.parametrize(("values", "said"), CHECKED.values(), ids=CHECKED)
def test_the_check_names_spellings_and_marks(values, said, role):
    other = np.arange(60) % 2 if role == "input" else np.arange(60) % 7
    frame = pd.DataFrame({"c": values * (60 // len(values)), "other": other})
    settings = ["inputs.c.modality=category"] if role == "input" else []
    expected = said.replace("(20)", f"({60 // len(values)})")
    report = pm.check(frame, target="other" if role == "input" else "c", settings=settings)
    found = [str(warning) for warning in report.warnings if warning.column == "c"]
    assert sum(expected in line for line in found) == 1, found


@pytest.mark.parametrize(
    ("cells", "settings", "marks"),
    [
        (["1", "?", "NA", "2", "-", "3"], [], {"-": 10, "?": 10, "NA": 10}),
        (["a b", "nan", "NA", "c", "<NA>", "d"], [], {"<NA>": 10, "nan": 10}),
        (["a b", "nan", "NA", "c", "d", "e"], ["data.missing=NA"], {"NA": 10}),
        ([1.5, -999, 3, 4, 5, 6], ["data.missing=[-999]"], {"-999": 10}),
        ([True, False, True, False, True, True], [], {}),
    ],
)
def test_marks_of_a_missing_value_are_counted(cells, settings, marks):
    frame = pd.DataFrame({"c": cells * 10, "y": ["a", "b"] * 30})
    column = pm.check(frame, target="y", settings=settings).columns[0]
    assert column.marks == marks and column.empty == pytest.approx(sum(marks.values()) / 60)
    assert ("empty by mark" in column.detail) == bool(marks)


def test_marks_hold_for_answers_in_words():
    frame = pd.DataFrame({"q": ["nan", "what is it", "how so", "NA"] * 10, "a": ["x", "nan", "y", "z"] * 10})
    report = pm.check(frame, prompt="{q}", answer="{a}", settings=["data.missing=[nan, x]"])
    assert {column.column: column.marks for column in report.columns} == {
        "q": {"nan": 10}, "a": {"nan": 10, "x": 10},
    }  # fmt: skip
    named = [str(warning) for warning in report.warnings if warning.column == "q"]
    assert len(named) == 1 and "10 cells 'NA' are read as values" in named[0]


def test_marks_that_are_none_are_refused():
    frame = pd.DataFrame({"c": [1, 2, 3, 4] * 5, "y": ["a", "b"] * 10})
    with pytest.raises(pm.PolymodalError, match=r"missing.*expected texts or numbers"):
        pm.check(frame, target="y", settings=["data.missing=[[1]]"])


def test_arrow_lists_of_labels_have_no_marks():
    values = pa.chunked_array([pa.array([["a", "nan"], ["nan"], None])])
    table = read_table(datasets.Dataset(pa.table({"c": values})))
    assert table.values("c").to_pylist() == [["a", None], [None], None]
