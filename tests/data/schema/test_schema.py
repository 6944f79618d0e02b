"""Completing a declaration from the table, and writing it as YAML."""

import pandas as pd
import pytest

from polymodal.config.parsing import load_yaml, parse
from polymodal.data.schema.schema import complete, render_yaml
from polymodal.data.tables.table import read_table
from polymodal.errors import ConfigError, DataError


def table(tmp_path, columns, name="table.csv"):
    pd.DataFrame(columns).to_csv(tmp_path / name, index=False)
    return read_table(tmp_path / name, name=name)


@pytest.fixture
def houses(tmp_path):
    columns = {
        "id": range(20),
        "photo": [f"{number}.png" for number in range(20)],
        "city": ["Oslo", "Rome"] * 10,
        "rooms": [1.5 * (number % 7) for number in range(20)],
        "clip": [f"{number}.mp4" for number in range(20)],
        "agent": [f"agent {number // 2}" for number in range(20)],
        "split": ["train"] * 14 + ["val"] * 3 + ["test"] * 3,
        "price": [1000.5 + number for number in range(20)],
    }
    return table(tmp_path, columns, "houses.csv")


def test_everything_readable_is_an_input_in_the_tables_order(houses):
    values, _ = complete({"data": {"group": "agent"}}, houses, targets=["price"])
    assert list(values["inputs"]) == ["photo", "city", "rooms", "clip"]
    assert values["targets"] == {"price": {"task": "regression"}}


def test_every_column_gets_a_guess(houses):
    _, guesses = complete({}, houses, targets=["price"])
    assert [guess.column for guess in guesses] == houses.columns


def test_named_inputs_are_read_in_the_tables_order(houses):
    values, _ = complete({}, houses, targets=["price"], inputs=["rooms", "photo"])
    assert values["inputs"] == {"photo": {"modality": "image"}, "rooms": {"modality": "number"}}


def test_a_declared_input_gets_its_modality(houses):
    values, _ = complete({"inputs": {"city": None, "photo": {"size": 32}}}, houses, targets=["price"])
    assert values["inputs"] == {"city": {"modality": "category"}, "photo": {"modality": "image", "size": 32}}


def test_a_declared_modality_stays(houses):
    values, _ = complete({"inputs": {"city": {"modality": "text"}}}, houses, targets=["price"])
    assert values["inputs"] == {"city": {"modality": "text"}}


def test_named_inputs_keep_their_declared_settings(houses):
    given = {"inputs": {"photo": {"modality": "image", "size": 32}, "city": {"modality": "text"}}}
    values, _ = complete(given, houses, targets=["price"], inputs=["photo", "rooms"])
    assert values["inputs"] == {"photo": {"modality": "image", "size": 32}, "rooms": {"modality": "number"}}


def test_a_row_number_is_read_where_it_is_named(houses):
    assert complete({}, houses, targets=["price"], inputs=["id"])[0]["inputs"] == {
        "id": {"modality": "number"}
    }


def test_a_declared_target_keeps_its_settings(houses):
    values, _ = complete({"targets": {"price": {"transform": "log"}}}, houses)
    assert values["targets"] == {"price": {"task": "regression", "transform": "log"}}


def test_what_was_given_is_left_as_it_is(houses):
    given = {"inputs": {"city": None}}
    complete(given, houses, targets=["price"])
    assert given == {"inputs": {"city": None}}


def test_a_completed_declaration_can_be_completed_again(tmp_path, houses):
    values, _ = complete({}, houses, targets=["price"])
    full = parse(values).model_dump()
    no_split = table(
        tmp_path, {name: houses.values(name).to_pylist() for name in houses.columns if name != "split"}
    )
    assert parse(complete(full, no_split)[0]) == parse(values)


def test_an_unknown_target_is_named_with_its_neighbour(houses):
    with pytest.raises(DataError, match=r"houses\.csv: no column 'prise'\. Did you mean 'price'\?"):
        complete({}, houses, targets=["prise"])


def test_every_unknown_column_is_named(houses):
    with pytest.raises(DataError) as error:
        complete({}, houses, targets=["prise"], inputs=["foto"])
    assert len(error.value.problems) == 2


def test_an_unknown_group_is_named(houses):
    with pytest.raises(DataError, match="no column 'agents'"):
        complete({"data": {"group": "agents"}}, houses, targets=["price"])


def test_a_column_is_not_both_input_and_target(houses):
    with pytest.raises(ConfigError, match="'price' is both an input and a target"):
        complete({}, houses, targets=["price"], inputs=["price", "city"])


def test_a_clip_asked_for_is_read(houses):
    values, _ = complete({}, houses, targets=["price"], inputs=["clip"])
    assert values["inputs"] == {"clip": {"modality": "video"}}


def test_nothing_left_to_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="no column left to read"):
        complete({}, table(tmp_path, {"id": range(9), "y": [1.5, 2, 3] * 3}), targets=["y"])


def test_an_empty_column_asked_for_is_refused(tmp_path):
    frame = table(tmp_path, {"note": [None] * 6, "y": [1, 2] * 3})
    with pytest.raises(DataError, match="column 'note': every cell is empty"):
        complete({}, frame, targets=["y"], inputs=["note"])


def round_trip(tmp_path, frame, given, **more):
    values, guesses = complete(given, frame, **more)
    declaration = parse(values | {"data": {"train": "houses.csv"} | values.get("data", {})})
    path = tmp_path / "run.yaml"
    path.write_text(render_yaml(declaration, guesses, "houses.csv"), encoding="utf-8")
    assert load_yaml(path) == declaration
    return path.read_text(encoding="utf-8")


def test_the_yaml_reads_back_as_the_declaration(tmp_path, houses):
    text = round_trip(tmp_path, houses, {}, targets=["price"])
    assert "  photo: {modality: image}  # 20 of 20 cells end in .png\n" in text
    assert "  # id: left out, the whole numbers 0 to 19, each once: a row number\n" in text


def test_what_was_set_is_in_the_yaml(tmp_path, houses):
    given = {
        "data": {"validation": 0.2, "group": "agent", "split": None},
        "inputs": {"photo": {"encoder": {"checkpoint": "owner/name"}, "freeze": True}, "city": None},
        "fusion": {"name": "bottleneck", "layers": 3},
        "train": {"learning_rate": 3e-5, "max_grad_norm": 0.5},
    }
    round_trip(tmp_path, houses, given, targets=["price"])


def test_a_declaration_without_targets_reads_back(tmp_path, houses):
    round_trip(tmp_path, houses, {})


NAMES = [
    "a: b",
    "#x",
    "type",
    "1",
    "yes",
    "null",
    " lead",
    "a.b",
    "día",
    "{x}",
    "- y",
    "q'uo\"te",
    "new\nline",
    "😀",
    "?",
    "1e3",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_column_name_reads_back(tmp_path, name):
    frame = read_table(
        pd.DataFrame({name: ["red", "blue"] * 10, name + "2": range(20), "y": [1.5, 2.5] * 10})
    )
    assert complete({}, frame, targets=["y"])[0]["inputs"] == {name: {"modality": "category"}}
    round_trip(tmp_path, frame, {}, targets=["y"])


def test_unused_columns_are_ready_to_be_read(tmp_path, houses):
    text = round_trip(tmp_path, houses, {}, targets=["price"], inputs=["photo"])
    assert "  # city: {modality: category}  # left out; 2 different values in 20 cells\n" in text
