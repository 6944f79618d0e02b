"""Corruptions: they keep kind and shape, grow with the level, repeat, and lie before every reader."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from polymodal.data.readers import (
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    SequenceReader,
    TextReader,
    VideoReader,
)
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.robustness.corruptions import LEVELS, CellReader, corruptions_of, random_of
from polymodal.robustness.corruptions.audio_corruptions import clip, gaps, noise
from polymodal.robustness.corruptions.image_corruptions import PICTURES, cover
from polymodal.robustness.corruptions.text_corruptions import drop_words, mistype
from polymodal.robustness.corruptions.value_corruptions import exchange, jitter

SIDE, RATE = 24, 4000
PROSE = "The quick brown fox jumps over the lazy dog, while seven wizards vex the tiny queen of the north."


class Halving:
    """Stands for a checkpoint's image processor: its own size, and floats."""

    def __call__(self, images, return_tensors):
        images = images if isinstance(images, list) else [images]
        small = [np.asarray(i.convert("RGB").resize((12, 12)), dtype=np.float32) / 255 for i in images]
        return {"pixel_values": np.stack([picture.transpose(2, 0, 1) for picture in small])}


def smooth(random, *shape: int) -> np.ndarray:
    """Bytes that vary slowly, as pictures do, with a little grain."""
    rows, columns = np.meshgrid(np.linspace(0, 3, shape[0]), np.linspace(0, 5, shape[1]), indexing="ij")
    whole = 127 + 100 * np.sin(rows + random.uniform(0, 6)) * np.cos(columns + random.uniform(0, 6))
    return (whole.reshape(*shape[:2], *[1] * (len(shape) - 2)) + random.uniform(-20, 20, shape)).astype(
        np.uint8
    )


