"""Items of rows as arrays, and where they are."""

import numpy as np
import torch

from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import CategoriesReader, CategoryReader, DateReader, NumberReader, SequenceReader
from polymodal.data.row_processor import RowProcessor
from polymodal.runtime.array_processor import ArrayProcessor, padded, places
from polymodal.runtime.manifest import InputEntry, TensorEntry

READERS = {
    "size": NumberReader(mean=2.0, deviation=3.0, edges=[0, 1, 5]),
    "kind": CategoryReader(categories=["flat", "house"]),
    "tags": CategoriesReader(categories=["new", "old"]),
    "built": DateReader(),
    "curve": SequenceReader(features=2, length=6),
}
SHAPES = {
    "size": {"value": [3]}, "kind": {"value": []}, "tags": {"value": [3]}, "built": {"value": [11]},
    "curve": {"length": [], "steps": [None, 2]},
}  # fmt: skip
ROWS = [
    {"size": 4, "kind": "flat", "tags": ["old", "odd"], "built": "1998-05-04", "curve": np.ones((3, 2))},
    {"curve": [np.ones((2, 2)), np.zeros((5, 2))]},
    {"size": "7.5", "kind": "castle"},
]


def entries():
    return [
        InputEntry(name=name, tensors=[TensorEntry(name=key, shape=shape) for key, shape in shapes.items()])
        for name, shapes in SHAPES.items()
    ]


def test_items_are_numbered_row_by_row():
    place, present = places([1, 0, 2])
    assert place.tolist() == [[0, 0], [0, 0], [1, 2]]
    assert present.tolist() == [[True, False], [False, False], [True, True]]


def test_rows_without_any_item_have_one_place():
    place, present = places([0, 0])
    assert place.tolist() == [[0], [0]] and not present.any()


def test_items_are_padded_to_a_fixed_size():
    array = np.ones((2, 3, 2))
    assert padded(array, [None, 2]) is array
    wide = padded(array, [5, 2])
    assert wide.shape == (2, 5, 2) and wide[:, 3:].sum() == 0 and (wide[:, :3] == 1).all()


def test_arrays_are_the_tensors_of_the_run():
    own, runtime = PolymodalProcessor(READERS), ArrayProcessor(READERS)
    cells = [runtime.read_row(row)[0]["cells"] for row in ROWS]
    expected, found = own.collate(cells), runtime.feeds(entries(), cells)
    for number, name in enumerate(READERS):
        for key, tensor in expected[name].items():
            if key != "row":
                assert torch.equal(torch.from_numpy(found[f"{number}.{key}"]), tensor)
        rows = np.flatnonzero(found[f"{number}.present"].any(axis=1)).tolist()
        assert rows == sorted(set(expected[name]["row"].tolist()))


def test_an_input_that_no_row_has_is_one_blank_item():
    runtime = ArrayProcessor(READERS)
    found = runtime.feeds(entries(), [dict.fromkeys(READERS)])
    assert {array.shape[0] for array in found.values()} == {1}
    assert not any(found[f"{number}.present"].any() for number in range(len(READERS)))


def test_readers_are_loaded_as_they_were_saved(tmp_path):
    RowProcessor(READERS).save_pretrained(tmp_path)
    again = ArrayProcessor.read_folder(tmp_path)
    assert {name: reader.settings() for name, reader in again.readers.items()} == {
        name: reader.settings() for name, reader in READERS.items()
    }
