"""Warnings of what would make a test flatter the model."""

from functools import partial

import numpy as np
import pytest

from tests.data.houses import ROWS, check_houses, make_houses


@pytest.fixture
def columns(tmp_path):
    return make_houses(tmp_path)


@pytest.fixture
def run(tmp_path, columns):
    """Write the columns as they are by then, and check a declaration of them."""
    return partial(check_houses, tmp_path, columns)


def test_rows_in_two_splits_are_counted_with_an_example(run, columns):
    for name in ("photo", "voice", "rooms", "city", "note"):
        columns[name][36] = columns[name][4]
        columns[name][37] = columns[name][5]
    (warning,) = run().warnings
    assert warning.row == 37 and "2 of 6 test rows have the same inputs" in warning.found
    assert "the first as train row 5" in warning.found


def test_rows_that_share_only_some_inputs_are_no_duplicates(run, columns):
    columns["photo"][36] = columns["photo"][4]
    assert not run().warnings


def test_rows_without_any_input_are_no_duplicates(run, columns):
    columns["note"][3] = columns["note"][36] = None
    assert not run(inputs=["note"]).warnings


def test_a_category_that_gives_the_class_is_warned_of(run, columns):
    columns["city"] = ["north" if kind == "flat" else "south" for kind in columns["kind"]]
    (warning,) = run().warnings
    assert warning.column == "city" and "give the target 'kind' in 100.0% of 28 rows" in warning.found


def test_a_text_equal_to_the_class_is_warned_of(run, columns):
    columns["kind"] = [f"kind of house {row}" for row in range(ROWS)]
    columns["note"] = list(columns["kind"])
    assert any("says the same as the target 'kind'" in warning.found for warning in run().warnings)


def test_a_number_in_the_order_of_the_target_is_warned_of(run, columns):
    columns["rooms"] = [float(np.exp(price)) for price in columns["price"]]
    (warning,) = run(target="price").warnings
    assert warning.column == "rooms" and "rank correlation 1.0000" in warning.found


def test_texts_nearly_unique_give_no_class_away(run):
    assert not run(inputs=["note", "rooms"]).warnings


def test_groups_in_two_splits_are_warned_of(run, columns):
    columns["owner"] = [f"owner {row // 4}" for row in range(ROWS)]
    (warning,) = run({"data": {"group": "owner"}}).warnings
    assert warning.column == "owner" and warning.found.startswith(
        "1 of 2 groups of test stand in other splits too"
    )
