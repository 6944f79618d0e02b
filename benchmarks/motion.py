"""Motion that no single frame shows: makes clips of digits moving over noise, fits, prints what was reached.

    python benchmarks/motion.py
    python benchmarks/motion.py --output runs/motion --seeds 0 1 2

2,000 H.264 clips of 16 frames of 64 × 64 pixels: one of scikit-learn's handwritten digits moves over noise in
one of eight directions, on a torus, from a place drawn evenly. So its place in any one frame says nothing of
where it goes. The recipe is fitted as it stands, and once more given a single frame a clip, which must stay
near chance (12.5 %). Clips and finished fits in ``--output`` are kept and not repeated.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pandas as pd
from PIL import Image
from real_input import fit
from sklearn.datasets import load_digits

SPLITS = {"train": 1400, "val": 200, "test": 400}
FRAMES, SIDE, DIGIT, RATE = 16, 64, 24, 25
DIRECTIONS = {
    "east": (1, 0), "south-east": (1, 1), "south": (0, 1), "south-west": (-1, 1),
    "west": (-1, 0), "north-west": (-1, -1), "north": (0, -1), "north-east": (1, -1),
}  # fmt: skip
SPEEDS = (2, 3, 4)
"""Pixels a frame along each axis that the digit moves on."""
CHANCE, ALLOWED, WANTED = 1 / len(DIRECTIONS), 0.05, 0.95


def make_table(splits: dict[str, int] = SPLITS) -> pd.DataFrame:
    """``clip``, ``direction`` and ``split`` of every row; the same on every machine."""
    names = list(DIRECTIONS)
    rows = [
        {"clip": f"clips/{split}/{number:04}.mp4", "direction": names[number % len(names)], "split": split}
        for split, count in splits.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def draw(direction: str, digit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A clip ``(FRAMES, SIDE, SIDE)`` of bytes: ``digit`` (0 to 1) moves over noise, new in each frame."""
    step = random.choice(SPEEDS) * np.array(DIRECTIONS[direction])
    start = random.integers(0, SIDE, 2)
    frames = random.normal(80, 25, (FRAMES, SIDE, SIDE))
    for number, frame in enumerate(frames):
        x, y = (start + number * step) % SIDE
        columns, rows = (x + np.arange(DIGIT)) % SIDE, (y + np.arange(DIGIT)) % SIDE
        place = np.ix_(rows, columns)
        frame[place] = frame[place] * (1 - digit) + 235 * digit
    return frames.clip(0, 255).astype(np.uint8)


def write_clip(path: Path, frames: np.ndarray) -> None:
    """``frames`` as grey H.264, nearly without loss: traces of coding would show where a digit came from."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "14", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for frame in frames:
            shown = av.VideoFrame.from_ndarray(np.repeat(frame[:, :, None], 3, axis=2), format="rgb24")
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))


def make(folder: Path, splits: dict[str, int] = SPLITS) -> Path:
    """``motion.csv`` and its clips in ``folder``, if they are not there; no two splits share a digit."""
    path = folder / "motion.csv"
    if path.exists():
        return path
    digits = load_digits().images / 16
    order = np.random.default_rng(0).permutation(len(digits))
    ends = np.cumsum([0.7 * len(digits), 0.1 * len(digits)]).astype(int)
    pools = dict(zip(splits, np.split(order, ends), strict=True))
    table = make_table(splits)
    for number, row in enumerate(table.itertuples()):
        random = np.random.default_rng([1, number])
        small = Image.fromarray(np.float32(digits[random.choice(pools[row.split])]))
        large = np.asarray(small.resize((DIGIT, DIGIT), Image.Resampling.BICUBIC)).clip(0, 1)
        clip = folder / row.clip
        clip.parent.mkdir(parents=True, exist_ok=True)
        write_clip(clip, draw(row.direction, large, random))
    table.to_csv(path, index=False)  # last: what was cut off is made again
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the clips, fit with all frames and with one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/motion"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--smoke", action="store_true", help="a few clips, one epoch: does it run at all")
    given = parser.parse_args(arguments)
    splits = dict.fromkeys(SPLITS, len(DIRECTIONS)) if given.smoke else SPLITS
    os.environ["MOTION"] = str(make(given.output / "data", splits).parent.resolve())
    more = ["train.epochs=1"] if given.smoke else []
    limits = {"8 frames": f"at least {WANTED:.0%}", "1 frame": f"at most {CHANCE + ALLOWED:.1%}"}
    for title, limit in limits.items():
        for seed in given.seeds:
            count = title.split()[0]
            settings = [f"train.seed={seed}", f"inputs.clip.frames={count}", "report.write=false", *more]
            run = fit("motion.yaml", given.output / f"frames{count}_seed{seed}", settings=settings)
            accuracy, best = run["test"]["direction"]["accuracy"], run["validation"]["direction.accuracy"]
            told = f"test accuracy {accuracy:.4f} ({limit}), validation {best:.4f}, {run['wall']:.0f} s"
            print(f"motion, {title}, seed {seed}: {told}", flush=True)


if __name__ == "__main__":
    main()
