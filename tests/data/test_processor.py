"""The processor: rows to a batch, every bad cell told at once, saved and loaded as it was."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from polymodal.data.cache.memory import ReadCache, cell_key
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import AudioReader, CategoryReader, ImageReader, NumberReader, TextReader
from polymodal.data.targets import target_reader
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.errors import DataError, PolymodalError, RunError


def make_processor():
    """Two columns of text and two of pictures that share a reader each, names that trip others up."""
    text, image = TextReader(train_tokenizer(["a red house"] * 2), max_length=16), ImageReader(size=8)
    readers = {
        "values": text,
        "type": image,
        "a.b": AudioReader(rate=1000, seconds=0.2),
        "items": image,
        "Ünï cødé": text,
        "half": NumberReader(mean=1.0, deviation=2.0, edges=[0.0, 1.0, 5.0]),
        "b": CategoryReader(categories=["y", "x"]),
    }
    targets = {"z": target_reader("classification", ["no", "yes"]), "a": target_reader("regression")}
    return PolymodalProcessor(readers, targets)


def picture(shade):
    return Image.new("RGB", (6, 9), (shade, 0, 0))


SOUND = {"array": np.linspace(0, 1, 150, dtype=np.float32), "sampling_rate": 1000}
ROWS = [
    {"values": "a house", "type": picture(9), "a.b": SOUND, "half": 3, "b": "x", "z": "yes", "a": 2.5},
    {"values": "", "items": picture(200), "half": "NA", "b": "never seen", "z": None, "a": ""},
    {"Ünï cødé": "a red house", "type": picture(20), "b": None, "z": "no"},
]


def flat(batch):
    """Every tensor of a batch by its path."""
    found = {"index": batch["index"]}
    for name, values in batch["inputs"].items():
        found |= {f"{name}/{key}": value for key, value in values.items()}
    return found | batch["targets"]


def test_a_batch_holds_what_is_there_and_the_rows_it_belongs_to():
    batch = make_processor()(ROWS)
    rows = {name: values["row"].tolist() for name, values in batch["inputs"].items()}
    assert rows == {
        "values": [0], "type": [0, 2], "a.b": [0], "items": [1], "Ünï cødé": [2], "half": [0], "b": [0, 1],
    }  # fmt: skip
    assert list(batch["inputs"]) == list(make_processor().readers)
    assert batch["inputs"]["b"]["value"].tolist() == [2, 0]
    torch.testing.assert_close(batch["inputs"]["half"]["value"], torch.tensor([[1.0, 1.0, 0.5]]))
    assert batch["targets"]["z"].tolist() == [1, -100, 0]
    assert batch["targets"]["a"][0] == 2.5 and batch["targets"]["a"][1:].isnan().all()


def test_inputs_that_no_row_has_and_targets_that_no_row_names_are_left_out():
    batch = make_processor()([{"half": 1.0}, {"half": None, "unheard of": 3}])
    assert list(batch["inputs"]) == ["half"] and batch["targets"] == {}
    assert make_processor()([{}])["inputs"] == {}


def test_a_row_gives_the_same_whatever_stands_beside_it():
    processor = make_processor()
    together = processor(ROWS)["inputs"]["type"]["pixel_values"]
    assert torch.equal(processor(ROWS[2:])["inputs"]["type"]["pixel_values"][0], together[1])


def test_all_bad_cells_are_told_at_once_with_their_places(tmp_path):
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n")
    rows = [{"half": "ten", "type": "cut.png"}, {"half": 1}, {"a.b": "gone.wav", "a": "dear", "z": "perhaps"}]
    with pytest.raises(DataError) as caught:
        make_processor()(rows, tmp_path, numbers=[4, 5, 11], source="houses.csv")
    places = [(problem.file, problem.row, problem.column) for problem in caught.value.problems]
    assert places == [
        ("houses.csv", 5, "type"),
        ("houses.csv", 5, "half"),
        ("houses.csv", 12, "a.b"),
        ("houses.csv", 12, "z"),
        ("houses.csv", 12, "a"),
    ]
    assert "houses.csv, row 5, column 'half': 'ten', expected a number" in str(caught.value)


def test_paths_start_from_the_root(tmp_path):
    picture(77).save(tmp_path / "a.png")
    values = make_processor()([{"type": "a.png"}], tmp_path)["inputs"]["type"]["pixel_values"]
    assert values[0, 0].unique().tolist() == [77]


def test_saved_and_loaded_it_makes_the_same(tmp_path):
    processor = make_processor()
    processor.save_pretrained(tmp_path)
    again = PolymodalProcessor.from_pretrained(tmp_path)
    assert list(again.readers) == list(processor.readers) and list(again.targets) == ["z", "a"]
    ours, theirs = flat(processor(ROWS)), flat(again(ROWS))
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, atol=0, rtol=0, equal_nan=True)


def test_shared_readers_stay_shared(tmp_path):
    make_processor().save_pretrained(tmp_path)
    readers = PolymodalProcessor.from_pretrained(tmp_path).readers
    assert readers["values"] is readers["Ünï cødé"] and readers["type"] is readers["items"]
    assert len({id(reader) for reader in readers.values()}) == 5
    assert len(json.loads((tmp_path / "processor_config.json").read_text(encoding="utf-8"))["readers"]) == 5


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"readers": [{"modality": "smell"}]}'])
def test_an_unreadable_processor_is_one_clear_line(tmp_path, content):
    if content is not None:
        (tmp_path / "processor_config.json").write_text(content)
    with pytest.raises(RunError, match=r"no readable processor_config\.json") as caught:
        PolymodalProcessor.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_processor_whose_tokenizer_is_gone_says_so(tmp_path):
    make_processor().save_pretrained(tmp_path)
    for path in (tmp_path / "reader_0").iterdir():
        path.unlink()
    with pytest.raises(RunError, match="the run is incomplete"):
        PolymodalProcessor.from_pretrained(tmp_path)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(PolymodalError, match="no folder, nor to be had from the hub"):
        PolymodalProcessor.from_pretrained(tmp_path / "nowhere")


def test_what_was_read_is_kept_by_content_up_to_the_limit(tmp_path):
    picture(5).save(tmp_path / "a.png")
    processor, cache = make_processor(), ReadCache(limit=3 * 8 * 8 + 10)
    for _ in range(2):
        processor([{"type": "a.png"}], tmp_path, cache=cache)
    assert cache.size == 3 * 8 * 8 and cache.refused == 0
    (tmp_path / "a.png").unlink()
    kept = processor([{"type": "a.png"}], tmp_path, cache=cache)["inputs"]["type"]["pixel_values"]
    assert kept[0, 0].unique().tolist() == [5]
    picture(6).save(tmp_path / "b.png")
    for _ in range(2):
        processor([{"type": "b.png"}], tmp_path, cache=cache)
    assert cache.refused == 2


def test_what_names_the_same_file_but_holds_other_content_is_not_taken_for_it():
    assert cell_key({"path": "a.wav", "bytes": b"one"}) != cell_key({"path": "a.wav", "bytes": b"two"})
    assert cell_key({"path": "a.wav", "array": [0.0], "sampling_rate": 8}) is None
    assert cell_key("a.wav") == cell_key({"path": "a.wav", "bytes": None})
