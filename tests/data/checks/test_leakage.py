"""Warnings of what would make a test flatter the model."""

import base64
import io
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import polymodal as pm
from tests.support.houses import ROWS, check_houses, make_houses


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


def test_rows_of_two_equal_inputs_and_nothing_else_are_no_duplicates(run, columns):
    columns["age"] = [row % 5 for row in range(ROWS)]
    for name in ("photo", "voice", "note"):
        columns[name][36] = columns[name][37] = columns[name][4] = columns[name][5] = None
    columns["city"][36], columns["age"][36] = columns["city"][4], columns["age"][4]
    inputs = ["photo", "voice", "note", "city", "age"]
    assert not run(inputs=inputs).warnings
    columns["note"][36] = columns["note"][4] = "the very same words"
    assert "1 of 6 test rows have the same inputs" in run(inputs=inputs).warnings[0].found


def test_a_picture_under_two_names_in_two_splits_is_warned_of(run, columns, tmp_path):
    for row in (36, 37):
        shutil.copy(tmp_path / f"{row - 32}.png", tmp_path / f"copy {row}.png")
        columns["photo"][row] = f"copy {row}.png"
    (warning,) = run().warnings
    assert warning.column == "photo" and warning.row == 37
    assert "picture in 2 of 6 test rows" in warning.found and "train row 5" in warning.found
    report = run(inputs=["photo"])
    assert ["2 of 6 test rows have the same inputs" in entry.found for entry in report.warnings] == [True]


@pytest.mark.parametrize("carrier", ["bytes", "uri", "array"])
def test_media_in_the_cells_are_compared_by_content_too(tmp_path, carrier):
    pictures = [
        np.random.default_rng(row % 36).integers(0, 255, (8, 8, 3), dtype=np.uint8) for row in range(ROWS)
    ]
    cells = []
    for picture in pictures:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        uri = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
        cells.append({"bytes": stream.getvalue(), "uri": uri, "array": picture.tolist()}[carrier])
    other = np.random.default_rng(0).normal(size=ROWS)
    split = ["train"] * 28 + ["val"] * 6 + ["test"] * 6
    table = pd.DataFrame({"photo": cells, "x": other, "split": split, "y": list("ab" * 20)})
    report = pm.check(table, target="y", settings=["inputs.photo.modality=image"])
    (warning,) = (entry for entry in report.warnings if entry.column == "photo")
    assert "picture in 4 of 6 test rows" in warning.found


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


def test_rows_of_few_values_are_equal_by_chance():
    random = np.random.default_rng(0)
    design = pd.DataFrame(
        {"wool": ["A", "B"] * 30, "tension": ["L", "M", "H"] * 20, "y": random.normal(size=60)}
    )
    assert not [line for line in pm.check(design, target="y").warnings if "same inputs" in line.found]
    survey = pd.DataFrame(random.integers(0, 5, (80, 6)), columns=list("abcdef")).astype(str)
    survey["y"] = random.normal(size=80)
    assert not [line for line in pm.check(survey, target="y").warnings if "same inputs" in line.found]
    copied = pd.concat([survey, survey.head(20)], ignore_index=True)
    copied["split"] = ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    (warning,) = [line for line in pm.check(copied, target="y").warnings if "same inputs" in line.found]
    assert "20 of 20 test rows" in warning.found


def test_a_copy_is_warned_of_where_half_of_the_rows_would_repeat_by_chance():
    random = np.random.default_rng(0)
    survey = pd.DataFrame(random.integers(0, 10, (1000, 2)), columns=list("ab")).astype(str)
    survey["y"] = random.normal(size=len(survey))
    train = survey.sample(120, random_state=0)
    alone = survey.drop(train.index).sample(300, random_state=0)
    found = []
    for tested in (alone, train.sample(300, replace=True, random_state=0)):
        table = pd.concat([train, tested], ignore_index=True)
        table["split"] = ["train"] * len(train) + ["test"] * len(tested)
        lines = pm.check(table, target="y").warnings
        found.append([line.found for line in lines if "same inputs" in line.found])
    assert found[0] == [] and "300 of 300 test rows" in found[1][0]
