"""Small real tables for tests of the whole road: a CSV with PNG and WAV files beside it, and empty cells."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

DISTRICTS = {"north": 1.0, "harbour": 2.0, "old town": 3.0}
WORDS = {
    "flat": ["bright", "balcony", "lift", "third floor"],
    "house": ["garden", "garage", "cellar", "quiet street"],
}
COLUMNS = ("photo", "voice", "note", "bedrooms", "district")
TINY = {
    "fusion.width": 16, "train.epochs": 1, "train.batch_size": 16, "train.patience": 0,
    "inputs.photo.size": 16, "inputs.voice.seconds": 0.1, "report.write": False,
}  # fmt: skip
"""Settings with which a fit takes half a second."""
ALONE = {"train__candidates": "[fused]", "train__encoders": "scratch"}
"""For :func:`tiny`: the neural model alone, in other processes (in this one it is: ``tests/conftest.py``)."""


def tiny(*names: str, **more: Any) -> list[str]:
    """Settings of :data:`TINY` for the inputs ``names``, and ``more`` with ``__`` for the dots."""
    chosen = {k: v for k, v in TINY.items() if not k.startswith("inputs.") or k.split(".")[1] in names}
    chosen |= {key.replace("__", "."): value for key, value in more.items()}
    return [f"{key}={value}" for key, value in chosen.items()]


def write_picture(path: Path, brightness: float, random: np.random.Generator, side: int = 16) -> None:
    """A noisy square of one brightness from 0 to 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = 255 * brightness + random.normal(0, 10, (side, side, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def write_sound(path: Path, pitch: float, seconds: float = 0.1, rate: int = 4000) -> None:
    """A tone of ``pitch`` Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 8000 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def house_rows(folder: Path, rows: int = 40, seed: int = 0, empty: float = 0.1) -> list[dict[str, Any]]:
    """Rows of houses, their pictures and recordings written below ``folder``; ``None`` where a cell is empty.

    The kind shows in photo, voice and note; the price (about a million) in bedrooms, district and photo.
    """
    random = np.random.default_rng(seed)
    table = []
    for number in range(rows):
        kind = ("flat", "house")[number % 2]
        brightness, bedrooms = random.uniform(0.1, 0.4) + 0.5 * (kind == "house"), int(random.integers(1, 7))
        district = str(random.choice(list(DISTRICTS)))
        photo, voice = f"photos/{number}.png", f"sounds/{number}.wav"
        write_picture(folder / photo, brightness, random)
        write_sound(folder / voice, 400 if kind == "flat" else 1200)
        note = " ".join(random.permutation(WORDS[kind])[:3]) + f", {bedrooms} rooms"
        row = {"photo": photo, "voice": voice, "note": note, "bedrooms": bedrooms, "district": district}
        row |= {name: None for name in COLUMNS if random.random() < empty}
        price = round(1e6 + 2e5 * bedrooms + 1e5 * DISTRICTS[district] + 3e5 * brightness)
        table.append({"id": f"h{number}", **row, "kind": kind, "price": price})
    return table


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """``rows`` as a CSV, whole numbers written as such."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).convert_dtypes().to_csv(path, index=False)
    return path


def write_houses(
    folder: Path, name: str = "houses.csv", rows: int = 40, seed: int = 0, empty: float = 0.1
) -> Path:
    """``name`` in ``folder``, with its media beside it."""
    return write_table(folder / name, house_rows(folder, rows, seed, empty))
