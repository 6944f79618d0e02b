"""``--where``: what it means, what it refuses, and that nothing of it reaches the filter as it is."""

from __future__ import annotations

import datetime
import random

import pytest

import polymodal as pm
from polymodal.search.index_writing import Writer
from tests.support.indexes import QUERY, block, directions, rows_of, write_index

ROWS = [
    {"year": 2009, "kind": "flat", "a.b": 1.5, "type": "x", "sold by": "Ann O'Neil", 'the "best"': True,
     "größe": "ß", "tags": ["red", "big"], "when": datetime.date(2020, 1, 31), "in": "50%", "code": "007"},
    {"year": 2010, "kind": "house", "a.b": -2.0, "type": None, "sold by": "Bob", 'the "best"': False,
     "größe": "Ü", "tags": ["bored"], "when": datetime.date(2021, 6, 1), "in": "5_0", "code": "7"},
    {"year": None, "kind": "Flat roof", "a.b": None, "type": "y`z", "sold by": None, 'the "best"': None,
     "größe": "", "tags": None, "when": None, "in": "500", "code": "NA"},
    {"year": 2011, "kind": "house", "a.b": 0.0, "type": "'; drop", "sold by": "Cy", 'the "best"': True,
     "größe": "日本", "tags": ["red", None], "when": datetime.date(2022, 1, 1), "in": "\\", "code": "12a"},
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return write_index(tmp_path_factory.mktemp("where") / "index", ROWS, {"item": directions(len(ROWS))})


def found(index, condition):
    return rows_of(index.search(vector=QUERY, where=condition))


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("year > 2009", [2, 4]),
        ("year>=2010 and year<=2010", [2]),
        ("year = '2010'", [2]),
        ("year > '2009'", [2, 4]),
        ("year != 2010", [1, 4]),
        ("year <> 2010", [1, 4]),
        ("not year == 2010", [1, 4]),
        ("year is null", [3]),
        ("year IS NOT NULL AND NOT (year < 2011 or kind = \"flat\")", [4]),
        ("a.b = -2.0 or a.b = 1.5e0", [1, 2]),
        ("a.b < .5", [2, 4]),
        ("kind = 'flat' or kind = 'house' and year = 2011", [1, 4]),
        ("(kind = 'flat' or kind = 'house') and year = 2011", [4]),
        ("kind in ('flat', \"Flat roof\")", [1, 3]),
        ("kind not in ('flat')", [2, 3, 4]),
        ("year in (2009, '2011', 5)", [1, 4]),
        ("kind contains 'FLAT'", [1, 3]),
        ("kind like 'F%'", [3]),
        ('"in" like \'50%\'', [1, 3]),
        ('"in" like \'5\\_0\'', [2]),
        ('"in" = \'\\\'', [4]),
        ("type = '''; drop'", [4]),
        ("type = 'y`z'", [3]),
        ("`type` is null", [2]),
        ("\"sold by\" = 'Ann O''Neil'", [1]),
        ('"sold by" = "Ann O\'Neil"', [1]),
        ('"the ""best""" = true', [1, 4]),
        ('"the ""best""" = FALSE', [2]),
        ("größe = 'ß' or größe = '日本'", [1, 4]),
        ("größe contains 'ü'", [2]),
        ("größe is null", [3]),
        ("tags contains 'red'", [1, 4]),
        ("when >= '2021-06-01'", [2, 4]),
        ("code = '007'", [1]),
        ("code = 7", [1, 2]),
        ("code > 6 and code < 8", [1, 2]),
    ],
)  # fmt: skip
def test_what_a_condition_means(index, condition, rows):
    assert found(index, condition) == rows


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("yaer > 1", "there is no column 'yaer'. Did you mean 'year'? There are: year, kind,"),
        ("year >", "condition year >, character 7: found its end, expected a value"),
        ("year 5", "character 6: found '5', expected =, !=, <, <=, >, >=, in, like, contains, is empty or"),
        ("year = 5 kind", "character 10: found 'kind', expected and, or, or its end"),
        ("kind = flat", "character 8: found 'flat', expected a value. A text stands in quotes"),
        ("(year = 5", "character 10: found its end, expected ')'"),
        ("year in 5", "expected '('"),
        ("year in ()", "found ')', expected a value"),
        ("year is 5", "expected 'null'"),
        ("in like '5%'", "found 'in', expected a column. Put a column of such a name in double quotes"),
        ("kind contains 5", "expected a text in quotes"),
        ("kind = 'flat", "found ''', expected a column, a value or a sign. Close the quote"),
        ("year > 'many'", "expected a number: 'year' holds numbers"),
        ("kind > 5", "character 8: found '5', expected a text in quotes: no cell of 'kind' is a number"),
        ("year = 1 or tags in (5, 6)", "expected a text in quotes: no cell of 'tags' is a number"),
        ("year = 1e999", "expected a number of at most 1.8e308"),
        ("", "found its end, expected a column"),
        ("year = 5; drop table rows", "character 9: found ';'"),
        ("text_0 = 'flat'", "there is no column 'text_0'"),
        ("(" * 100 + "year = 1" + ")" * 100, "nested deeper than 40"),
        ("not " * 100 + "year = 1", "nested deeper than 40"),
        (" or ".join(["year = 1"] * 501), "more than 500 tests"),
        ("year = " + "1" * 1_000_001, "1,000,008 characters, expected at most 1,000,000"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_one_line(index, condition, said):
    with pytest.raises(pm.ConfigError) as caught:
        found(index, condition)
    assert said in str(caught.value) and "\n" not in str(caught.value)


INJECTED = [
    "' or '1' = '1", "'; drop table rows; --", "x' OR text_0 IS NOT NULL --", '" or "" = "', "` or 1=1 --",
    "\\' or 1=1 --", "$$ or 1=1 $$", "/* */ or 1=1", "\x00", "a\nb", "’ or ‘1’=‘1", "🦜'", "%", "_", "''",
    "x" * 200_000, "{}", "{0}",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTED)
def test_a_value_stays_a_value(index, text):
    for quote in "'\"":
        literal = quote + text.replace(quote, quote * 2) + quote
        for condition in (f"kind = {literal}", f"kind contains {literal}", f"kind in ({literal})"):
            assert found(index, condition) == []
    assert len(index) == len(ROWS)


@pytest.mark.parametrize("text", INJECTED[:11])
def test_a_value_that_breaks_out_of_its_quotes_is_refused(index, text):
    with pytest.raises(pm.ConfigError):
        found(index, f"kind = '{text}")
    with pytest.raises(pm.ConfigError):
        found(index, f"{text} = 1")
    assert len(index) == len(ROWS)


def test_conditions_of_any_shape_mean_what_sql_says(index):
    """Against three-valued logic written out, on conditions drawn at random."""
    draw = random.Random(0)
    tests = {
        "year > 2009": lambda row: None if row["year"] is None else row["year"] > 2009,
        "type = 'x'": lambda row: None if row["type"] is None else row["type"] == "x",
        "a.b <= 0": lambda row: None if row["a.b"] is None else row["a.b"] <= 0,
        "kind contains 'o'": lambda row: "o" in row["kind"].lower(),
        "year is null": lambda row: row["year"] is None,
    }

    def made(depth):
        if depth == 0 or draw.random() < 0.2:
            return draw.choice(list(tests.items()))
        if draw.random() < 0.3:
            text, means = made(depth - 1)
            return f"not ({text})", lambda row: None if means(row) is None else not means(row)
        (left, one), (right, two) = made(depth - 1), made(depth - 1)
        if draw.random() < 0.5:
            return f"({left} and {right})", lambda row: _and(one(row), two(row))
        return f"({left} or {right})", lambda row: _or(one(row), two(row))

    for _ in range(60):
        text, means = made(4)
        assert found(index, text) == [n for n, row in enumerate(ROWS, start=1) if means(row)], text


def _and(one, two):
    return False if False in (one, two) else None if None in (one, two) else True


def _or(one, two):
    return True if True in (one, two) else None if None in (one, two) else False


@pytest.fixture(scope="module")
def moment_index(tmp_path_factory):
    """Rows of dates, moments, times and truth values, and one without any."""
    plus = datetime.timezone(datetime.timedelta(hours=2))
    rows = [
        {"day": datetime.date(2024, month, 1), "stamp": datetime.datetime(2024, month, 1, hour),
         "zone": datetime.datetime(2024, month, 1, 1, tzinfo=plus), "at": datetime.time(hour),
         "iso": f"2024-0{month}-01" + "T05:00:00" * bool(hour), "odd": f"{month}/1/2024", "ok": month == 1,
         "said": ("True", "FALSE ")[hour > 0], "n": "2.50"}
        for month in (1, 2, 3) for hour in (0, 5)
    ]  # fmt: skip
    rows.append(dict.fromkeys(rows[0]))
    return write_index(tmp_path_factory.mktemp("when") / "index", rows, {"item": directions(len(rows))})


COMPARED = {
    "day < '2024-02-01'": [1, 2],
    "day <= '2024-02-01T00:00:00'": [1, 2, 3, 4],
    "day > '2024-02-01 00:00'": [5, 6],
    "day >= '2024-02-01 00:00:01'": [5, 6],
    "day != '2024-02-01'": [1, 2, 5, 6],
    "day in ('2024-02-01', '2024-03-01T00:00:00')": [3, 4, 5, 6],
    "stamp = '2024-02-01'": [3],
    "stamp <= '2024-02-01'": [1, 2, 3],
    "stamp > '2024-02-01'": [4, 5, 6],
    "not stamp > '2024-02-01'": [1, 2, 3],
    "stamp = '2024-03-01T05:00'": [6],
    "zone < '2024-02-01 01:00:00+02:00'": [1, 2],
    "zone = '2024-01-31T23:00:00Z'": [3, 4],
    "at > '04:00'": [2, 4, 6],
    "at in ('00:00:00')": [1, 3, 5],
    "iso = '2024-02-01'": [3],
    "iso >= '2024-02-01 05:00:00'": [4, 5, 6],
    "day is empty": [7],
    "day is not EMPTY and ok = 'True'": [1, 2],
    "ok = 'false' or ok is null": [3, 4, 5, 6, 7],
    "ok = 1": [1, 2],
    "said = true": [1, 3, 5],
    "said != 'TRUE'": [2, 4, 6],
    "n = '2.5'": [1, 2, 3, 4, 5, 6],
    "odd like '2/%'": [3, 4],
    "day like '2024-02-%'": [3, 4],
}


def test_dates_times_and_truth_values_are_compared_as_such(moment_index):
    assert {condition: found(moment_index, condition) for condition in COMPARED} == COMPARED


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (
            "day < '2024-3-1'",
            "expected a date such as '2024-03-01' or '2024-03-01 05:00:00': 'day' holds such",
        ),
        ("day >= '1.6.2024'", "expected a date such as"),
        ("day > 2023", "expected a date such as"),
        ("day = '2024-02-30'", "expected a date such as"),
        ("day in ('2024-02-01', 5)", "expected a date such as"),
        ("day = true", "expected a date such as"),
        ("day = ''", "For empty cells write: is empty"),
        ("odd = ' '", "For empty cells write: is empty"),
        ("odd = null", "For empty cells write: is empty"),
        ("zone > '2024-02-01'", "expected a moment with its offset from UTC"),
        ("at > '2024-02-01'", "expected a time such as '05:00:00'"),
        ("ok = 'yes'", "expected true or false: 'ok' holds truth values"),
        ("ok > 2", "expected true or false"),
        ("n = true", "expected a number: 'n' holds numbers"),
        ("odd < '2024-02-01'", "'odd' holds texts that are not all dates"),
    ],
)
def test_what_a_type_is_not_compared_with_is_refused(moment_index, condition, said):
    with pytest.raises(pm.ConfigError) as caught:
        found(moment_index, condition)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_cell_that_is_no_date_is_in_no_order_with_dates(tmp_path):
    """A later table may hold anything; the column's kind stays."""
    rows = [{"day": "2024-02-01"}, {"day": "2024-03-01"}]
    index = write_index(tmp_path / "index", rows, {"item": directions(2)})
    with Writer(tmp_path / "index", index.manifest) as writer:
        writer.add(block([{"day": "soon"}], {"item": directions(1)}, index.manifest.fields, first=2))
        writer.finish()
    later = pm.Index.open(tmp_path / "index")
    assert found(later, "day > '2024-02-15'") == [2] and found(later, "day != '2024-02-01'") == [2, 3]
