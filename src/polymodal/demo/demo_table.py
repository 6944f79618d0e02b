"""The table of the demo: a digit as an image, a keypad tone and a word, each degraded so that none suffices.

The pictures are scikit-learn's handwritten digits, the tones those of ITU-T recommendation Q.23, the words
the digit's name in eight languages. Nothing is downloaded, and the files look like those of a user.
"""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image
from sklearn.datasets import load_digits

COLUMNS = ("image", "audio", "text", "digit", "split")
INPUTS = COLUMNS[:3]

EMPTY = 0.15
"""Share of empty cells per input column; every row has at least one input."""

SHARES = {"val": 0.1, "test": 0.2}
"""Share of the rows in each split; the others are ``train``."""

SIDE = 32
SAMPLE_RATE = 8000

ROW_HERTZ = (697, 770, 852, 941)
COLUMN_HERTZ = (1209, 1336, 1477)
KEYPAD = ("123", "456", "789", "*0#")

# Without German: its zero is "null", which table readers take for an empty cell.
NAMES = {
    "Dutch": "nul een twee drie vier vijf zes zeven acht negen",
    "English": "zero one two three four five six seven eight nine",
    "French": "zéro un deux trois quatre cinq six sept huit neuf",
    "Italian": "zero uno due tre quattro cinque sei sette otto nove",
    "Polish": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
    "Portuguese": "zero um dois três quatro cinco seis sete oito nove",
    "Spanish": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "Swedish": "noll ett två tre fyra fem sex sju åtta nio",
}
TAKEN_FOR_EMPTY = {"", "na", "nan", "null", "none"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_demo(folder: Path, *, rows: int = 1797, seed: int = 0) -> Path:
    """Write ``folder/digits.csv``, with pictures in ``folder/images`` and recordings in ``folder/audio``.

    The same seed gives the same bytes. Every row has its own handwritten digit, so that none is in two
    splits.

    Returns:
        The path of the table.

    Raises:
        ValueError: If ``rows`` is not between 10 and the number of handwritten digits, 1797.
    """
    digits = load_digits()
    if not 10 <= rows <= len(digits.target):
        raise ValueError(f"rows is {rows}, expected 10 to {len(digits.target)}: each has a digit of its own")
    # One random stream each, so that a change to one does not change the others.
    order, sides, cells, picture, sound, letters = np.random.default_rng(seed).spawn(6)
    chosen = order.permutation(len(digits.target))[:rows]
    labels = digits.target[chosen]
    split = stratified_split(labels, sides)
    given = present_cells(rows, cells)
    for name in ("images", "audio"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    table = []
    for row, (source, digit) in enumerate(zip(chosen, labels, strict=True)):
        image, audio, text = f"images/{row:04d}.png", f"audio/{row:04d}.wav", misspelt_name(digit, letters)
        pixels, samples = spoiled_picture(digits.images[source], picture), noisy_tone(digit, sound)
        if given[row, 0]:
            Image.fromarray(pixels).save(folder / image)
        if given[row, 1]:
            write_wave(folder / audio, samples)
        inputs = [
            value if there else "" for value, there in zip((image, audio, text), given[row], strict=True)
        ]
        table.append([*inputs, int(digit), split[row]])
    # Last, so that a table never names files that are not written yet.
    return write_table(folder / "digits.csv", table)


def stratified_split(labels: np.ndarray, random: Generator) -> list[str]:
    """``train``, ``val`` or ``test`` per row, stratified by label."""
    split = np.full(len(labels), "train", dtype=object)
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        start = 0
        for name, share in SHARES.items():
            stop = start + round(share * len(members))
            split[members[start:stop]] = name
            start = stop
    return split.tolist()


def present_cells(rows: int, random: Generator) -> np.ndarray:
    """The filled input cells: ``(rows, inputs)`` bool, at least one per row."""
    present = random.random((rows, len(INPUTS))) >= EMPTY
    kept = random.integers(len(INPUTS), size=rows)
    bare = ~present.any(axis=1)
    present[bare, kept[bare]] = True
    return present


def spoiled_picture(glyph: np.ndarray, random: Generator) -> np.ndarray:
    """A glyph ``(8, 8)`` of 0 to 16, enlarged, moved, faded, partly covered and noisy: ``(32, 32)`` uint8."""
    side = int(random.integers(27, 31))
    large = Image.fromarray((glyph * 15).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    top, left = random.integers(0, SIDE - side + 1, size=2)
    picture = np.zeros((SIDE, SIDE))
    picture[top : top + side, left : left + side] = np.asarray(large) / 255
    picture *= random.uniform(0.5, 1.0)
    height, width = random.integers(6, 19, size=2)
    top, left = random.integers(0, SIDE - height + 1), random.integers(0, SIDE - width + 1)
    picture[top : top + height, left : left + width] = random.uniform(0, 0.6)
    picture += random.normal(0, random.uniform(0.1, 0.4), size=picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def keypad_hertz(digit: int) -> tuple[int, int]:
    """The two frequencies of a digit's key.

    Source: ITU-T recommendation Q.23 (1988), section 6.
    """
    row = next(index for index, keys in enumerate(KEYPAD) if str(digit) in keys)
    return ROW_HERTZ[row], COLUMN_HERTZ[KEYPAD[row].index(str(digit))]


def noisy_tone(digit: int, random: Generator) -> np.ndarray:
    """The key's tone somewhere in noise, from clear to drowned: 0.3 to 0.5 seconds at 8 kHz, int16."""
    length = int(random.uniform(0.3, 0.5) * SAMPLE_RATE)
    duration = int(random.uniform(0.06, 0.24) * SAMPLE_RATE)
    start = int(random.integers(0, length - duration + 1))
    time = np.arange(duration) / SAMPLE_RATE
    phases = random.uniform(0, 2 * np.pi, size=2)
    pair = [
        np.sin(2 * np.pi * hertz * time + phase)
        for hertz, phase in zip(keypad_hertz(digit), phases, strict=True)
    ]
    level = 10 ** (random.uniform(-20, 0) / 20)  # of one sine's amplitude against the noise's deviation
    noise = 10 ** (random.uniform(-26, -14) / 20)
    samples = random.normal(0, noise, size=length)
    samples[start : start + duration] += level * noise * sum(pair)
    return (samples.clip(-1, 1) * 32767).round().astype("<i2")


def write_table(path: Path, rows: list[list]) -> Path:
    """Write ``rows`` under the names of the columns; empty text is an empty cell."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path


def write_wave(path: Path, samples: np.ndarray) -> None:
    """Write mono 16-bit ``samples`` as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def misspelt_name(digit: int, random: Generator) -> str:
    """The digit's name in some language, with typing errors or only a piece of it."""
    name = NAMES[str(random.choice(list(NAMES)))].split()[digit]
    word = ""
    while word.lower() in TAKEN_FOR_EMPTY:
        word = fragment(name, random) if random.random() < 0.15 else name
        for _ in range(random.poisson(0.7)):
            word = with_typing_error(word, random)
    return word.capitalize() if random.random() < 0.3 else word


def fragment(word: str, random: Generator) -> str:
    """One to three consecutive letters of ``word``."""
    length = min(int(random.integers(1, 4)), len(word))
    start = int(random.integers(0, len(word) - length + 1))
    return word[start : start + length]


def with_typing_error(word: str, random: Generator) -> str:
    """``word`` with two letters swapped, one dropped or one replaced."""
    if not word:
        return word
    kind, at = random.integers(3), int(random.integers(len(word)))
    if kind == 0:
        return word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    replacement = "" if kind == 1 else LETTERS[int(random.integers(len(LETTERS)))]
    return word[:at] + replacement + word[at + 1 :]
