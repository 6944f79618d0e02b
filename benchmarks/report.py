"""How long a report takes, and how many rows go through the encoders for it.

    python benchmarks/report.py --run runs/real/digits/seed0 --rounds 3 --threads 2

Ours is all of `polymodal report`, full and short: rows read, measured, drawn, written, without the start of
Python. Beside it its first two sections alone (every subset of the inputs, and EMAP) and its noise alone.
The reference is `Run.evaluate` on the same rows: one plain evaluation, whose encoders run once a row. A run
of six inputs (64 subsets) is made on the spot, to see that subsets cost no encoder calls. A noise curve
encodes one input of a row, which counts as a call.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

import polymodal as pm
from polymodal.data.row_dataset import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.importance.emap import emap
from polymodal.importance.importance import input_importance, try_inputs
from polymodal.models.modeling import PolymodalModel
from polymodal.report.gather import selection_metrics
from polymodal.report.report_writing import own_rows, report
from polymodal.report.verdict import verdict
from polymodal.robustness import noise_curves
from polymodal.run import Run
from polymodal.tasks import score_of


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
    """Print the full and the short report, its first two sections and its noise beside a plain evaluation."""
    rows = own_rows(run)[0]
    works = {
        "full report": lambda: report(run, amount="full", output=folder),
        "short report": lambda: report(run, amount="short", output=folder),
        "sections 1 and 2": lambda: first_sections(run, rows),
        "noise curves, 500 rows": lambda: noise_curves(run.model, rows, scores(run)),
        "plain evaluation": lambda: run.evaluate(rows.table),
    }
    found: dict[str, list[tuple[float, int]]] = {part: [] for part in works}
    for turn in range(rounds):
        for part in list(works) if turn % 2 == 0 else reversed(works):
            found[part].append(timed(works[part]))
    plain_rows = np.median([count for _, count in found["plain evaluation"]])
    print(f"{name}: {len(rows)} rows")
    for part, sides in found.items():
        seconds, count = np.median(sides, axis=0)
        print(f"  {part:24}{seconds:8.1f} s{count / plain_rows:8.2f} encoder calls a row", flush=True)


def scores(run: Run) -> dict[str, Score]:
    """The metric of each target."""
    return {name: score_of(head, selection_metrics(run).get(name)) for name, head in run.model.named_heads()}


def first_sections(run: Run, rows: RowDataset) -> None:
    """What the verdict and the importance of the inputs take."""
    trials = try_inputs(run.model, rows, metrics=selection_metrics(run))
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, reason = row_groups(rows.table, inputs)
    additive = emap(run.model, rows, scores(run), groups=groups)
    for name, trial in trials.items():
        verdict(input_importance(trial, rows, groups, grouped_by=reason), additive.targets[name])


def six_inputs(folder: Path, rows: int) -> Run:
    """A run over six columns of numbers, two of which the target hangs on, tested on a third of ``rows``."""
    values = np.random.default_rng(0).normal(size=(rows, 6))
    frame = pd.DataFrame(values, columns=[f"n{place}" for place in range(6)])
    frame["kind"] = np.where(values[:, 0] + values[:, 1] > 0, "a", "b")
    frame["split"] = np.repeat(["train", "val", "test"], [rows - rows // 6 - rows // 3, rows // 6, rows // 3])
    frame.to_csv(folder / "six.csv", index=False)
    settings = ["train.epochs=2", "report.write=false"]
    return pm.fit(folder / "six.csv", target="kind", output=folder / "run", settings=settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", type=Path, help="a finished run whose table is still there")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=3000, help="of the table of six inputs")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if options.run:
            compare(str(options.run), pm.load(options.run), folder / "own", options.rounds)
        compare("six inputs, 64 subsets", six_inputs(folder, options.rows), folder / "six", options.rounds)


if __name__ == "__main__":
    main()
