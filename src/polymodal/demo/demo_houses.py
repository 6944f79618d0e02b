"""The table of the documentation: flats and houses with a photo, a note, numbers and categories, and a price.

Photos are drawn and notes put together from phrases, so that each input holds something that the others do
not: the photo the garden and the state of the walls, the note the street and the kitchen. The files look
like those of a user, some cells are empty, and nothing is downloaded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from polymodal.errors import RunError, option

TABLES: Mapping[str, int] = {"houses.csv": 400, "more_houses.csv": 100, "new_houses.csv": 50}
"""Rows by table; the last one has no targets."""
INPUTS = ("photo", "note", "bedrooms", "built", "district")
TARGETS = ("kind", "price")
DISTRICTS: Mapping[str, float] = {
    "Harbour": 0.25, "Hill": 0.15, "Meadow": 0.0, "Old Town": 0.3, "Station": -0.2,
}  # fmt: skip
"""What a district adds to the logarithm of the price, as all numbers below."""
STREET: Mapping[str, float] = {"quiet street": 0.1, "street with trees": 0.05, "busy road": -0.12}
KITCHEN: Mapping[str, float] = {"new kitchen": 0.08, "fitted kitchen": 0.0, "kitchen to be renewed": -0.1}
OPENINGS = (
    "Bright rooms",
    "Well kept and freshly painted",
    "Close to shops and schools",
    "On the sunny side",
)
SENTENCES = (
    "{opening}, on a {street}. The rooms come with a {kitchen}.",
    "{opening}, with a {kitchen}, on a {street}.",
    "This one is on a {street} and has a {kitchen}. {opening}.",
    "{opening}. A {kitchen} and a {street} in front of the door.",
)
EMPTY = 0.08
"""Share of empty cells per input."""
SIDE = 64
SKY, GRASS, ROOF, PANE = (170, 200, 235), (90, 160, 80), (120, 60, 50), (70, 90, 120)


@dataclass(frozen=True)
class House:
    """What is for sale.

    Attributes:
        kind: ``flat`` or ``house``.
        bedrooms: Their number.
        built: The year.
        district: Of :data:`DISTRICTS`.
        street: Of :data:`STREET`.
        kitchen: Of :data:`KITCHEN`.
        garden: Whether there is one.
        state: Of the walls, from 0 to 1.
    """

    kind: str
    bedrooms: int
    built: int
    district: str
    street: str
    kitchen: str
    garden: bool
    state: float

    def price(self, random: Generator) -> int:
        """A price in whole thousands, of which about 6 % are chance."""
        log = 11.7 + 0.22 * self.bedrooms + 0.15 * (self.kind == "house") + 0.002 * (self.built - 1980)
        log += DISTRICTS[self.district] + STREET[self.street] + KITCHEN[self.kitchen]
        log += 0.12 * self.garden + 0.25 * self.state + random.normal(0, 0.06)
        return round(float(np.exp(log)) / 1000) * 1000

    def note(self, random: Generator) -> str:
        """One or two sentences."""
        words = {"opening": str(random.choice(OPENINGS)), "street": self.street, "kitchen": self.kitchen}
        return str(random.choice(SENTENCES)).format(**words)


def write_houses(folder: Path, *, tables: Mapping[str, int] = TABLES, seed: int = 0) -> list[Path]:
    """Write ``tables`` into ``folder``, and their photos into ``folder/photos``.

    The same seed gives the same files; other files of these names are not replaced.

    Returns:
        The paths of the tables.

    Raises:
        RunError: If a file of one of the names has another content; nothing was written then.
    """
    random = np.random.default_rng(seed)
    files: dict[Path, bytes] = {}
    first = 0
    for name, count in tables.items():
        rows = [_row(folder, number, random, files) for number in range(first, first + count)]
        columns = INPUTS if name == list(tables)[-1] else (*INPUTS, *TARGETS)
        files[folder / name] = _csv(columns, rows)
        first += count
    for path, content in files.items():
        if path.exists() and (not path.is_file() or path.read_bytes() != content):
            raise RunError(
                f"{path}: is there already, with another content. Name another folder ({option('output')})"
            )
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for path, content in files.items():  # a table follows the photos that it names
        path.write_bytes(content)
    return [folder / name for name in tables]


def _row(folder: Path, number: int, random: Generator, files: dict[Path, bytes]) -> dict[str, object]:
    """The cells of one row, its photo added to the files; an empty text is an empty cell."""
    house = _any_house(random)
    photo = f"photos/{number}.png"
    encoded = io.BytesIO()
    draw_photo(house, random).save(encoded, "PNG")
    files[folder / photo] = encoded.getvalue()
    cells: dict[str, object] = {
        "photo": photo, "note": house.note(random), "bedrooms": house.bedrooms, "built": house.built,
        "district": house.district,
    }  # fmt: skip
    cells |= {name: "" for name in INPUTS if random.random() < EMPTY}
    return cells | {"kind": house.kind, "price": house.price(random)}


def _any_house(random: Generator) -> House:
    kind = str(random.choice(["flat", "house"]))
    return House(
        kind=kind,
        bedrooms=int(random.integers(1, 5) + (kind == "house")),
        built=int(random.integers(1900, 2025)),
        district=str(random.choice(list(DISTRICTS))),
        street=str(random.choice(list(STREET))),
        kitchen=str(random.choice(list(KITCHEN))),
        garden=bool(random.random() < (0.7 if kind == "house" else 0.2)),
        state=float(random.uniform()),
    )


def draw_photo(house: House, random: Generator) -> Image.Image:
    """A photo of the front: ``(64, 64)`` RGB. Walls are lighter in a good state; a garden is green."""
    image = Image.new("RGB", (SIDE, SIDE), SKY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 52, SIDE, SIDE), fill=GRASS if house.garden else (140, 140, 140))
    wall = tuple(int(90 + 120 * house.state + shift) for shift in (20, 10, 0))
    left, right = (12 + int(random.integers(-3, 4)) for _ in range(2))
    right = SIDE - right
    top = 10 if house.kind == "flat" else 30
    draw.rectangle((left, top, right, 54), fill=wall)
    if house.kind == "house":
        draw.polygon([(left - 4, top), ((left + right) // 2, 12), (right + 4, top)], fill=ROOF)
    for height in range(top + 5, 46, 10):
        for across in range(left + 5, right - 6, 10):
            draw.rectangle((across, height, across + 4, height + 5), fill=PANE)
    if house.garden:
        for across in random.integers(2, SIDE - 8, 3).tolist():
            draw.ellipse((across, 44, across + 8, 54), fill=(40, 110, 50))
    pixels = np.asarray(image, float) * random.uniform(0.8, 1.1) + random.normal(0, 6, (SIDE, SIDE, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> bytes:
    """The columns of the rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
