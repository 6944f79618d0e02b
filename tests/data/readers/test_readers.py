"""Readers: what is kept of a cell, what becomes of several, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from transformers import (
    VideoMAEImageProcessorPil,
    ViTImageProcessorPil,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from polymodal.data.cache.memory import ReadCache
from polymodal.data.media.cells import MediaError
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import (
    READERS,
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    SequenceReader,
    TextReader,
    VideoReader,
    fixed_seconds,
    load_reader,
)
from polymodal.data.targets import target_reader
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.data.values.numbers import mean_and_deviation


def sound(samples, rate=1000):
    return {"array": np.linspace(-0.5, 0.5, samples, dtype=np.float32), "sampling_rate": rate}


def clip(frames, height=10, width=20):
    """Frames of one brightness each, growing by twenty."""
    return np.full((frames, height, width, 3), 20 * np.arange(frames).reshape(-1, 1, 1, 1), np.uint8)


@pytest.mark.parametrize("size", [(9, 7), (8, 8)])
def test_a_gray_picture_is_read_as_its_copy_in_colour(size):
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    reader, three = ImageReader(size=8), np.stack([pixels] * 3, axis=2)
    gray, colour = reader.read(pixels, None), reader.read(three, None)
    assert gray.shape == (3, 8, 8) and gray.flags.c_contiguous and np.array_equal(gray, colour)


def test_dense_batches_have_one_shape():
    text = TextReader(train_tokenizer(["a house", "by the sea"]), max_length=12)
    steps = SequenceReader(features=2, length=9)
    for reader, items in ((text, [text.read("a", None)]), (steps, [np.ones((4, 2), np.float32)])):
        short, full = reader.collate(items), reader.collate_dense(items)
        for name, values in full.items():
            if values.dim() > 1:
                behind = values[:, short[name].shape[1] :]
                assert values.shape[1] == {"text": 12, "sequence": 9}[reader.modality] and behind.numel()
                assert torch.equal(values[:, : short[name].shape[1]], short[name])


def test_the_code_of_a_number_by_hand():
    reader = NumberReader(mean=1.0, deviation=2.0, edges=[0.0, 1.0, 3.0, 7.0])
    assert reader.features == 4
    value = reader.collate([-5.0, 0.5, 2.0, 7.0])["value"]
    expected = [[-3.0, 0, 0, 0], [-0.25, 0.5, 0, 0], [0.5, 1, 0.5, 0], [3.0, 1, 1, 1]]
    torch.testing.assert_close(value, torch.tensor(expected))


def test_numbers_learn_scale_and_quantiles_and_skip_what_is_empty():
    reader = NumberReader.of_numbers(np.array([1.0, np.nan, 3.0, 5.0]))
    assert reader.mean == 3.0 and reader.deviation == pytest.approx(np.std([1, 3, 5]))
    assert reader.edges[0] == 1.0 and reader.edges[-1] == 5.0
    assert reader.collate([3.0])["value"].shape == (1, reader.features)


def test_one_typing_error_does_not_rule():
    reader = NumberReader.of_numbers(np.arange(100.0))
    value = reader.collate([1e12, -1e12])["value"]
    assert value[:, 0].tolist() == [NumberReader.FAR, -NumberReader.FAR]


@pytest.mark.parametrize("numbers", [[0.1] * 7, [1e6 + 0.1] * 7, [0.0] * 3, [5.0]])
def test_a_column_of_one_number_gives_no_huge_values(numbers):
    assert mean_and_deviation(np.array(numbers))[1] == 1.0
    reader = NumberReader.of_numbers(np.array(numbers))
    assert reader.collate([numbers[0]])["value"].abs().max() < 1e-6
    assert reader.collate([numbers[0] + 1])["value"].isfinite().all()


def test_a_column_without_a_number_has_a_reader_too():
    reader = NumberReader.of_numbers(np.array([np.nan, np.nan]))
    assert reader.features == 1 and reader.collate([2.0])["value"].tolist() == [[2.0]]


@pytest.mark.parametrize("cell", [None, "", "  ", "NA", "n/a", "NaN", " null ", float("nan"), pd.NA, pd.NaT])
def test_nothing_is_nothing_in_a_number_column(cell):
    assert NumberReader().is_empty(cell)
    assert np.isnan(target_reader("regression").read(cell))


@pytest.mark.parametrize("cell", [0, 0.0, "0", False])
def test_nought_is_something(cell):
    assert not NumberReader().is_empty(cell)
    assert NumberReader().read(cell, None) == 0.0


@pytest.mark.parametrize("cell", [2, 2.0, "2", " 2.0 ", np.float32(2), np.int64(2), "2e0"])
def test_a_number_is_the_same_however_it_is_written(cell):
    assert NumberReader().read(cell, None) == 2.0 == target_reader("regression").read(cell)


@pytest.mark.parametrize(
    "cell", ["ten", "1,200", "inf", float("inf"), 10**400, [1.0], {"a": 1}, Image.new("L", (2, 2))]
)
def test_what_is_no_number_is_refused(cell):
    for reader in (NumberReader(), target_reader("regression")):
        with pytest.raises(MediaError, match="expected a number"):
            reader.read(cell, None) if isinstance(reader, NumberReader) else reader.read(cell)


def test_every_category_has_its_own_place_however_rare():
    labels = ["common"] * 500 + ["rare"] * 3 + ["once", ""]
    reader = CategoryReader.of_labels(labels)
    assert reader.categories == ["common", "once", "rare"]
    assert [reader.read(cell, None) for cell in ("common", "once", " rare ")] == [1, 2, 3]


def test_an_unknown_category_is_nought_and_nothing_is_missing():
    reader = CategoryReader.of_labels(["1", "2"])
    assert reader.read("elsewhere", None) == 0
    assert reader.read(2, None) == reader.read("2.0", None) == 2
    assert reader.is_empty(None) and reader.is_empty(" ") and reader.is_empty(pd.NA)


def test_texts_are_padded_to_the_longest_and_cut_at_the_limit():
    reader = TextReader(train_tokenizer([]), max_length=8)
    items = [reader.read(text, None) for text in ("ab", "a text that is much longer", "")]
    values = reader.collate(items)
    assert values["input_ids"].shape == values["attention_mask"].shape == (3, 8)
    assert values["attention_mask"].sum(dim=1).tolist() == [len(items[0]), 8, len(items[2])]
    assert not values["input_ids"][values["attention_mask"] == 0].any()


def test_a_text_without_any_token_is_still_a_text():
    values = TextReader(train_tokenizer([])).collate([np.zeros(0, np.int64), np.array([5, 6])])
    assert values["attention_mask"].tolist() == [[1, 0], [1, 1]]


def test_the_tokenizers_own_limit_holds():
    tokenizer = train_tokenizer([])
    tokenizer.model_max_length = 5
    assert TextReader(tokenizer, max_length=100).max_length == 5


def test_numbers_in_a_text_column_are_read_as_they_are_shown():
    reader = TextReader(train_tokenizer([]))
    assert reader.read(3.0, None).tolist() == reader.read("3", None).tolist()


def test_pictures_become_squares_of_bytes():
    reader = ImageReader(size=8)
    values = reader.collate([reader.read(Image.new("RGB", size, "red"), None) for size in ((20, 5), (8, 8))])
    assert values["pixel_values"].shape == (2, 3, 8, 8)
    assert values["pixel_values"].dtype == torch.uint8
    assert values["pixel_values"][:, 0].min() == 255 and values["pixel_values"][:, 1:].max() == 0


def test_clips_become_a_few_squares_of_bytes_whatever_their_length():
    reader = VideoReader(frames=2, size=8)
    values = reader.collate([reader.read(clip(frames), None) for frames in (4, 12, 1)])
    assert values["pixel_values"].shape == (3, 2, 3, 8, 8)
    assert values["pixel_values"].dtype == torch.uint8
    assert values["pixel_values"].float().mean(dim=(2, 3, 4)).tolist() == [[20, 60], [60, 180], [0, 0]]


@pytest.mark.parametrize("part", [ViTImageProcessorPil, VideoMAEImageProcessorPil])
def test_a_processor_of_pictures_or_of_clips_sees_the_frames_one_by_one(part):
    sizes = {"size": {"height": 8, "width": 8}} if part is ViTImageProcessorPil else {
        "size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}  # fmt: skip
    reader = VideoReader(part(**sizes, image_mean=[0.5] * 3, image_std=[0.5] * 3), frames=2)
    values = reader.collate([reader.read(clip(4), None)])["pixel_values"]
    assert values.shape == (1, 2, 3, 8, 8) and values.dtype == torch.float32
    expected = torch.tensor([20.0, 60.0]) / 127.5 - 1
    torch.testing.assert_close(values[0].mean(dim=(1, 2, 3)), expected)


def test_sound_is_cut_or_padded_to_the_fixed_length_whatever_the_others_have():
    reader = AudioReader(rate=1000, seconds=0.5)
    items = [reader.read(sound(samples), None) for samples in (100, 500, 2000)]
    values = reader.collate(items)
    assert values["waveform"].shape == (3, 500) and values["length"].tolist() == [100, 500, 500]
    assert not values["waveform"][0, 100:].any()
    torch.testing.assert_close(values["waveform"][2], torch.from_numpy(sound(2000)["array"][:500]))
    assert torch.equal(reader.collate(items[:1])["waveform"][0], values["waveform"][0])


@pytest.mark.parametrize("part", [Wav2Vec2FeatureExtractor, lambda: WhisperFeatureExtractor(chunk_length=1)])
def test_a_feature_extractor_gets_the_fixed_length_too(part):
    reader = AudioReader(part(), rate=16000, seconds=1.0)
    items = [reader.read(sound(samples, 16000), None) for samples in (1600, 40000)]
    both, first = reader.collate_dense(items), reader.collate_dense(items[:1])
    (name,) = set(both) - {"length"}
    assert torch.equal(first[name][0], both[name][0])
    assert both["length"].tolist() == [1600, 16000]
    alone = reader.collate(items[:1])[name][0]
    torch.testing.assert_close(alone, both[name][0][..., : alone.shape[-1]], atol=1e-5, rtol=0)


def test_whispers_features_end_with_silence_after_the_longest_recording():
    reader = AudioReader(WhisperFeatureExtractor(), rate=16000, seconds=30.0)
    items = [reader.read(sound(samples, 16000), None) for samples in (1600, 16000)]
    assert reader.collate(items)["input_features"].shape[2] == 150
    assert reader.collate(items[:1])["input_features"].shape[2] == 50


def test_whisper_has_one_length_and_wav2vec_any():
    assert fixed_seconds(WhisperFeatureExtractor()) == 30
    assert fixed_seconds(Wav2Vec2FeatureExtractor()) is None and fixed_seconds(None) is None


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_built_again_from_its_settings(tmp_path, name):
    readers = {
        "text": TextReader(train_tokenizer(["to be or not to be"] * 3), max_length=9),
        "image": ImageReader(size=12),
        "audio": AudioReader(rate=1000, seconds=0.25),
        "sequence": SequenceReader(features=2, length=3, mean=[1.0, 2.0], deviation=[0.1, 3.0]),
        "number": NumberReader(mean=1.0, deviation=2.0, edges=[0, 1]),
        "category": CategoryReader(categories=["b", "a"]),
        "date": DateReader.of_seconds(np.array([0.0, 1e9])),
        "categories": CategoriesReader(categories=["b", "a"], separator="|"),
        "video": VideoReader(frames=3, size=12),
    }
    cells = {
        "text": "to be",
        "image": Image.new("L", (5, 9)),
        "audio": sound(80),
        "sequence": [[0.5, 1.5]],
        "number": 0.3,
        "category": "a",
        "date": "1.3.2024",
        "categories": "a|c",
        "video": clip(5),
    }
    reader = readers[name]
    if reader.part is not None:
        reader.part.save_pretrained(tmp_path)
    again = load_reader(name, reader.settings(), tmp_path if reader.part is not None else None)
    ours, theirs = (r.collate([r.read(cells[name], None)]) for r in (reader, again))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_class_that_training_never_saw_is_refused_and_an_empty_one_ignored():
    reader = target_reader("classification", ["no", "yes"])
    assert [reader.read(cell) for cell in ("yes", " no ", None, "", pd.NA)] == [1, 0, -100, -100, -100]
    with pytest.raises(MediaError, match=r"the class 'maybe', expected one that training saw \(no, yes\)"):
        reader.read("maybe")


def test_a_reader_with_other_settings_reads_anew(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    reader, cache = ImageReader(size=32), ReadCache()
    processor = PolymodalProcessor({"photo": reader})
    assert processor.read("photo", "a.png", tmp_path, cache).shape == (3, 32, 32)
    processor.change_readers({"photo": {"size": 16}})
    assert processor.read("photo", "a.png", tmp_path, cache).shape == (3, 16, 16)
    assert reader.size == 32 and reader.with_settings(size=32) is reader
