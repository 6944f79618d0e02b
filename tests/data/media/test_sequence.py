"""Feature sequences: every kind of cell gives the same numbers, damage comes out as one line."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from polymodal.data.media.cells import Limits, MediaError, recognise
from polymodal.data.media.sequence import load_sequence
from polymodal.data.readers import SequenceReader

STEPS = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


CELLS = {
    "npy": "a.npy",
    "path": Path("a.npy"),
    "npz": "a.npz",
    "bytes": npy(STEPS),
    "compressed bytes": npz(True, features=STEPS),
    "record of a path": {"path": "a.npy", "bytes": None},
    "record of bytes": {"path": "gone.npy", "bytes": npy(STEPS)},
    "record of an array": {"array": STEPS.tolist()},
    "array": STEPS,
    "of doubles": npy(STEPS.astype(np.float64)),
    "column by column": npy(np.asfortranarray(STEPS)),
    "big end first": npy(STEPS.astype(">f4")),
    "lists": STEPS.tolist(),
    "list of arrays": list(STEPS),
    "JSON": str(STEPS.tolist()),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_kind_of_cell_gives_the_same_features(tmp_path, name):
    (tmp_path / "a.npy").write_bytes(npy(STEPS))
    (tmp_path / "a.npz").write_bytes(npz(x=STEPS))
    found = load_sequence(CELLS[name], tmp_path)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, STEPS)


@pytest.mark.parametrize("cell", [[1, 2, 3], np.array([1, 2, 3]), npy(np.array([1, 2, 3])), "[1, 2, 3]"])
def test_one_dimension_is_time(cell):
    assert load_sequence(cell).tolist() == [[1], [2], [3]]


def lying_header(shape):
    """A file whose header promises more than there is."""
    return npy(STEPS).replace(b"(7, 3), }", b"%s, }" % shape, 1)


def zip_bomb():
    """A megabyte of noughts in a few bytes."""
    return npz(True, x=np.zeros((1000, 250), np.float32))


BAD = {
    "another kind of file": (b"hello, world " * 9, "117 bytes is no NumPy file, expected .npy or .npz"),
    "cut short": (npy(STEPS)[:-5], "207 bytes is cut short: 207 of 212 bytes"),
    "cut in the header": (npy(STEPS)[:40], r"40 bytes cannot be read \(.+\), expected a NumPy array\. Repl"),
    "an endless header": (lying_header(b"(9**9, 3)"), "cannot be read"),
    "a lying header": (lying_header(b"(9999999999999, 3)"), "is cut short: 224 of 120000000000116 bytes"),
    "a negative length": (lying_header(b"(-7, 3)"), r"shape \(-7, 3\) holds no features"),
    "pickled": (npy(np.array([{"a": 1}]), allow_pickle=True), r"holds Python objects, never.*numpy\.save"),
    "pickled in an archive": (npz(x=np.array([None, 1])), "holds Python objects, never loaded"),
    "texts": (npy(np.array(["a", "b"])), r"array of <U1, shape \(2,\), expected numbers of shape"),
    "complex": (npy(np.zeros((2, 2), complex)), "array of complex128"),
    "three dimensions": (npy(np.zeros((2, 3, 4))), r"shape \(2, 3, 4\), expected numbers of shape \(time, f"),
    "a single number": (npy(np.float32(3)), r"shape \(\), expected"),
    "no steps": (npy(np.zeros((0, 3))), r"array of shape \(0, 3\) holds no features.*Leave the cell empty"),
    "no features": (npy(np.zeros((3, 0))), r"array of shape \(3, 0\) holds no features"),
    "not finite": (np.where(STEPS[4, 1] == STEPS, np.nan, STEPS), "1 values that are no.* step 5, feature 2"),
    "too large for float32": (np.full((2, 2), 1e300), "4 values that are no finite numbers"),
    "several arrays": (npz(x=STEPS, y=STEPS), r"holds 2 arrays \('x', 'y'\), expected one array\. Save the"),
    "no array": (npz(), "is no NumPy file|holds 0 arrays"),
    "a bomb": (zip_bomb(), r"holds 1,000,128 bytes unpacked, expected at most 100,000 bytes"),
    "a damaged archive": (npz(x=STEPS)[:-30], "cannot be read"),
    "ragged": ([[1, 2], [3, 4], [5]], "list of 3: step 3 has 1 features, expected 2 as in step 1"),
    "words": ([["a"], ["b"]], "expected numbers"),
    "a gap": ([[1.0, None], [2.0, 3.0]], "the first in step 1, feature 2"),
    "a missing file": ("no.npy", "no.npy does not exist"),
    "a number": (3.5, "float, expected a path, bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sequence_is_told_in_one_line(tmp_path, name):
    cell, message = BAD[name]
    with pytest.raises(MediaError, match=message) as caught:
        load_sequence(cell, tmp_path, Limits(bytes=100_000))
    assert "\n" not in str(caught.value)


def test_what_an_archive_declares_is_not_believed():
    """The size in the table of contents says a little, the bytes behind it are many."""
    bomb = bytearray(zip_bomb())
    place = bomb.index(b"PK\x01\x02") + 24
    bomb[place : place + 4] = (200).to_bytes(4, "little")
    with pytest.raises(MediaError, match=r"cut short|cannot be read"):
        load_sequence(bytes(bomb), limits=Limits(bytes=100_000))


def test_damage_in_the_middle_is_no_other_kind_of_error():
    random = np.random.default_rng(0)
    for whole in (npy(STEPS), npz(x=STEPS), npz(True, x=STEPS)):
        for _ in range(150):
            damaged = bytearray(whole)
            for place in random.integers(0, len(whole), 3):
                damaged[place] = random.integers(256)
            try:
                assert load_sequence(bytes(damaged)).dtype == np.float32
            except MediaError as error:
                assert "\n" not in str(error)


def test_an_archive_of_other_things_is_no_sequence():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("note.txt", "hello")
    with pytest.raises(MediaError, match="cannot be read"):
        load_sequence(file.getvalue())


def test_scale_is_learnt_from_arrays_of_any_length():
    random = np.random.default_rng(1)
    arrays = [1e4 + random.normal(size=(n, 2)) * [0.5, 3] for n in (1, 9, 40, 3)]
    reader = SequenceReader.of_arrays(arrays)
    whole = np.concatenate(arrays)
    np.testing.assert_allclose(reader.mean, whole.mean(axis=0))
    np.testing.assert_allclose(reader.deviation, whole.std(axis=0))
    assert reader.features == 2 and reader.length == 40


def test_the_usual_number_of_features_counts_and_others_are_refused():
    arrays = [np.ones((4, 3)), np.zeros((90, 2)), np.zeros((5, 3))]
    reader = SequenceReader.of_arrays(arrays)
    assert reader.features == 3 and reader.length == 5
    with pytest.raises(MediaError, match="array of 90 x 2 has 2 features a step, expected 3 as in training"):
        reader.read(arrays[1], None)


def test_a_feature_that_never_changes_is_safe():
    reader = SequenceReader.of_arrays([np.full((5, 1), 0.1, np.float32), np.full((7, 1), 0.1, np.float32)])
    assert reader.deviation.tolist() == [1.0]
    assert np.abs(reader.read([0.1, 5.0], None)).max() < 5


def test_one_wild_value_does_not_rule():
    reader = SequenceReader.of_arrays([STEPS])
    assert np.abs(reader.read(STEPS * 1e20, None)).max() == SequenceReader.FAR


def test_long_ones_are_cut_and_short_ones_padded_with_the_mean():
    reader = SequenceReader.of_arrays([STEPS], length=5)
    items = [reader.read(array, None) for array in (STEPS, STEPS[:2])]
    values = reader.collate(items)
    assert values["steps"].shape == (2, 5, 3) and values["length"].tolist() == [5, 2]
    assert not values["steps"][1, 2:].any()
    assert SequenceReader.length_of([10] * 97 + [50] * 3) == 50 and SequenceReader.length_of([9000]) == 1024


def test_a_column_without_a_sequence_has_a_reader_too():
    assert SequenceReader.of_arrays([]).features == 1


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (["a.jpg", "b.png"], "image"),
        ('["a.wav", null, "b.wav"]', "audio"),
        ("['a.npy']", "sequence"),
        ([{"path": "a.jpg", "bytes": None}, None], "image"),
        ([STEPS, STEPS], "sequence"),
        ("[[0.5, 1], [2, 3]]", "sequence"),
        (["a.jpg", "b.wav"], None),
        ("[1] a footnote", None),
        ("[see note]", None),
        ([None], None),
    ],
)
def test_lists_are_recognised_by_what_they_hold(cell, kind):
    assert recognise(cell) == kind