def tone(random) -> np.ndarray:
    return (0.4 * np.sin(np.arange(RATE // 2) * random.uniform(0.1, 0.9))).astype(np.float32)


def clip_of(random) -> np.ndarray:
    return np.stack([smooth(random, SIDE, SIDE, 3) for _ in range(3)])


READERS = {
    "image": (lambda: ImageReader(size=SIDE), lambda r: Image.fromarray(smooth(r, SIDE, SIDE, 3))),
    "gray": (lambda: ImageReader(size=SIDE), lambda r: Image.fromarray(smooth(r, SIDE, SIDE))),
    "large": (lambda: ImageReader(size=SIDE), lambda r: Image.fromarray(smooth(r, 70, 50, 3))),
    "processor": (lambda: ImageReader(Halving()), lambda r: Image.fromarray(smooth(r, 12, 12, 3))),
    "video": (lambda: VideoReader(frames=3, size=SIDE), clip_of),
    "audio": (lambda: AudioReader(rate=RATE, seconds=0.5),
              lambda r: {"array": tone(r), "sampling_rate": RATE}),
    "text": (lambda: TextReader(train_tokenizer([PROSE])),
             lambda r: " ".join(r.permutation(PROSE.split()))),
    "number": (lambda: NumberReader(mean=5.0, deviation=10.0), lambda r: float(r.normal(5, 10))),
    "sequence": (lambda: SequenceReader(features=3, length=20, mean=[0, 1, 2], deviation=[1, 10, 100]),
                 lambda r: r.normal(size=(9, 3))),
    "category": (lambda: CategoryReader(categories=["a", "b", "c"]), lambda r: str(r.choice(["a", "b"]))),
    "date": (lambda: DateReader.of_seconds(np.arange(100) * 86400.0),
             lambda r: f"2024-{r.integers(1, 13)}-{r.integers(1, 29)}"),
    "categories": (lambda: CategoriesReader(categories=[*"abcdefgh"]),
                   lambda r: [str(label) for label in r.permutation([*"abcdefgh"])[:3]]),
}  # fmt: skip


def as_array(value) -> np.ndarray:
    if isinstance(value, list):  # a set of labels
        return as_array("".join(value))
    if isinstance(value, str):  # how often each character stands: near enough to tell texts apart
        return np.bincount([ord(letter) % 256 for letter in value], minlength=256).astype(float)
    return np.asarray(value, dtype=np.float64)


@pytest.mark.parametrize("kind", READERS)
def test_both_steps_without_a_corruption_give_what_the_reader_gives(kind):
    make, cell = READERS[kind]
    reader, example = make(), cell(np.random.default_rng(0))
    (kept,) = CellReader(reader).read([CellReader(reader).decode(example, None)])
    np.testing.assert_array_equal(kept[0], reader.read(example, None))


@pytest.mark.parametrize("kind", READERS)
def test_corruptions_keep_the_kind_grow_with_the_level_and_repeat(kind):
    make, cell = READERS[kind]
    reader, random = make(), np.random.default_rng(1)
    cells = CellReader(reader)
    values = [cells.decode(cell(random), None)[0] for _ in range(60)]
    originals = [as_array(value) for value in values]
    found = corruptions_of(reader)
    assert found
    for corruption in found:
        assert len(corruption.strengths) == LEVELS and corruption.strength(0) is None
        distances = []
        for level in range(LEVELS + 1):
            worse = [corruption.at(v, level, random_of(3, row, level)) for row, v in enumerate(values)]
            again = [corruption.at(v, level, random_of(3, row, level)) for row, v in enumerate(values)]
            for value, new, same in zip(values, worse, again, strict=True):
                assert type(new) is type(value)
                np.testing.assert_array_equal(as_array(new), as_array(same))
                if not isinstance(value, str):
                    assert np.shape(new) == np.shape(value)
                if isinstance(value, np.ndarray):
                    assert new.dtype == value.dtype
            changes = [np.abs(as_array(n) - o).mean() for n, o in zip(worse, originals, strict=True)]
            distances.append(float(np.mean(changes)))
            assert len(cells.read([[value] for value in worse])) == len(values)
        for value, original in zip(values, originals, strict=True):  # what was given is as it was
            np.testing.assert_array_equal(as_array(value), original)
        assert distances[0] == 0 and distances[-1] > distances[1] > 0, corruption.name
        assert all(np.diff(distances) >= -0.02 * distances[-1]), (corruption.name, distances)


def test_pictures_may_be_arrays_too():
    for shape in ((SIDE, SIDE), (SIDE, 2 * SIDE, 3)):
        picture = smooth(np.random.default_rng(0), *shape)
        for corruption in PICTURES:
            worse = corruption.at(picture, 3, random_of(0, 0, 3))
            assert worse.dtype == np.uint8 and worse.shape == shape


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_cover_has_the_share_of_the_area_it_says(share):
    covered = cover(np.zeros((100, 60, 3), dtype=np.uint8), share, np.random.default_rng(0))
    assert (covered[..., 0] > 0).mean() == pytest.approx(share, abs=0.02)


def test_what_covers_a_clip_stays_in_its_place_and_noise_does_not():
    frames = np.zeros((3, SIDE, SIDE, 3), dtype=np.uint8)
    by_name = {entry.name: entry for entry in corruptions_of(VideoReader(frames=3, size=SIDE))}
    covered = by_name["occlusion"].at(frames, 3, random_of(0, 0, 3))
    assert (covered == covered[0]).all() and covered.any()
    noisy = by_name["noise"].at(frames, 3, random_of(0, 0, 3))
    assert (noisy[0] != noisy[1]).any()


@pytest.mark.parametrize("decibels", [20, 0, -5])
def test_noise_has_the_power_it_says_and_never_clips(decibels):
    sound = tone(np.random.default_rng(0))
    noisy = noise(sound, decibels, np.random.default_rng(1)).astype(np.float64)
    assert np.abs(noisy).max() <= 1
    scale = noisy @ sound / (sound @ sound)  # it may have been turned down
    rest = noisy / scale - sound
    assert 10 * np.log10((sound @ sound) / (rest @ rest)) == pytest.approx(decibels, abs=1.0)


def test_clipping_and_gaps_take_the_share_they_say():
    sound = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    clipped = clip(sound, 0.2, np.random.default_rng(1))
    assert (clipped != sound).mean() == pytest.approx(0.2, abs=0.01)
    silenced = gaps(sound, 0.3, np.random.default_rng(1), rate=RATE)
    assert (silenced == 0).mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("sound", [np.zeros(100, np.float32), np.zeros(0, np.float32)])
def test_silence_stays_silent(sound):
    for corruption in corruptions_of(AudioReader(rate=RATE)):
        np.testing.assert_array_equal(corruption.at(sound, LEVELS, random_of(0, 0, 5)), sound)


def test_silence_around_a_sound_does_not_make_clipping_wipe_it_out():
    sound = np.concatenate([np.zeros(3000, np.float32), tone(np.random.default_rng(0))])
    assert np.abs(clip(sound, 0.6, np.random.default_rng(0))).max() > 0.05


def test_typing_errors_are_as_many_as_said():
    text = "abcdefghij" * 300
    for share in (0.05, 0.2):
        wrong = mistype(text, share, np.random.default_rng(0))
        assert set(wrong) <= set(text) and wrong != text
    assert mistype("abc\n" * 50, 1.0, np.random.default_rng(0)).count("\n") >= 25


@pytest.mark.parametrize("text", ["", "   ", "a", "word", "日本語", "\U0001f600 ok"])
def test_a_text_that_holds_something_never_becomes_empty(text):
    for seed in range(30):
        random = np.random.default_rng(seed)
        for worse in (mistype(text, 1.0, random), drop_words(text, 1.0, random)):
            assert bool(worse.strip()) == bool(text.strip())


def test_words_are_dropped_whole_and_in_order():
    words = PROSE.split()
    kept = drop_words(PROSE, 0.5, np.random.default_rng(0)).split()
    places = iter(words)
    assert 0 < len(kept) < len(words) and all(word in places for word in kept)


def test_jitter_is_in_deviations_of_the_column():
    moved = [jitter(7.0, 0.5, np.random.default_rng(s), deviation=100.0) - 7 for s in range(1000)]
    assert np.std(moved) == pytest.approx(50, rel=0.1)


def test_a_category_becomes_another_one_where_there_is_one():
    random = np.random.default_rng(0)
    assert {exchange("a", 1.0, random, labels=["a", "b", "c"]) for _ in range(50)} == {"b", "c"}
    assert exchange("a", 1.0, random, labels=["a"]) == "a"


def test_a_row_s_corruption_hangs_on_no_other_row():
    values = [Image.fromarray(smooth(np.random.default_rng(s), SIDE, SIDE)) for s in range(3)]
    noisy = PICTURES[1]
    alone = noisy.at(values[2], 2, random_of(0, 2, 2))
    for row, value in enumerate(values):
        last = noisy.at(value, 2, random_of(0, row, 2))
    np.testing.assert_array_equal(np.asarray(last), np.asarray(alone))
    other = noisy.at(values[2], 2, random_of(0, 1, 2))
    assert (np.asarray(other) != np.asarray(alone)).any()


def test_pictures_larger_than_a_checkpoint_sees_are_shrunk_before_they_are_made_worse():
    (picture,) = CellReader(ImageReader(Halving())).decode(Image.new("RGB", (600, 300)), None)
    assert picture.size == (24, 12)


def test_each_item_of_a_cell_is_made_worse():
    cells = CellReader(ImageReader(size=SIDE))
    pictures = [Image.fromarray(smooth(np.random.default_rng(s), SIDE, SIDE)) for s in range(2)]
    decoded = cells.decode([pictures[0], None, pictures[1]], None)
    assert len(decoded) == 2 and [len(kept) for kept in cells.read([decoded, []])] == [2, 0]
