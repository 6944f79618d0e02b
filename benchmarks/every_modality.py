"""All seven modalities in one table, half of its cells empty, two targets: fits, predicts every pattern.

    python benchmarks/every_modality.py
    python benchmarks/every_modality.py --output runs/every --seed 1

A row has a digit (a class) and a level (a number). Clip, sequence and number tell of the level, picture,
recording, note and group of the digit, clip and sequence a little of both; each is spoiled. The table is
fitted as it is, without a declaration. Then rows without an empty cell are predicted 128 times, once with
each pattern of missing inputs, and every answer is looked at: what it says was missing, how good it is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from motion import write_clip
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, r2_score

from polymodal.demo.demo_table import misspelt_name, noisy_tone, spoiled_picture, write_wave

SPLITS = {"train": 2400, "val": 300, "test": 300}
INPUTS = ("clip", "sound", "picture", "note", "amount", "group", "steps")
DIGIT, LEVEL = "digit", "level"
EMPTY, SIDE, FRAMES = 0.5, 64, 12


def draw_clip(glyph: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    """A faded ``glyph`` that falls over noise, faster where ``level`` (0 to 1) is higher."""
    frames = random.normal(80, 30, (FRAMES, SIDE, SIDE))
    large = np.asarray(Image.fromarray(np.float32(glyph)).resize((24, 24), Image.Resampling.BICUBIC))
    top, left = random.integers(0, SIDE, 2)
    for number, frame in enumerate(frames):
        down = top + round(number * 5 * level)
        place = np.ix_((down + np.arange(24)) % SIDE, (left + np.arange(24)) % SIDE)
        frame[place] += 8 * large.clip(0, 16)
    return frames.clip(0, 255).astype(np.uint8)


def draw_steps(digit: int, level: float, random: np.random.Generator) -> np.ndarray:
    """Ten to thirty steps of four features: a wave as fast as ``digit``, a slope as steep as ``level``."""
    place = np.arange(random.integers(10, 31))
    wave = np.sin(place * (digit + 1) * 0.25 + random.uniform(0, 6.3))
    steps = np.stack([wave, place * level / 5, 0 * place, 0 * place], axis=1)
    return (steps + random.normal(0, 0.5, steps.shape)).astype(np.float32)


def make_row(folder: Path, number: int, glyph: np.ndarray, digit: int) -> dict[str, object]:
    """The cells of a row, none empty, and their files below ``folder``."""
    random = np.random.default_rng([2, number])
    level = float(random.uniform())
    write_clip(folder / f"clips/{number}.mp4", draw_clip(glyph, level, random))
    write_wave(folder / f"sounds/{number}.wav", noisy_tone(digit, random))
    Image.fromarray(spoiled_picture(glyph, random)).save(folder / f"pictures/{number}.png")
    np.save(folder / f"steps/{number}.npy", draw_steps(digit, level, random))
    told = digit if random.random() < 0.8 else int(random.integers(10))
    return {
        "clip": f"clips/{number}.mp4",
        "sound": f"sounds/{number}.wav",
        "picture": f"pictures/{number}.png",
        "note": misspelt_name(digit, random),
        "amount": round(100 * level + random.normal(0, 20), 2),
        "group": ["red", "blue", "green", "white", "black"][told // 2],
        "steps": f"steps/{number}.npy",
        DIGIT: f"no. {digit}",
        LEVEL: round(level, 4),
    }


def make(folder: Path, splits: dict[str, int] = SPLITS) -> tuple[Path, pd.DataFrame]:
    """``half.csv``, half of whose cells are empty, and its test rows without an empty cell."""
    for name in ("clips", "sounds", "pictures", "steps"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    digits, random = load_digits(), np.random.default_rng(0)
    chosen = random.integers(len(digits.target), size=sum(splits.values()))
    rows = [make_row(folder, n, digits.images[i], int(digits.target[i])) for n, i in enumerate(chosen)]
    full = pd.DataFrame(rows).assign(split=np.repeat(list(splits), list(splits.values())))
    half = full.copy()
    half[list(INPUTS)] = full[list(INPUTS)].where(random.random((len(full), len(INPUTS))) >= EMPTY)
    half.to_csv(folder / "half.csv", index=False)
    test = full[full.split == "test"].drop(columns="split").reset_index(drop=True)
    for name in ("clip", "sound", "picture", "steps"):
        test[name] = [str(folder / path) for path in test[name]]
    return folder / "half.csv", test


def by_pattern(run, test: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the digit and R² of the level with each of the 128 patterns of inputs that are there.

    Raises:
        SystemExit: If an answer does not say which inputs it went without.
    """
    patterns = list(product((False, True), repeat=len(INPUTS)))
    tables = []
    for there in patterns:
        table = test.copy()
        missing = [name for name, given in zip(INPUTS, there, strict=True) if not given]
        table[missing] = None
        tables.append(table)
    answers = run.predict(pd.concat(tables, ignore_index=True))
    rows = []
    for place, there in enumerate(patterns):
        part = answers.iloc[place * len(test) : (place + 1) * len(test)]
        missing = ", ".join(name for name, given in zip(INPUTS, there, strict=True) if not given)
        if (part["missing"].fillna("") != missing).any() or part[[DIGIT, LEVEL]].isna().any(axis=None):
            raise SystemExit(f"a prediction without {missing or 'nothing'} says otherwise, or nothing")
        scores = accuracy_score(test[DIGIT], part[DIGIT]), r2_score(test[LEVEL], part[LEVEL])
        rows.append((*there, *scores))
    return pd.DataFrame(rows, columns=[*INPUTS, DIGIT, LEVEL])


def show(scores: pd.DataFrame) -> None:
    """A line for each single input, and one for each number of inputs."""
    count = scores[list(INPUTS)].sum(axis=1)
    print(f"{'inputs there':14} {'accuracy':>9} {'R²':>7}")
    for name in INPUTS:
        alone = scores[scores[name] & (count == 1)].iloc[0]
        print(f"{name + ' alone':14} {alone[DIGIT]:9.3f} {alone[LEVEL]:7.3f}")
    for number, part in scores.groupby(count):
        print(f"{f'{number} of 7':14} {part[DIGIT].mean():9.3f} {part[LEVEL].mean():7.3f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the table, fit it, predict every pattern of missing inputs."""
    import polymodal as pm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/every"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few rows, one epoch: does it run at all")
    given = parser.parse_args(arguments)
    splits = {"train": 60, "val": 10, "test": 5} if given.smoke else SPLITS
    more = ["train.epochs=1", "fusion.width=16"] if given.smoke else []
    table, test = make((given.output / "data").resolve(), splits)
    started = time.perf_counter()
    run = pm.fit(
        table, target=[DIGIT, LEVEL], output=given.output / f"seed{given.seed}", overwrite=True,
        settings=[f"train.seed={given.seed}", "report.write=false", *more],
    )  # fmt: skip
    seconds = time.perf_counter() - started
    read = ", ".join(f"{name} {config.modality}" for name, config in run.declaration.inputs.items())
    print(f"seven modalities, half of the cells empty ({read}): {seconds:.0f} s")
    of_test = json.loads((run.folder / "metrics.json").read_text())["test"]
    print(f"half empty: accuracy {of_test[DIGIT]['accuracy']:.3f}, R² {of_test[LEVEL]['r2']:.3f}")
    show(by_pattern(run, test))


if __name__ == "__main__":
    main()
