"""The demo's table: reproducible, complete, spoiled as promised, and read back as a user's files are."""

from __future__ import annotations

import csv
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from polymodal.demo import demo_table as data


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return data.write_demo(tmp_path_factory.mktemp("demo"), rows=400)


@pytest.fixture(scope="module")
def frame(table) -> pd.DataFrame:
    return pd.read_csv(table)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_seed_gives_the_same_bytes(tmp_path):
    for name, seed in {"first": 3, "again": 3, "other": 4}.items():
        data.write_demo(tmp_path / name, rows=40, seed=seed)
    assert contents(tmp_path / "first") == contents(tmp_path / "again")
    assert contents(tmp_path / "first") != contents(tmp_path / "other")


def test_the_files_are_exactly_those_the_table_names(table, frame):
    assert list(frame.columns) == list(data.COLUMNS)
    named = set(frame.image.dropna()) | set(frame.audio.dropna()) | {"digits.csv"}
    assert set(contents(table.parent)) == named


def test_every_file_opens(table, frame):
    for name in frame.image.dropna():
        with Image.open(table.parent / name) as picture:
            assert (picture.size, picture.mode) == ((data.SIDE, data.SIDE), "L")
    for name in frame.audio.dropna():
        with wave.open(str(table.parent / name)) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
            assert 0.25 <= sound.getnframes() / 8000 <= 0.5


def test_cells_are_empty_but_never_a_whole_row(frame):
    empty = frame[list(data.INPUTS)].isna()
    assert not empty.all(axis=1).any()
    assert ((empty.mean() > 0.1) & (empty.mean() < 0.2)).all()


def test_no_word_is_taken_for_an_empty_cell(table, frame):
    with table.open(encoding="utf-8", newline="") as file:
        written = [row["text"] for row in csv.DictReader(file)]
    assert written == frame.text.fillna("").tolist()
    assert not {name for names in data.NAMES.values() for name in names.split()} & data.TAKEN_FOR_EMPTY


def test_the_split_holds_the_shares_for_every_digit(frame):
    shares = pd.crosstab(frame.digit, frame.split, normalize="index")
    assert sorted(frame.digit.unique()) == list(range(10))
    np.testing.assert_allclose(shares["test"], 0.2, atol=0.02)
    np.testing.assert_allclose(shares["val"], 0.1, atol=0.02)


def test_no_handwritten_digit_stands_twice(monkeypatch, tmp_path):
    seen = []

    def remember(glyph, random):
        seen.append(glyph.tobytes())
        return np.zeros((4, 4), dtype=np.uint8)

    monkeypatch.setattr(data, "spoiled_picture", remember)
    data.write_demo(tmp_path, rows=1797)
    originals = Counter(glyph.tobytes() for glyph in load_digits().images)
    assert max(originals.values()) == 1
    assert Counter(seen) == originals


@pytest.mark.parametrize("digit", range(10))
def test_a_clear_tone_holds_the_two_frequencies_of_the_key(digit):
    # the clearest of some: most are drowned in noise by intention
    tones = [data.noisy_tone(digit, np.random.default_rng(seed)) / 32768 for seed in range(40)]
    loudest = max(tones, key=lambda samples: np.abs(samples).max())
    power = np.abs(np.fft.rfft(loudest, 8000)) ** 2  # bins of one hertz
    low, high = np.argmax(power[:1050]), 1050 + np.argmax(power[1050:])
    assert (low, high) == pytest.approx(data.keypad_hertz(digit), abs=8)


def test_the_keypad_is_that_of_the_recommendation():
    assert data.keypad_hertz(1) == (697, 1209)
    assert data.keypad_hertz(5) == (770, 1336)
    assert data.keypad_hertz(9) == (852, 1477)
    assert data.keypad_hertz(0) == (941, 1336)


def test_a_name_for_every_digit_in_every_language():
    assert all(len(names.split()) == 10 for names in data.NAMES.values())
    assert len(data.NAMES) == 8


@pytest.mark.parametrize("rows", [0, 9, 1798])
def test_rows_that_cannot_be_made_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="expected 10 to 1797"):
        data.write_demo(tmp_path, rows=rows)
    assert not list(tmp_path.iterdir())
