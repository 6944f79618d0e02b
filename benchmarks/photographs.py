"""Photographs of 12 megapixels and 10 seconds of stereo sound, every file another one, and their table."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import numpy as np
from PIL import Image

SIZE, SECONDS, RATE = (4000, 3000), 10.0, 44100
CLASSES = ("hill", "harbour", "market", "station")
BLOCK = 64
"""Side of the blocks of light and shade, in pixels."""


def write_photographs(
    folder: Path, rows: int, *, size: tuple[int, int] = SIZE, seconds: float = SECONDS, seed: int = 0
) -> Path:
    """Write ``folder/photographs.csv``: ``rows`` to train on, and a tenth of that (8 at least) to validate.

    A class has a picture and a chord of its own; each row moves, mirrors and dims the one and the other.
    """
    random = np.random.default_rng(seed)
    for name in ("photos", "sounds"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pictures = {name: scene(size, random) for name in CLASSES}
    sounds = {name: chord(220.0 * 2 ** (place / 4), seconds) for place, name in enumerate(CLASSES)}
    table = []
    for row in range(rows + max(8, rows // 10)):
        name = CLASSES[row % len(CLASSES)]
        photo, sound = f"photos/{row:04d}.jpg", f"sounds/{row:04d}.wav"
        vary(pictures[name], random).save(folder / photo, quality=85)
        write_stereo(folder / sound, np.roll(sounds[name], int(random.integers(RATE)), axis=0), random)
        table.append([photo, sound, name, "train" if row < rows else "val"])
    with (folder / "photographs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "sound", "place", "split"])
        writer.writerows(table)
    return folder / "photographs.csv"


def scene(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Blocks of light and shade, smoothed, with grain: as hard to decode as a photograph."""
    width, height = size
    blocks = random.integers(0, 256, (max(2, height // BLOCK), max(2, width // BLOCK), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC))
    grain = random.integers(0, 24, (height, width, 1), dtype=np.uint8)
    return Image.fromarray(np.clip(smooth.astype(np.int16) + grain - 12, 0, 255).astype(np.uint8))


def vary(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """``picture`` moved, dimmed, and mirrored or not; what leaves on one side comes in on the other."""
    light = random.uniform(0.6, 1.0)
    down, right = (int(random.integers(side)) for side in (picture.height, picture.width))
    moved = Image.fromarray(np.roll(np.asarray(picture), (down, right), axis=(0, 1)))
    mirrored = moved.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else moved
    return mirrored.point([int(value * light) for value in range(256)] * 3)


def chord(pitch: float, seconds: float) -> np.ndarray:
    """Three tones, each ear its own mixture of them: ``(samples, 2)`` in [-1, 1]."""
    time = np.arange(int(seconds * RATE))[:, None] / RATE
    tones = np.sin(2 * np.pi * pitch * np.array([1.0, 1.25, 1.5]) * time)
    return tones @ np.array([[0.4, 0.2], [0.2, 0.4], [0.2, 0.2]])


def write_stereo(path: Path, sound: np.ndarray, random: np.random.Generator) -> None:
    """A WAV of 16 bits and two channels, with noise."""
    noise = random.normal(0, 300, len(sound)).astype(np.int16)[:, None]
    samples = (20000 * random.uniform(0.5, 1.0) * sound).astype(np.int16) + noise
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, RATE, len(samples), "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
