"""Sets of categories as an input: one place per label, and a set without labels is not missing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from polymodal.config import InputConfig
from polymodal.data.media.cells import MediaError
from polymodal.data.readers import CategoriesReader, load_reader
from polymodal.data.readers.columns import TrainingColumns
from polymodal.data.readers.items import each_item
from polymodal.data.tables.table import read_table
from polymodal.data.values.missing import Marks


def fitted(cells, **settings) -> CategoriesReader:
    table = read_table(pd.DataFrame({"has": cells}))
    config = InputConfig(modality="categories", **settings)
    return CategoriesReader.fit(TrainingColumns(table, ["has"], config, CategoriesReader.split_items))


def value(reader, *cells):
    return reader.collate([reader.read(cell, None) for cell in cells])["value"].numpy().tolist()


LISTS = [["lift", "garden"], ["garden"], [], None, ["cellar", "lift"]]
TEXTS = ["lift|garden", "garden", "[]", None, " cellar | lift "]
WRITTEN = ['["lift", "garden"]', "['garden']", "[]", None, "['cellar', 'lift']"]


@pytest.mark.parametrize(("cells", "given"), [(LISTS, {}), (TEXTS, {"separator": "|"}), (WRITTEN, {})])
def test_labels_have_a_place_each_whatever_carries_them(cells, given):
    reader = fitted(cells, **given)
    assert reader.categories == ["cellar", "garden", "lift"]
    known = [cell for cell in cells if cell is not None]
    assert value(reader, *known) == [[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]]


def test_labels_that_training_never_saw_are_counted():
    reader = fitted(LISTS)
    assert value(reader, ["lift", "pool", "sauna"], np.array(["pool"]), ("lift",)) == [
        [2, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1],
    ]  # fmt: skip


def test_a_set_without_labels_is_there_and_an_empty_cell_is_missing():
    reader = fitted(LISTS)
    assert not reader.is_empty([]) and not reader.is_empty(np.array([])) and not reader.is_empty("[]")
    assert all(reader.is_empty(cell) for cell in (None, "", float("nan"), pd.NA))
    assert [item for _, item in each_item([], "categories")] == [[]]
    assert [item for _, item in each_item(["a", "b"], "categories")] == [["a", "b"]]
    assert reader.read(reader.blank(), None).tolist() == []


def test_settings_build_the_same_reader_again():
    reader = fitted(TEXTS, separator="|")
    again = load_reader("categories", json.loads(json.dumps(reader.settings())), None)
    assert value(reader, "lift|pool") == value(again, "lift|pool")
    assert again.fingerprint == reader.fingerprint


@pytest.mark.parametrize("damage", [{"categories": ["a", "a"]}, {"categories": "ab"}, {"separator": 1}])
def test_damaged_settings_are_refused(damage):
    with pytest.raises(ValueError, match="a reader of"):
        load_reader("categories", fitted(LISTS).settings() | damage, None)


def test_what_holds_no_labels_is_named():
    with pytest.raises(MediaError, match="expected labels, such as"):
        fitted(LISTS).read({"a": 1}, None)


def test_the_content_hangs_on_no_order():
    reader = fitted(LISTS)
    assert reader.content(["a", "b"], None) == reader.content(["b", "a"], None) != reader.content(["a"], None)


def test_marks_of_missing_values_are_no_labels_in_any_cell():
    table = read_table(pd.DataFrame({"has": ["a|?|b", "a", "b|?", "nan|a"]})).marking(Marks.of(["?"]))
    config = InputConfig(modality="categories", separator="|")
    reader = CategoriesReader.fit(TrainingColumns(table, ["has"], config, CategoriesReader.split_items))
    again = load_reader("categories", json.loads(json.dumps(reader.settings())), None)
    for each in (reader, again):
        assert each.categories == ["a", "b", "nan"]
        assert value(each, "a|?|b", ["a", "?", "b"], '["a", "?"]', "nan|a") == [
            [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 1],
        ]  # fmt: skip
        assert each.unknown_names("a|?|c") == ["c"]
    assert fitted(TEXTS, separator="|").settings() == {
        "categories": ["cellar", "garden", "lift"],
        "separator": "|",
    }
    with pytest.raises(ValueError, match="'missing' is neither null nor a list of texts"):
        load_reader("categories", {"categories": ["a"], "missing": "ab"}, None)


def test_a_grown_reader_keeps_the_index_of_what_it_knows():
    reader = fitted(LISTS).grown(pa.chunked_array([[["attic", "lift"], ["zoo"], None]]))
    assert reader.categories == ["cellar", "garden", "lift", "attic", "zoo"]
