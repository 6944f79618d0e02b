"""Names of values: spelling first, meaning second; the order of classes; vocabularies saved before."""

import datetime
import itertools

import pyarrow as pa
import pytest

from polymodal.data.readers import CategoryReader
from polymodal.data.targets import class_names, target_reader
from polymodal.data.values.column_values import as_labels, vocabulary_of
from polymodal.data.values.vocabulary import Vocabulary


def names(*cells):
    return vocabulary_of(pa.chunked_array([pa.array(list(cells))])).names


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1", "1.0", "2.0"), ["1", "1.0", "2.0"]),
        (("1.0", "2.0"), ["1.0", "2.0"]),
        (("1.0", "2.0", None), ["1", "2"]),
        (("1.0", "1.10", "1.1"), ["1.0", "1.1", "1.10"]),
        (("true", "true", "True", "no"), ["no", "true"]),
        ((1.0, 2.5, None), ["1", "2.5"]),
        ((True, False), ["False", "True"]),
    ],
)
def test_values_are_named_as_they_are_written(cells, expected):
    assert names(*cells) == expected


@pytest.mark.parametrize(
    ("cell", "place"), [("1", 0), ("1.0", 1), (1, 0), (1.0, 0), ("1.00", 0), ("2.0", 2), (2, 2), ("3", None)]
)
def test_a_cell_is_looked_up_by_its_spelling_first(cell, place):
    assert Vocabulary(["1", "1.0", "2.0"]).index(cell) == place


def test_two_spellings_of_a_column_are_two_labels():
    assert as_labels(pa.chunked_array([["1", "1.0", "2.0"]])).tolist() == ["1", "1.0", "2"]


def test_the_order_of_classes_does_not_depend_on_how_they_come():
    classes = ["nan", "10", "2", "b", "inf", "a"]
    assert {tuple(class_names(order)) for order in itertools.permutations(classes)} == {
        ("2", "10", "inf", "a", "b", "nan")
    }


@pytest.mark.parametrize(
    ("saved", "cells"),
    [
        (["False", "True"], [True, "true", "TRUE", "True"]),
        (["2024-01-30 00:00:00", "2024-01-31 00:00:00"], [datetime.date(2024, 1, 31), "2024-01-31"]),
        (["a", "0.10000000149011612"], [0.10000000149011612, "0.10000000149011612"]),
        (["1.00", "1.50"], [1.5, "1.50"]),
    ],
)
def test_vocabularies_of_runs_saved_before_are_read(saved, cells):
    assert [CategoryReader(categories=saved).read(cell, None) for cell in cells] == [2] * len(cells)
    assert [target_reader("classification", saved).read(cell) for cell in cells] == [1] * len(cells)


def test_several_labels_keep_their_spellings_apart():
    reader = target_reader("multilabel", ["1", "1.0", "True"], separator="|")
    assert reader.read("1.0|true|nan").tolist() == [0, 1, 1]
    assert reader.read([1, True]).tolist() == [1, 0, 1]
