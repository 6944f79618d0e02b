"""Cells that hold several items: what counts as several, what is kept, which one is wrong."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import MediaError, is_empty
from polymodal.data.media.content_keys import Contents
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import CategoryReader, ImageReader, NumberReader, SequenceReader, TextReader
from polymodal.data.readers.items import each_item, holds_nothing, split_items
from polymodal.data.schema.schema import guess_modality
from polymodal.data.tables.table import read_table
from polymodal.data.text_tokenizer import train_tokenizer

PIXELS = np.zeros((4, 4, 3), np.uint8)
STEPS = np.zeros((5, 3), np.float32)
CLIP = np.zeros((2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("cell", "modality", "count"),
    [
        (["a.jpg", "b.jpg"], "image", 2),
        (("a.jpg", None), "image", 2),
        ('["a.jpg", "b.jpg"]', "image", 2),
        ("['a.jpg', 'b.jpg']", "image", 2),
        (np.array(["a.jpg", "b.jpg"], dtype=object), "image", 2),
        ([PIXELS, PIXELS], "image", 2),
        (PIXELS.tolist(), "image", None),
        (PIXELS, "image", None),
        ("a.jpg", "image", None),
        ("[draft].jpg", "image", None),
        ([{"array": [0.1], "sampling_rate": 8}], "audio", 1),
        (["a.mp4", "b.mkv"], "video", 2),
        ('["a.mp4", "b.mkv"]', "video", 2),
        ([CLIP, CLIP], "video", 2),
        (CLIP, "video", None),
        (["one", "two"], "text", 2),
        ('["one", "two"]', "text", None),
        ([0.1, 0.2], "sequence", None),
        (STEPS.tolist(), "sequence", None),
        (list(STEPS), "sequence", None),
        ([STEPS, STEPS[:2]], "sequence", 2),
        ([STEPS.tolist(), STEPS[:2].tolist()], "sequence", 2),
        (["a.npy", "b.npz"], "sequence", 2),
        ([1, 2], "number", None),
        (["a", "b"], "category", None),
    ],
)
def test_what_counts_as_several(cell, modality, count):
    items = split_items(cell, modality)
    assert (items if items is None else len(items)) == count


@pytest.mark.parametrize("cell", [[], [None], (None, ""), [[], []], [{"path": None, "bytes": None}]])
def test_a_list_of_nothing_is_an_empty_cell(cell):
    assert is_empty(cell) and holds_nothing(cell, "image")


def test_written_lists_of_nothing_are_empty_too_and_gaps_are_passed_over():
    assert holds_nothing("[]", "image") and holds_nothing("[null, '']".replace("'", '"'), "image")
    assert not holds_nothing("[]", "text") and not is_empty([float("nan")])
    assert list(each_item(["a.jpg", None, "b.jpg"], "image")) == [(1, "a.jpg"), (3, "b.jpg")]
    assert list(each_item("a.jpg", "image")) == [(0, "a.jpg")] and list(each_item(None, "image")) == []


def make_processor():
    return PolymodalProcessor(
        {
            "photos": ImageReader(size=8),
            "notes": TextReader(train_tokenizer([])),
            "moves": SequenceReader(features=3, length=10),
            "rooms": NumberReader(),
            "city": CategoryReader(categories=["a"]),
        }
    )


def picture(folder, name, shade):
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(folder / name)
    return name


def test_a_row_stands_as_often_as_its_cell_holds_items(tmp_path):
    names = [picture(tmp_path, f"{shade}.png", shade) for shade in (10, 20, 30)]
    rows = [
        {"photos": names[:2], "moves": STEPS},
        {"photos": [], "notes": ["one", "two", None, "three"]},
        {"photos": f'["{names[2]}"]', "notes": "four", "moves": [STEPS, STEPS[:2]]},
    ]
    inputs = make_processor()(rows, tmp_path)["inputs"]
    assert inputs["photos"]["row"].tolist() == [0, 0, 2]
    assert inputs["photos"]["pixel_values"][:, 0, 0, 0].tolist() == [10, 20, 30]
    assert inputs["notes"]["row"].tolist() == [1, 1, 1, 2]
    assert inputs["moves"]["row"].tolist() == [0, 2, 2] and inputs["moves"]["length"].tolist() == [5, 5, 2]


def test_what_is_several_is_the_same_as_each_alone(tmp_path):
    names = [picture(tmp_path, f"{shade}.png", shade) for shade in (10, 20)]
    processor = make_processor()
    both = processor([{"photos": names}], tmp_path)["inputs"]["photos"]["pixel_values"]
    for place, name in enumerate(names):
        alone = processor([{"photos": name}], tmp_path)["inputs"]["photos"]["pixel_values"]
        assert torch.equal(alone[0], both[place])


def test_a_bad_item_is_named(tmp_path):
    cell = [picture(tmp_path, "a.png", 9), None, "gone.png"]
    with pytest.raises(MediaError, match=r"^item 3: gone\.png does not exist"):
        make_processor().read("photos", cell, tmp_path)


def test_too_many_items_are_refused_not_cut(tmp_path):
    processor = make_processor()
    processor.readers["photos"].items = 2
    with pytest.raises(MediaError, match=r"a list of 3 items, expected at most 2\. Raise the input"):
        processor.read("photos", ["a.png"] * 3, tmp_path)
    processor.save_pretrained(tmp_path)
    readers = PolymodalProcessor.from_pretrained(tmp_path).readers
    assert readers["photos"].items == 2 and readers["notes"].items == 8


def test_one_and_several_may_stand_in_one_column(tmp_path):
    cells = ["a.png", ["b.png", b"\x89PNG"], None, [Image.new("L", (2, 2)), "c.png"]]
    table = read_table([{"x": cell} for cell in cells])
    found = [len(list(each_item(row["x"], "image"))) for row in table.rows()]
    assert found == [1, 2, 0, 2]
    texts = read_table([{"x": "one"}, {"x": ["two", "three"]}])
    assert [row["x"] for row in texts.rows()] == [["one"], ["two", "three"]]


@pytest.mark.parametrize(
    ("cells", "modality", "reason"),
    [
        ([["a.jpg", "b.jpg"], ["c.jpg"], None], "image", "2 of 2 cells are lists of .jpg, 1 empty"),
        ([["a.mp4", "b.mp4"], ["c.mp4"]], "video", "2 of 2 cells are lists of .mp4"),
        ([["a.wav"], [], ["b.wav"]], "audio", "2 of 2 cells are lists of .wav, 1 empty"),
        ([[0.5, 1.0], [2.0]], "sequence", "2 of 2 cells are lists of numbers"),
        ([STEPS, STEPS[:2]], "sequence", "2 of 2 cells are lists of numbers"),
        ([["red", "blue"], ["green"]], "text", "lists of texts in 2 cells"),
    ],
)
def test_columns_of_lists_are_guessed(cells, modality, reason):
    guess = guess_modality(read_table(pd.DataFrame({"x": cells})), "x")
    assert (guess.modality, guess.reason) == (modality, reason) and guess.is_read


def test_written_lists_in_a_csv_are_guessed(tmp_path):
    frame = pd.DataFrame({"x": [["a.jpg", "b.jpg"], ["c.jpg"]], "y": [[0.1], [0.2, 0.3]]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    assert guess_modality(table, "x").modality == "image"
    assert guess_modality(table, "y").modality == "sequence"


def test_arrays_of_a_dataset_are_sequences():
    kinds = {"x": datasets.Array2D((4, 3), "float32"), "y": datasets.List(datasets.Value("float64"))}
    cells = {
        "x": [np.full((4, 3), place).tolist() for place in range(6)],
        "y": [[0.5] * (place + 1) for place in range(6)],
    }
    table = read_table(datasets.Dataset.from_dict(cells, features=datasets.Features(kinds)))
    assert [guess_modality(table, name).modality for name in ("x", "y")] == ["sequence", "sequence"]
    assert np.asarray(table.row(2)["x"]).tolist() == cells["x"][2]


def test_equal_lists_in_two_splits_are_found():
    lists = [[[0.5, 1.0]], [[2.0, 3.0]], [[0.5, 1.0], [1.0, 1.0]], [[2.0, 3.0]], [[1.0, 2.0], [2.0, 3.0]]]
    cells = [{"x": cell, "p": ["a.jpg", "b.jpg"] if place % 2 else []} for place, cell in enumerate(lists)]
    parts = Parts({"train": read_table(cells)}, {}, {"x": "sequence", "p": "image"})
    contents = Contents(parts, ["x", "p"])
    keys = contents.keys("train", "x")
    assert keys[1] == keys[3] and len(set(keys)) == 4
    keys = contents.keys("train", "p")
    assert keys[0] == keys[2] == keys[4] == b"" and keys[1] == keys[3] != b""
