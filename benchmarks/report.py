"""How long a report takes, and how many rows go through the encoders for it.

    python benchmarks/report.py --run runs/real/digits/seed0 --rounds 3 --threads 2

Ours is `polymodal report` as a whole: rows read, measured, drawn, written; without the start of Python. The
reference is `Run.evaluate` on the same rows: one plain evaluation, whose encoders run once a row. Beside it
a run of six inputs (64 subsets) is made on the spot, to see that subsets cost no encoder calls.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

import polymodal as pm
from polymodal.models.modeling import PolymodalModel
from polymodal.report.writing import own_rows, report
from polymodal.run import Run


@contextmanager
def counted_rows() -> Iterator[list[int]]:
    """Fills with the number of rows of every batch that goes through the encoders."""
    seen: list[int] = []
    embed = PolymodalModel.embed

    def counting(self: PolymodalModel, index: Any, inputs: Any) -> Any:
        seen.append(len(index) if inputs else 0)
        return embed(self, index, inputs)

    with patch.object(PolymodalModel, "embed", counting):
        yield seen


def timed(work: Callable[[], Any]) -> tuple[float, int]:
    """Seconds, and rows through the encoders."""
    with counted_rows() as seen:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began, sum(seen)


def compare(name: str, run: Run, folder: Path, rounds: int) -> None:
    """Print one line: the report against a plain evaluation."""
    rows = own_rows(run)[0]
    sides = [], []
    for turn in range(rounds):
        works = [lambda: report(run, output=folder), lambda: run.evaluate(rows.table)]
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            sides[side].append(timed(works[side]))
    (ours, ours_rows), (plain, plain_rows) = (np.median(side, axis=0) for side in sides)
    calls = f"{ours_rows:.0f} of {plain_rows:.0f} rows encoded, {ours_rows / plain_rows:.2f}"
    print(f"{name:34}{len(rows):7} rows{ours:9.1f} s{plain:9.1f} s   {calls}", flush=True)


def six_inputs(folder: Path) -> Run:
    """A run over six columns of numbers, one of which the target hangs on."""
    values = np.random.default_rng(0).normal(size=(3000, 6))
    frame = pd.DataFrame(values, columns=[f"n{place}" for place in range(6)])
    frame["kind"] = np.where(values[:, 0] + values[:, 1] > 0, "a", "b")
    frame["split"] = ["train"] * 1500 + ["val"] * 500 + ["test"] * 1000
    frame.to_csv(folder / "six.csv", index=False)
    settings = ["train.epochs=2", "report.write=false"]
    return pm.fit(folder / "six.csv", target="kind", output=folder / "run", settings=settings)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", type=Path, help="a finished run whose table is still there")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"{'':34}{'':12}{'report':>9}  {'evaluate':>9}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        if options.run:
            compare(str(options.run), pm.load(options.run), folder / "own", options.rounds)
        compare("six inputs, 64 subsets", six_inputs(folder), folder / "six", options.rounds)


if __name__ == "__main__":
    main()
