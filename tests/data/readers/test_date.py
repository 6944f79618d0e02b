"""Dates as an input: calendar numbers on scales of the training split, and on circles."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from polymodal.config import InputConfig
from polymodal.data.media.cells import MediaError
from polymodal.data.readers import DateReader, load_reader
from polymodal.data.readers.columns import TrainingColumns
from polymodal.data.tables.table import read_table

DAYS = [f"2024-{month:02d}-15" for month in range(1, 13)]


def fitted(cells, **settings) -> DateReader:
    table = read_table(pd.DataFrame({"day": cells}))
    config = InputConfig(modality="date", **settings)
    return DateReader.fit(TrainingColumns(table, ["day"], config, DateReader.split_items))


def value(reader, *cells):
    return reader.collate([reader.read(cell, None) for cell in cells])["value"].numpy()


def test_numbers_are_standardized_by_the_training_dates():
    reader = fitted([*DAYS, None])
    found = value(reader, *DAYS)
    assert found.shape == (12, reader.features) and found.dtype == np.float32 and not reader.clock
    np.testing.assert_allclose(found[:, [0, 2, 4]].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found[:, [0, 2, 4]].std(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found[:, [1, 3]], 0)  # one year, one day of the month
    np.testing.assert_allclose(value(reader, "2025-01-15")[0, 1], 1)


def test_december_is_next_to_january_and_sunday_to_monday():
    reader = fitted(DAYS)
    circles = value(reader, "2024-12-15", "2024-01-15", "2024-06-15")[:, 5:7]  # sine and cosine of the month
    near, far = np.linalg.norm(circles[0] - circles[1:], axis=1)
    assert near < 0.6 < 1.7 < far
    weekdays = value(reader, "2024-03-03", "2024-03-04", "2024-03-07")[:, 9:11]
    near, far = np.linalg.norm(weekdays[0] - weekdays[1:], axis=1)
    assert near < 0.9 < 1.5 < far
    np.testing.assert_allclose((circles**2).sum(axis=1), 1, atol=1e-6)


def test_the_time_of_day_is_read_where_a_training_cell_has_one():
    plain, timed = fitted(DAYS), fitted([*DAYS, "2024-05-01 06:30"])
    assert not plain.clock and timed.clock and timed.features == plain.features + 6
    found = value(timed, "2024-05-01 06:00", "2024-05-01 18:00")
    assert found[0, 5] < found[1, 5]
    np.testing.assert_allclose(found[0, 13:15], [1, 0], atol=1e-6)  # a quarter of the day


def test_dates_far_out_of_the_training_range_count_as_no_farther():
    reader = fitted(DAYS)
    found = value(reader, "9999-12-31", "0001-01-01")
    assert np.isfinite(found).all() and found[0, 0] == 8 and found[1, 0] == -8


def test_the_order_of_day_and_month_is_the_settings():
    assert fitted(["3/4/2024"], format="12/31/2024").blank() == fitted(["2024-03-04"]).blank()
    assert fitted(["3/4/2024"], format="31/12/2024").blank() == fitted(["2024-04-03"]).blank()


def test_blank_is_the_mean_and_an_empty_column_has_a_reader():
    reader = fitted(DAYS)
    np.testing.assert_allclose(reader.collate([reader.blank()])["value"][0, 0], 0, atol=1e-6)
    assert np.isfinite(value(fitted([None, None]), "2024-01-01")).all()


def test_settings_build_the_same_reader_again():
    reader = fitted(["3/4/2024 07:00", "5/6/2024"], format="12/31/2024")
    again = load_reader("date", json.loads(json.dumps(reader.settings())), None)
    np.testing.assert_array_equal(value(reader, "7/8/2024"), value(again, "7/8/2024"))
    assert again.fingerprint == reader.fingerprint


DAMAGED = {
    "means": {"mean": [0.0, 1.0]},
    "0 means": {"mean": []},
    "deviation": {"deviation": [0.0] * 5},
    "clock": {"clock": 1},
    "31st of December": {"written": "dd/mm"},
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_settings_are_refused(what):
    with pytest.raises(ValueError, match=what):
        load_reader("date", fitted(DAYS).settings() | DAMAGED[what], None)


def test_what_is_empty_and_what_is_no_date():
    reader = fitted(DAYS)
    assert all(reader.is_empty(cell) for cell in (None, " ", "n/a", pd.NaT, float("nan")))
    assert not reader.is_empty("2024-01-01")
    with pytest.raises(MediaError, match="'soon', expected a date"):
        reader.read("soon", None)


def test_the_content_is_the_date_however_it_is_written():
    reader = fitted(DAYS)
    assert reader.content("1.3.2024", None) == reader.content(pd.Timestamp("2024-03-01"), None)


def test_a_private_fit_limits_dates_to_means_of_rows():
    def limited(cells, rows=3):
        values = read_table(pd.DataFrame({"day": cells})).values("day")
        return DateReader.without_rare(values, InputConfig(modality="date"), rows).to_pylist()

    days = limited([*DAYS, "1931-03-07", None, "n/a"])
    assert min(day for day in days if day).isoformat() == "1993-02-10T00:00:00"
    assert max(day for day in days if day).isoformat() == "2024-11-14T00:00:00"
    assert days[3].isoformat() == "2024-04-15T00:00:00" and days[-2:] == [None, None]
    assert limited(["1931-03-07", *[None] * 9]) == [None] * 10
    kept = limited([*DAYS, "1931-03-07", None, "never"])
    assert kept[-1] == "never" and kept[-2] is None, "the check names it"
    assert kept[:-2] == [day.isoformat() for day in days[:-2]]
    few = limited([*DAYS, "2024-06-15 08:30", "2024-06-15 09:30"])
    assert not any(day.hour for day in few), "the time of day of two rows"
    timed = limited([f"{day} 08:30" for day in DAYS])
    assert (timed[5].hour, timed[5].minute) == (8, 30)
