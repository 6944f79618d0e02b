"""Rows of noise for every modality: what an export is compared on where nothing better is at hand."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from polymodal.data.readers import (
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    Reader,
    SequenceReader,
    TextReader,
    VideoReader,
)

DAY = 86400
WORDS = "a bright flat with two balconies near the station, quiet garden behind old trees"
UNSEEN = "(of no training row)"


def made_rows(readers: Mapping[str, Reader]) -> list[dict[str, Any]]:
    """Rows of noise: all inputs there, each missing, each alone, two items in a cell, none.

    Inputs of a modality that another package adds are missing in all of them.
    """
    random = np.random.default_rng(0)
    known = {name: reader.main for name, reader in readers.items() if reader.modality in CELLS}

    def cell(reader: Any, items: int = 1) -> Any:
        made = [CELLS[reader.modality](reader, random) for _ in range(items)]
        return made if reader.holds_items else made[0]  # of one form in all rows, as columns of a table are

    whole = [{name: cell(reader) for name, reader in known.items()} for _ in range(3)]
    without = [{other: cell(each) for other, each in known.items() if other != name} for name in known]
    alone = [{name: cell(reader)} for name, reader in known.items()]
    several = {name: cell(each, 2) for name, each in known.items() if each.holds_items and each.items > 1}
    made = [*whole, *without, *alone, whole[0] | several, {}]
    return [{name: row.get(name) for name in known} for row in made]


def _number(reader: Any, random: np.random.Generator) -> float:
    return float(reader.mean + random.normal() * reader.deviation)


def _date(reader: Any, random: np.random.Generator) -> str:
    seconds = reader.blank() + random.normal() * reader.deviation[0] * DAY
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=round(seconds))
    return moment.isoformat() if reader.clock else moment.date().isoformat()


def _category(reader: Any, random: np.random.Generator) -> str:
    return str(random.choice([*reader.categories, UNSEEN]))


def _categories(reader: Any, random: np.random.Generator) -> list[str]:
    names = [*reader.categories, UNSEEN]
    return [name for name in names if random.random() < 0.5]


def _text(reader: Any, random: np.random.Generator) -> str:
    return " ".join(random.choice(WORDS.split(), size=int(random.integers(1, 12))))


def _picture(reader: Any, random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (reader.size + 8, reader.size, 3), dtype=np.uint8)


def _clip(reader: Any, random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, (reader.frames + 2, reader.size, reader.size, 3), dtype=np.uint8)


def _sound(reader: Any, random: np.random.Generator) -> dict[str, Any]:
    samples = random.normal(size=int(reader.samples * random.uniform(0.3, 1.0))).clip(-3, 3) / 4
    return {"array": samples.astype(np.float32), "sampling_rate": reader.rate}


def _sequence(reader: Any, random: np.random.Generator) -> np.ndarray:
    steps = int(random.integers(1, reader.length + 1))
    return (reader.mean + random.normal(size=(steps, reader.features)) * reader.deviation).astype(np.float32)


CELLS: dict[str, Callable[[Any, np.random.Generator], Any]] = {
    NumberReader.modality: _number, DateReader.modality: _date, CategoryReader.modality: _category,
    CategoriesReader.modality: _categories, TextReader.modality: _text, ImageReader.modality: _picture,
    VideoReader.modality: _clip, AudioReader.modality: _sound, SequenceReader.modality: _sequence,
}  # fmt: skip
"""By modality what makes a cell that a reader reads."""
