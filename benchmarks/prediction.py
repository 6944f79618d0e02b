"""Prediction: rows a second against a plain batched loop, and how memory grows with the table.

    python benchmarks/prediction.py --rounds 5 --threads 2

Speed: ours is `run.predict` over a table whose files are read before, plain is a loop over `plain_loop.py`'s
reading and padding and the same model; both decode every cell, and must give the same answers. Rounds
alternate, and so does who goes first in them.

Memory: the most that a process of `polymodal predict RUN TABLE -o OUT.parquet` held, for tables of 10,000
and 100,000 rows (a number, a category, a text and a picture; empty cells among them), which are made here.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import torch
from memory import peak
from PIL import Image
from plain_loop import DEVICE, PlainRows, now, plain_rows, to_device
from startup import command_line
from timing import DATA, heading

import polymodal as pm
from polymodal.data.tables.table import Table, read_table
from polymodal.demo.demo_table import write_demo
from polymodal.run import Run

TRAINED_ON = 400
"""Rows that the run is made from: what it has learnt does not matter here."""
PICTURES = 32
WORDS = "bright quiet sunny narrow old new balcony garden lift cellar garage street".split()  # noqa: SIM905


def make_run(table: Table, inputs: list[str], target: str, folder: Path) -> Run:
    """A run of one epoch on some rows of ``table``."""
    rows = np.random.default_rng(0).permutation(len(table))[:TRAINED_ON]
    return pm.fit(
        table.select(np.sort(rows)), target=target, inputs=inputs, output=folder,
        settings=["train.epochs=1", "report.write=false"],
    )  # fmt: skip


def plain_predict(run: Run, rows: PlainRows, join: Any, target: str, batch_size: int) -> pd.DataFrame:
    """Classes and their probabilities, as one would write it."""
    model, classes = run.model.to(DEVICE).eval(), np.array(run.processor.targets[target].classes)
    places, sure = [], []
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            batch = join([rows[index] for index in range(start, min(start + batch_size, len(rows)))])
            output = model(**to_device(batch))
            best = output.logits[target].softmax(dim=1).max(dim=1)
            places.append(best.indices.cpu())
            sure.append(best.values.cpu())
    return pd.DataFrame({target: classes[torch.cat(places)], f"{target}_confidence": torch.cat(sure)})


def speed(options: argparse.Namespace, folder: Path) -> tuple[int, np.ndarray]:
    """How many rows were predicted, and how many a second: ``(rounds, ours and plain)``.

    Raises:
        SystemExit: If the two sides answer differently.
    """
    table, target = read_table(options.table), options.target
    run = make_run(table, options.inputs.split(","), target, folder / "run")
    table = table.select(np.arange(min(options.rows or len(table), len(table))))
    rows, join = plain_rows(run.processor.readers, table)
    sides = (
        partial(run.predict, table, batch_size=options.batch_size),
        partial(plain_predict, run, rows, join, target, options.batch_size),
    )
    ours, plain = (side() for side in sides)  # torch's own warming up; reads the files
    if not (ours[target].astype(str) == plain[target].astype(str)).all():  # labels have a type of their own
        raise SystemExit("the two sides answer differently")
    seconds = np.zeros((options.rounds, 2))
    for turn in range(options.rounds):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            began = now()
            sides[side]()
            seconds[turn, side] = now() - began
    return len(table), len(table) / seconds


def report_speed(options: argparse.Namespace, rows: int, speeds: np.ndarray) -> None:
    """Print medians over the rounds, and the range of the rounds' own ratios."""
    print(heading(f"{options.table.name}: {options.inputs} -> {options.target}", rows, options))
    ours, plain = np.median(speeds, axis=0)
    ratios = speeds[:, 0] / speeds[:, 1]
    span = f"({ratios.min():.2f} to {ratios.max():.2f})"
    print(f"{'':10}{'ours':>10}{'plain':>10}{'ours/plain':>12}   (rounds)")
    print(f"{'predict':10}{ours:10.1f}{plain:10.1f}{ours / plain:12.3f}   {span}")


def write_houses(path: Path, rows: int) -> Path:
    """A table of ``rows`` houses whose pictures lie beside it; a tenth of the cells is empty."""
    random = np.random.default_rng(0)
    (path.parent / "photos").mkdir(parents=True, exist_ok=True)
    for number in range(PICTURES):
        pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path.parent / "photos" / f"{number}.png")
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["bedrooms", "district", "note", "photo", "kind"])
        for _ in range(rows):
            cells = [
                int(random.integers(1, 9)), str(random.choice(WORDS)), " ".join(random.choice(WORDS, 12)),
                f"photos/{random.integers(PICTURES)}.png",
            ]  # fmt: skip
            kept = [cell if there else "" for cell, there in zip(cells, random.random(4) > 0.1, strict=True)]
            writer.writerow([*kept, str(random.choice(["flat", "house"]))])
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(path.with_suffix(".csv")), path)
    return path


def memory(options: argparse.Namespace, folder: Path) -> list[list[int]]:
    """The peak of each round, in bytes, for each number of rows."""
    tables = [write_houses(folder / f"{rows}{options.suffix}", rows) for rows in options.memory_rows]
    make_run(read_table(tables[0]), ["bedrooms", "district", "note", "photo"], "kind", folder / "houses")
    peaks: list[list[int]] = [[] for _ in tables]
    for _ in range(options.memory_rounds):
        for place, table in enumerate(tables):
            command = [*command_line(), "predict", "houses", table.name, "-o", "answers.parquet"]
            peaks[place].append(peak(command, folder)[0])
    return peaks


def report_memory(rows: Sequence[int], peaks: list[list[int]]) -> None:
    """Print medians, and how much more the larger tables take than the first."""
    print(f"{'rows predicted':>16}{'peak, MB':>12}{'range':>18}{'against the first':>20}")
    for count, found in zip(rows, peaks, strict=True):
        span = f"{min(found) / 1e6:.1f} to {max(found) / 1e6:.1f}"
        share = median(found) / median(peaks[0])
        print(f"{count:16d}{median(found) / 1e6:12.1f}{span:>18}{share:20.3f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=("speed", "memory"), default=("speed", "memory"))
    parser.add_argument("--table", type=Path, default=DATA / "av_digits" / "digits.csv")
    parser.add_argument("--inputs", default="image_degraded,audio", help="pictures and recordings")
    parser.add_argument("--target", default="label", help="a class")
    parser.add_argument("--rows", type=int, default=3000, help="that speed is measured on; 0: all")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--memory-rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--memory-rounds", type=int, default=3)
    parser.add_argument("--suffix", choices=(".csv", ".parquet"), default=".csv", help="of those tables")
    parser.add_argument("--smoke", action="store_true", help="toy tables and one round, to see that it runs")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if options.smoke:
            options.table, options.inputs = write_demo(folder, rows=60), "image,audio"
            options.target = "digit"
            options.rounds, options.memory_rounds, options.memory_rows = 1, 1, [40, 80]
        if "speed" in options.parts:
            report_speed(options, *speed(options, folder))
        if "memory" in options.parts:
            report_memory(options.memory_rows, memory(options, folder))


if __name__ == "__main__":
    main()
