"""What the processor learns from the training split, and from it alone."""

import time
import wave

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from transformers import (
    VideoMAEConfig,
    VideoMAEImageProcessorPil,
    ViTConfig,
    ViTImageProcessor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

import polymodal as pm
from polymodal.config import InputConfig, TargetConfig
from polymodal.data.media.cells import MediaError
from polymodal.data.preparation import prepare_rows, shared_inputs
from polymodal.data.processor import PolymodalProcessor, for_batches
from polymodal.data.readers import TextReader
from polymodal.data.tables.table import read_table
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.errors import ConfigError
from tests.support.clips import ramp, write_clip


def prepare(columns, inputs, targets=None, root=None):
    """The processor of a table with these columns."""
    table = read_table(pd.DataFrame(columns), name="t")
    if root is not None:
        pd.DataFrame(columns).to_csv(root / "t.csv", index=False)
        table = read_table(root / "t.csv")
    configs = {name: InputConfig.model_validate(config) for name, config in inputs.items()}
    tasks = {name: TargetConfig(task=task) for name, task in (targets or {}).items()}
    return for_batches(prepare_rows(table, configs, tasks))


def write_sound(path, seconds, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.zeros(round(seconds * rate), "<i2").tobytes())


def test_a_category_seen_three_times_among_thousands_is_kept():
    cells = ["a"] * 2000 + ["b"] * 3 + ["c"] + [None] * 5
    reader = prepare({"x": cells}, {"x": {"modality": "category"}}).readers["x"]
    assert reader.categories == ["a", "b", "c"]


def test_numbers_take_their_scale_from_what_is_filled():
    reader = prepare({"x": ["1", "NA", "3", ""]}, {"x": {"modality": "number"}}).readers["x"]
    assert (reader.mean, reader.deviation, reader.edges) == (2.0, 1.0, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("modality", ["number", "category", "text", "image", "audio", "video"])
def test_an_empty_column_can_be_prepared_and_is_the_checks_to_name(modality):
    processor = prepare({"x": [None, None, ""], "y": [1, 2, 3]}, {"x": {"modality": modality}})
    assert processor([{"x": None}])["inputs"] == {}


def test_texts_teach_the_tokenizer():
    cells = ["flying saucer", "flying carpet", None] * 4
    reader = prepare({"x": cells}, {"x": {"modality": "text", "max_length": 40}}).readers["x"]
    assert len(reader.read("flying saucer", None)) == 3 and reader.max_length == 40
    assert reader.part.decode(reader.read("Flying fish", None)[1:]).strip() == "flying fish"


def test_any_text_of_any_language_can_be_written():
    tokenizer = train_tokenizer(["only english"])
    for text in ("ünï cødé", "日本語", "🙂", "\x00"):
        assert tokenizer.unk_token_id not in tokenizer(text).input_ids


def test_columns_of_one_kind_share_a_reader_unless_told_otherwise():
    inputs = {
        "front": InputConfig(modality="image"),
        "back": InputConfig(modality="image"),
        "own": InputConfig(modality="image", share=False),
        "large": InputConfig(modality="image", size=32),
        "rooms": InputConfig(modality="number"),
        "baths": InputConfig(modality="number"),
    }
    assert shared_inputs(inputs) == [["front", "back"], ["own"], ["large"], ["rooms"], ["baths"]]


def test_a_shared_reader_learns_from_all_its_columns():
    columns = {"a": ["flying saucer"] * 3, "b": ["magic carpet"] * 3}
    readers = prepare(columns, {name: {"modality": "text"} for name in columns}).readers
    assert readers["a"] is readers["b"]
    assert [len(readers["a"].read(text, None)) for text in ("flying saucer", "magic carpet")] == [3, 3]


def test_sequences_share_where_a_step_has_as_many_features():
    random = np.random.default_rng(0)
    widths = {"face": 3, "hand": 2, "foot": 3}
    columns = {
        name: [random.normal(size=(4, width)).tolist() for _ in range(3)] for name, width in widths.items()
    }
    readers = prepare(columns, {name: {"modality": "sequence"} for name in columns}).readers
    assert [readers[name].features for name in columns] == [3, 2, 3]
    assert readers["face"] is readers["foot"] and readers["hand"] is not readers["face"]


@pytest.mark.parametrize(("side", "expected"), [(9, 32), (45, 48), (64, 64), (500, 96)])
def test_pictures_are_seen_at_their_usual_size_within_limits(tmp_path, side, expected):
    for place in range(3):
        Image.new("RGB", (side, side // 2)).save(tmp_path / f"{place}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    cells = ["0.png", "1.png", "2.png", "broken.png", None]
    reader = prepare({"x": cells}, {"x": {"modality": "image"}}, root=tmp_path).readers["x"]
    assert reader.size == expected
    assert (
        prepare({"x": cells}, {"x": {"modality": "image", "size": 40}}, root=tmp_path).readers["x"].size == 40
    )


def test_recordings_are_heard_at_their_own_rate_and_length(tmp_path):
    for place in range(4):
        write_sound(tmp_path / f"{place}.wav", 0.43)
    cells = [f"{place}.wav" for place in range(4)]
    reader = prepare({"x": cells}, {"x": {"modality": "audio"}}, root=tmp_path).readers["x"]
    assert (reader.rate, reader.seconds) == (8000, 0.5)
    given = {"modality": "audio", "rate": 4000, "seconds": 2}
    reader = prepare({"x": cells}, {"x": given}, root=tmp_path).readers["x"]
    assert (reader.rate, reader.seconds) == (4000, 2.0)


def test_long_recordings_are_cut_and_high_rates_lowered(tmp_path):
    write_sound(tmp_path / "long.wav", 20, rate=32000)
    reader = prepare({"x": ["long.wav"]}, {"x": {"modality": "audio"}}, root=tmp_path).readers["x"]
    assert (reader.rate, reader.seconds) == (16000, 10.0)


@pytest.mark.parametrize(
    ("part", "rate", "seconds"),
    [(Wav2Vec2FeatureExtractor(sampling_rate=4000), 4000, 0.5), (WhisperFeatureExtractor(), 16000, 30.0)],
    ids=["wav2vec2", "whisper"],
)
def test_a_checkpoint_hears_at_its_own_rate_and_whisper_its_own_length(tmp_path, part, rate, seconds):
    write_sound(tmp_path / "a.wav", 0.43)
    part.save_pretrained(tmp_path / "model")
    config = {"modality": "audio", "encoder": str(tmp_path / "model")}
    reader = prepare({"x": ["a.wav"]}, {"x": config}, root=tmp_path).readers["x"]
    assert (reader.rate, reader.seconds) == (rate, seconds)


def test_a_checkpoint_brings_its_own_image_processor(tmp_path):
    ViTImageProcessor(size={"height": 10, "width": 10}).save_pretrained(tmp_path)
    reader = prepare({"x": [None]}, {"x": {"modality": "image", "encoder": str(tmp_path)}}).readers["x"]
    assert reader.read(Image.new("RGB", (30, 20)), None).shape == (3, 10, 10)


@pytest.mark.parametrize(("side", "expected"), [(18, 32), (40, 40), (90, 64)])
def test_clips_are_seen_at_their_usual_size_within_limits(tmp_path, side, expected):
    write_clip(tmp_path / "a.mp4", ramp(4, width=side, height=16))
    (tmp_path / "broken.mp4").write_bytes(b"no clip")
    cells = {"x": ["a.mp4", "broken.mp4", None]}
    reader = prepare(cells, {"x": {"modality": "video"}}, root=tmp_path).readers["x"]
    assert (reader.frames, reader.size) == (8, expected)
    given = {"modality": "video", "size": 24, "frames": 3}
    reader = prepare(cells, {"x": given}, root=tmp_path).readers["x"]
    assert (reader.frames, reader.size) == (3, 24)
    own = {"modality": "video", "encoder": {"type": "videomae", "image_size": 48, "num_frames": 6}}
    reader = prepare(cells, {"x": own}, root=tmp_path).readers["x"]
    assert (reader.frames, reader.size) == (6, 48)


def test_a_checkpoint_of_clips_has_its_own_number_of_frames_and_one_of_pictures_any(tmp_path):
    VideoMAEConfig(num_frames=4).save_pretrained(tmp_path / "clips")
    VideoMAEImageProcessorPil().save_pretrained(tmp_path / "clips")
    ViTConfig().save_pretrained(tmp_path / "pictures")
    ViTImageProcessor().save_pretrained(tmp_path / "pictures")

    def frames(folder, **settings):
        config = {"modality": "video", "encoder": str(tmp_path / folder), **settings}
        return prepare({"x": [None]}, {"x": config}).readers["x"].frames

    assert frames("clips") == frames("clips", frames=4) == 4
    assert (frames("pictures"), frames("pictures", frames=5)) == (8, 5)
    with pytest.raises(ConfigError, match=r"'frames' cannot be 5: the encoder of 'x' reads 4\. Leave"):
        frames("clips", frames=5)


def test_classes_are_the_training_splits_with_numbers_in_their_order():
    columns = {"x": [1] * 5, "y": ["10", "2", "b", "a", None], "z": [0.5, None, 1, 2, 3]}
    tasks = {"y": "classification", "z": "regression"}
    targets = prepare(columns, {"x": {"modality": "number"}}, tasks).targets
    assert targets["y"].classes == ["2", "10", "a", "b"] and targets["z"].classes == []


def test_a_checkpoint_that_cannot_be_had_is_one_line():
    with pytest.raises(ConfigError, match="give the folder") as caught:
        prepare({"x": ["a"]}, {"x": {"modality": "text", "encoder": "nobody/such-model"}})
    assert "\n" not in str(caught.value)


def deep(level, side=16):
    """A gray picture of 16 bits."""
    return np.full((side, side), level, np.uint16)


def test_pictures_of_an_input_have_one_full_scale_so_that_a_dark_one_stays_dark(tmp_path):
    cells = (
        [deep(200)] * 300 + [deep(4000)] + [np.full((16, 16, 3), 200, np.uint8)]
    )  # the bright one comes late
    processor = prepare({"x": cells}, {"x": {"modality": "image"}})
    processor.save_pretrained(tmp_path)
    for reader in (processor.readers["x"], PolymodalProcessor.from_pretrained(tmp_path).readers["x"]):
        assert reader.full_scale == 4095
        assert reader.read(deep(200), None).max() == round(200 / 4095 * 255)
        assert reader.read(cells[-1], None).max() == 200
        with pytest.raises(MediaError, match="values to 9000, expected at most 4095 as in the training rows"):
            reader.read(deep(9000), None)


def test_a_full_scale_may_be_declared_and_pictures_of_8_bits_have_none():
    cells = [deep(200)] * 4
    given = prepare({"x": cells}, {"x": {"modality": "image", "full_scale": 1000}}).readers["x"]
    assert (given.full_scale, given.read(cells[0], None).max()) == (1000, 51)
    plain = prepare({"x": [np.zeros((16, 16), np.uint8)] * 4}, {"x": {"modality": "image"}}).readers["x"]
    assert plain.full_scale is None and plain.settings() == {"size": 32}


def test_the_check_says_what_is_white_and_what_was_clipped():
    loud = {"array": np.linspace(-2, 2, 800).astype(np.float32), "sampling_rate": 8000}
    rows = [{"p": deep(100 + 40 * row), "s": loud, "y": "ab"[row % 2]} for row in range(30)]
    report = pm.check(rows, target="y", inputs=["p", "s"])
    assert report.ok
    (column,) = [column for column in report.columns if column.column == "p"]
    assert column.detail.endswith("4095 is white")
    found = {(warning.column, warning.found) for warning in report.warnings}
    assert ("s", "30 of its cells: louder than full scale, clipped at it") in found


@pytest.mark.parametrize("text", ["the quick brown fox ", "a", " ", "é漢"])
def test_a_text_of_megabytes_is_read_in_no_time_and_as_before(text):
    reader = TextReader(train_tokenizer(["the quick brown fox"] * 9), max_length=32)
    short, long = text * (20_000 // len(text)), text * (2_000_000 // len(text))
    began = time.process_time()
    ids = reader.read(long, None)
    assert time.process_time() - began < 5
    if len(set(text)) > 1:
        np.testing.assert_array_equal(ids, reader.part(short, truncation=True, max_length=32).input_ids)
