"""A small table of houses with pictures and sounds, and its check; for the tests of the check."""

import wave

import numpy as np
import pandas as pd
from PIL import Image

from polymodal.config.parsing import parse
from polymodal.data.checks.check import check
from polymodal.data.schema.schema import complete
from polymodal.data.tables.table import read_table

ROWS = 40
SPLITS = {"train": range(0, 28), "validation": range(28, 34), "test": range(34, 40)}


def write_sound(path, seconds, rate=8000):
    samples = (8000 * np.sin(np.arange(int(seconds * rate)) / 5)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())


def make_houses(tmp_path):
    """Forty rows with a picture and a sound each, a number, a category and a text; two classes, an amount."""
    random = np.random.default_rng(0)
    for row in range(ROWS):
        Image.fromarray(random.integers(0, 255, (8 + row % 2, 10, 3), dtype=np.uint8)).save(
            tmp_path / f"{row}.png"
        )
        write_sound(tmp_path / f"{row}.wav", 0.1 + 0.01 * row)
    return {
        "photo": [f"{row}.png" for row in range(ROWS)],
        "voice": [f"{row}.wav" for row in range(ROWS)],
        "rooms": [float(number) for number in random.normal(size=ROWS).round(3)],
        "city": [["Oslo", "Rome"][number] for number in random.integers(0, 2, ROWS)],
        "note": [f"quiet house number {row}" for row in range(ROWS)],
        "kind": [["flat", "villa"][row % 2] for row in range(ROWS)],
        "price": [float(number) for number in random.normal(size=ROWS)],
    }


def check_houses(
    tmp_path,
    columns,
    given=None,
    *,
    target="kind",
    inputs=("photo", "voice", "rooms", "city", "note"),
    **more,
):
    """The report on these columns, written as a CSV and divided by ``SPLITS``."""
    pd.DataFrame(columns).to_csv(tmp_path / "houses.csv", index=False)
    table = read_table(tmp_path / "houses.csv", name="houses.csv")
    values, guesses = complete(given or {}, table, targets=[target], inputs=inputs)
    rows = {split: np.array(numbers) for split, numbers in more.pop("rows", SPLITS).items()}
    splits = {split: table.select(numbers) for split, numbers in rows.items()}
    return check(splits, parse(values), guesses, row_numbers=rows, **more)
