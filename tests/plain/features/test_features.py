"""What the features measure, on inputs whose values are known."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from polymodal.data.readers import AudioReader, CategoriesReader
from polymodal.plain.features import (
    AudioFeaturizer,
    CategoriesFeaturizer,
    CategoryFeaturizer,
    DateFeaturizer,
    ImageFeaturizer,
    NumberFeaturizer,
    PlainTextReader,
    SequenceFeaturizer,
    TextFeaturizer,
    VideoFeaturizer,
)
from polymodal.plain.features.base import Featurizer
from polymodal.plain.features.image import shrink

TEXTS = ["The red house!", "a red car", "the house of a car", "42 cars", "Red, red, red"]


def column(featurizer: Featurizer, item: object, part: str, name: str) -> float:
    block = featurizer.fit([[item]]).blocks([[item]])[part]
    return float(block.values[0, block.columns.names.index(name)])


def test_letters_are_weighted_as_scikit_learn_does():
    block = TextFeaturizer().fit([[text] for text in TEXTS]).blocks([[text] for text in TEXTS])["letters"]
    reference = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit(TEXTS)
    assert list(block.columns.names) == list(reference.get_feature_names_out())
    np.testing.assert_allclose(block.values.toarray(), reference.transform(TEXTS).toarray(), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今日は", {"今", "日", "は", "今 日", "日 は"}),
        ("नमस्ते दुनिया", {"नमस्ते", "दुनिया", "नमस्ते दुनिया"}),
        ("Wow!", {"wow", "!", "wow !"}),
    ],
)
def test_words_of_languages(text, words):
    assert {*TextFeaturizer().fit([[text]]).columns["words"].names} == words


def test_the_text_reader_keeps_the_text():
    reader = PlainTextReader()
    assert reader.read("Käse", None) == "Käse" and reader.read(3.0, None) == "3"
    assert len(reader.read("x" * 100_000, None)) == 2**16 and TextFeaturizer.load_reader({}).blank() == ""


def test_pitch_and_duration_of_a_voice():
    time = np.arange(16000) / 16000
    voice = sum(np.sin(2 * np.pi * 200 * overtone * time) / overtone for overtone in range(1, 8)) / 8
    featurizer = AudioFeaturizer.for_reader(AudioReader(rate=16000, seconds=2.0))
    assert column(featurizer, voice, "voice", "pitch, mean") == pytest.approx(
        1, abs=0.03
    )  # an octave over 100
    assert column(featurizer, voice, "voice", "voiced share") == 1
    assert column(featurizer, voice, "voice", "log of seconds") == pytest.approx(0, abs=1e-6)


def test_the_course_of_a_recording_does_not_depend_on_its_level():
    sound = np.random.default_rng(0).normal(size=8000).astype(np.float32) * np.linspace(
        0.1, 1, 8000, dtype="f4"
    )
    loud, quiet = (AudioFeaturizer(rate=8000).fit([[item]]).blocks([[item]]) for item in (sound, sound / 10))
    np.testing.assert_allclose(loud["course"].values, quiet["course"].values, atol=1e-3)
    assert not np.allclose(loud["spectrum"].values, quiet["spectrum"].values, atol=1)


def test_colours_and_gradients_of_a_picture():
    picture = np.zeros((3, 32, 32), np.uint8)
    picture[0, :, 16:] = 255  # red on the right: one edge, whose gradient points to the right
    assert column(ImageFeaturizer(), picture, "colours", "mean red") == pytest.approx(0.5)
    assert column(ImageFeaturizer(), picture, "colours", "hue 0 degrees") == pytest.approx(0.5**0.5)
    edge = [
        column(ImageFeaturizer(), picture, "gradients", f"gradient {a} degrees, cell 3 3") for a in (0, 80)
    ]
    assert edge[0] > 0.05 and edge[1] == 0


@pytest.mark.parametrize(("size", "side"), [(48, 16), (37, 16), (16, 16), (9, 16)])
def test_a_smaller_picture_keeps_its_mean(size, side):
    picture = np.random.default_rng(0).random((1, size, size)).astype(np.float32)
    assert shrink(picture, side).shape == (1, side, side)
    assert shrink(picture, side).mean() == pytest.approx(picture.mean(), abs=0.02)


@pytest.mark.parametrize("step", [1, -1])
def test_the_direction_of_motion(step):
    smooth = np.exp(-((np.arange(32) - 16) ** 2) / 40)
    picture = (np.outer(smooth, smooth) * 255).astype(np.uint8)
    clip = np.stack([np.broadcast_to(np.roll(picture, step * t, axis=1), (3, 32, 32)) for t in range(4)])
    assert np.sign(column(VideoFeaturizer(), clip, "motion", "change to the right, mean")) == step


def test_statistics_of_a_sequence():
    steps = np.column_stack([np.arange(12.0), np.sin(np.arange(12) * np.pi / 3)])
    assert column(SequenceFeaturizer(), steps, "", "channel 1, slope") == pytest.approx(11)
    assert column(SequenceFeaturizer(), steps, "", "channel 1, part 1 of 6") == pytest.approx(0.5)
    assert column(SequenceFeaturizer(), steps, "", "channel 2, strength of wave 2") == pytest.approx(0.5)


def test_numbers_far_from_zero_stay_apart():
    seconds = 1.7e9 + np.arange(11)
    fitted = NumberFeaturizer().fit([[second] for second in seconds])
    assert np.diff(fitted.blocks([[second] for second in seconds])[""].values[:, 0]).tolist() == [1.0] * 10
    written = fitted.settings()
    assert NumberFeaturizer.restore(written, {}).blocks([[1.7e9]])[""].values == -5
    earlier = NumberFeaturizer.restore(written | {"options": {}}, {})  # of a run without an offset
    assert earlier.blocks([[3.0]])[""].values == 3
    for near in (np.geomspace(1e-9, 1e9, 101), np.array([-1e300, 0, 1, 1e300]), np.arange(5.0) + 1e6):
        assert NumberFeaturizer().fit([[number] for number in near]).offset == 0


def test_an_unseen_category_is_nan():
    fitted = CategoryFeaturizer().fit([[1], [2], []])
    block = fitted.blocks([[2], [0], [7], []])[""]
    assert block.columns.categories == 2 and block.values[0, 0] == 1 and np.isnan(block.values[1:]).all()
    assert block.present.tolist() == [True, True, True, False]


def test_sets_of_categories_have_the_names_of_the_reader():
    reader = CategoriesReader(categories=["jazz", "pop"])
    featurizer = CategoriesFeaturizer.for_reader(reader).fit([[np.array([1])]])
    blocks = featurizer.blocks([[np.array([2, 0])]])
    assert blocks["labels"].columns.names == ("jazz", "pop") and blocks["labels"].values.tolist() == [[0, 1]]
    assert blocks["counts"].values.tolist() == [[2, 1]]


def test_calendar_numbers_of_a_date():
    assert column(DateFeaturizer(), 86400.0 * 31, "", "month") == 2  # the first of February 1970
    assert column(DateFeaturizer(), 86400.0 * 31, "", "day of the year") == 32
    assert column(DateFeaturizer(), -86400.0, "", "day of the year") == 365
    fitted = DateFeaturizer().fit([[86400.0], [86400.0 * 3]])
    assert fitted.blocks([[86400.0 * 3]])[""].values[0, 0] == 2


def test_features_load_no_torch():
    code = "import sys, polymodal.plain.features; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ([3, 1, 7] * 4, [1, 3, 7]),
        ([3, 1] * 6, []),  # of two values a line says all
        ([0.5, 1, 2] * 4, []),
        ([*range(10)] * 2, []),  # too few rows of each
    ],
)
def test_whole_numbers_that_repeat_are_categories_beside(numbers, codes):
    featurizer = NumberFeaturizer().fit([[float(number)] for number in numbers])
    assert featurizer.codes == codes
    blocks = featurizer.blocks([[3.0], [4.0], [99.0], []])
    assert {*blocks} == ({"", "codes"} if codes else {""})
    if codes:
        np.testing.assert_array_equal(blocks["codes"].values[:, 0], [1, np.nan, np.nan, np.nan])
        again = NumberFeaturizer.restore(featurizer.settings(), {})
        np.testing.assert_array_equal(again.blocks([[7.0]])["codes"].values, [[2]])
        damaged = featurizer.settings()
        damaged["options"] = {"offset": 0.0, "codes": [7, 1, 3]}
        with pytest.raises(ValueError, match="codes"):
            NumberFeaturizer.restore(damaged, {})
