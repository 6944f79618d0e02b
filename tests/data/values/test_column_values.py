"""Cells as numbers and as labels."""

import math
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from polymodal.data.schema.schema import as_label, as_labels, parse_numbers
from polymodal.data.values.column_values import number_in


def test_numeric_texts_are_read_with_spaces_around():
    numbers, bad = parse_numbers(pa.chunked_array([["1", " 2.5 ", "-3e2", "+.5"]]))
    assert numbers.tolist() == [1, 2.5, -300, 0.5] and not len(bad)


@pytest.mark.parametrize(
    "cell", [None, "", "  ", "NA", "n/a", "NaN", "null", "None", "#N/A", "<NA>", "?", " - ", "."]
)
def test_words_for_nothing_are_empty_numbers(cell):
    numbers, bad = parse_numbers(pa.chunked_array([pa.array([cell, "1"], pa.string())]))
    assert np.isnan(numbers[0]) and not len(bad)


@pytest.mark.parametrize(
    "cell", ["1,200", "ten", "inf", "-Infinity", "0x10", "1_000", "1e999", "1e39", "1 2"]
)
def test_what_is_no_number_is_pointed_out(cell):
    numbers, bad = parse_numbers(pa.chunked_array([["7", cell]]))
    assert numbers[0] == 7 and np.isnan(numbers[1]) and bad.tolist() == [1]


@pytest.mark.parametrize(
    "values", [[True, False, None], ["True", "False", ""], [1, 0, None], [1.0, 0.0, np.nan]]
)
def test_numbers_of_any_type_are_the_same(values):
    numbers, bad = parse_numbers(pa.chunked_array([pa.array(values)]))
    np.testing.assert_array_equal(numbers, [1, 0, np.nan])
    assert not len(bad)


def test_infinity_in_a_float_column_is_bad():
    assert parse_numbers(pa.chunked_array([[1.0, float("inf"), -3e38, 4e38]]))[1].tolist() == [1, 3]


def test_cells_of_another_type_are_bad():
    assert parse_numbers(pa.chunked_array([pa.array([[1.0], None])]))[1].tolist() == [0]


def test_a_hundred_thousand_texts_are_read_in_half_a_second():
    cells = pa.chunked_array([[str(number / 7) for number in range(100_000)]])
    start = time.perf_counter()
    parse_numbers(cells)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("value", ["1", " 1 ", 1, 1.0, np.int64(1), np.float32(1), "1.0"])
def test_a_class_has_one_name_wherever_it_comes_from(value):
    assert as_label(value) == "1"


@pytest.mark.parametrize(
    ("value", "label"), [(True, "True"), ("True", "True"), (1.5, "1.5"), ("1.10", "1.10"), ("", "")]
)
def test_labels_are_plain_text(value, label):
    assert as_label(value) == label


@pytest.mark.parametrize("value", [None, float("nan"), "  ", pd.NA])
def test_nothing_has_an_empty_label(value):
    assert as_label(value) == ""


def test_labels_of_a_column_equal_labels_of_its_cells():
    cells = ["b", None, "a", " b", ""]
    assert as_labels(pa.chunked_array([cells, ["a"]])).tolist() == ["b", "", "a", "b", "", "a"]


def test_labels_of_no_rows_are_none():
    assert len(as_labels(pa.chunked_array([], type=pa.string()))) == 0


@pytest.mark.parametrize("written", [None, "1.234,5", "1,234.5"])
def test_a_number_in_one_text_is_read_as_in_a_column(written):
    texts = [
        "1", " 1.5e3 ", "-.5", "5.", "+7", "1,5", "1.234,5", "1,234.5", "1.234", "12 %", "true", "FALSE", "",
        "n/a", "-", "?", "nan", "inf", "1e400", "4e38", "abc", "١", "1 000", "\t2\n", "12,-", "(3)", "1_000",
    ]  # fmt: skip
    numbers, bad = parse_numbers(pa.chunked_array([texts]), written)
    expected = [math.inf if place in bad else float(number) for place, number in enumerate(numbers)]
    np.testing.assert_array_equal([number_in(text, written) for text in texts], expected)
