"""Dates as people and programs write them, in UTC, and the order of day and month of a column."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from polymodal.data.media.cells import MediaError
from polymodal.data.values.column_values import look
from polymodal.data.values.dates import (
    DAY_FIRST,
    MONTH_FIRST,
    as_moment,
    check_date_format,
    find_date_format,
    find_order,
    parse_dates,
    read_date,
    show_date,
)
from polymodal.data.values.forms import form_of

BERLIN = datetime.timezone(datetime.timedelta(hours=2))
TEXTS = {
    "2024-03-01": "2024-03-01",
    "2024/3/1": "2024-03-01",
    "1.3.2024": "2024-03-01",
    "01.03.24": "2024-03-01",
    "1.3.69": "1969-03-01",
    "Fri, 1 Mar 2024": "2024-03-01",
    "1. März 2024": "2024-03-01",
    "1-Mar-24": "2024-03-01",
    "March 1st, 2024": "2024-03-01",
    "2024年3月1日": "2024-03-01",
    "2024-03-01T05:30": "2024-03-01 05:30:00",
    "2024-03-01 05:30:10.5Z": "2024-03-01 05:30:10",
    "2024-03-01 01:30:00+02:00": "2024-02-29 23:30:00",
    "2024-03-01T01:30:00-0530": "2024-03-01 07:00:00",
    "Mar 1, 2024 12:05 am": "2024-03-01 00:05:00",
    "1.3.2024 9:05 pm": "2024-03-01 21:05:00",
    "05:30": "1970-01-01 05:30:00",
}


@pytest.mark.parametrize("text", TEXTS)
def test_dates_that_are_written_are_read(text):
    assert show_date(read_date(text)) == TEXTS[text]
    assert show_date(read_date(f"  {text} ")) == TEXTS[text]


@pytest.mark.parametrize("text", [text for text in TEXTS if text != "05:30"])
def test_every_form_that_is_read_is_recognised_as_dates(text):
    assert form_of([text]) == "dates"


OBJECTS = [
    datetime.date(2024, 3, 1),
    datetime.datetime(2024, 3, 1),
    datetime.datetime(2024, 3, 1, 2, tzinfo=BERLIN),
    pd.Timestamp("2024-03-01"),
    pd.Timestamp("2024-03-01 01:00", tz="Europe/Berlin"),
    np.datetime64("2024-03-01"),
    np.datetime64("2024-03-01T00:00:00.000000000"),
]


@pytest.mark.parametrize("cell", OBJECTS, ids=repr)
def test_dates_of_every_carrier_are_the_same(cell):
    assert as_moment(read_date(cell)) == datetime.datetime(2024, 3, 1)


@pytest.mark.parametrize("cell", [None, "", "NA", "n/a", float("nan"), pd.NaT, pd.NA])
def test_empty_cells_are_no_dates(cell):
    assert np.isnan(read_date(cell))


@pytest.mark.parametrize("cell", ["2024-02-30", "31.31.2024", "soon", "1.3", 20240301, 1.5, "25:00", True])
def test_what_is_no_date_is_named(cell):
    with pytest.raises(
        MediaError, match=r"expected a date, such as 2024-12-31\. Correct the date, or leave it"
    ):
        read_date(cell)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("s"), pa.date32(), pa.date64()]
)
def test_columns_of_every_arrow_type_are_parsed(kind):
    days = [datetime.date(2024, 3, 1), None, datetime.date(2024, 3, 1)]
    values = pa.array(days, pa.date32()).cast(pa.timestamp("s")).cast(kind)
    seconds, bad = parse_dates(pa.chunked_array([values, values]))
    expected = read_date("2024-03-01")
    np.testing.assert_array_equal(seconds, [expected, np.nan, expected] * 2)
    assert not len(bad)


def test_texts_that_are_no_dates_are_bad_and_empty_ones_are_not():
    values = pa.chunked_array([["2024-03-01", "soon", None, "NA", "30.2.2024"]])
    seconds, bad = parse_dates(values)
    assert np.isfinite(seconds).tolist() == [True, False, False, False, False] and bad.tolist() == [1, 4]
    assert len(parse_dates(pa.chunked_array([], pa.string()))[0]) == 0


@pytest.mark.parametrize(
    ("cells", "order", "is_doubtful"),
    [
        (["3/4/2024", "25/6/2024"], DAY_FIRST, False),
        (["3/4/2024", "6/25/2024"], MONTH_FIRST, False),
        (["3/4/2024", "5/6/2024"], MONTH_FIRST, True),
        (["3.4.2024", "5.6.2024"], DAY_FIRST, False),
        (["5/5/2024"], MONTH_FIRST, False),
        (["25/6/2024", "6/25/2024"], None, True),
        (["2024-03-04", "March 4, 2024"], None, False),
        (["24-01-15", "24-02-20", "23-12-31", "24-05-05"], None, True),  # the year may be first
        (["24/06/25", "13/06/25", "02/07/25"], DAY_FIRST, True),
        (["24/06/00", "13/06/99"], DAY_FIRST, False),
        ([f"{day:02d}/06/2{day % 5}" for day in range(1, 31)], DAY_FIRST, False),
    ],
)
def test_the_order_is_that_of_the_whole_column(cells, order, is_doubtful):
    values = pa.chunked_array([cells])
    found = find_order(look(values))
    assert found.format == order == find_date_format(values) and bool(found.doubt) == is_doubtful


@pytest.mark.parametrize(
    ("sample", "first"),
    [("31/12/2024", True), ("31.12.24", True), ("12-31-2024", False), ("2024-12-31", True)],
)
def test_a_format_is_the_last_day_of_2024(sample, first):
    assert check_date_format(sample) is first
    assert show_date(read_date("3/4/2024", sample)) == ("2024-04-03" if first else "2024-03-04")


@pytest.mark.parametrize("sample", ["1/2/2024", "dd.mm.yyyy", "1.234,5"])
def test_a_format_that_is_none_is_refused(sample):
    with pytest.raises(ValueError, match="is not the 31st of December 2024 as the column writes it"):
        check_date_format(sample)
