"""The run behind ``polymodal demo``: the main job, on data written as a user's files are."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from polymodal.data.tables.table import read_table
from polymodal.demo.demo_table import write_demo
from polymodal.pipelines.fit import fit
from polymodal.report.report_writing import FIGURES

TARGET = "digit"
SHOWN = 6
ROWS = 1797


@dataclass
class DemoResult:
    """What the demo found.

    Attributes:
        folder: The run.
        table: The data.
        rows: Unseen rows.
        accuracy: On them, by what the model was given.
        answers: A few rows with what the model says.
        seconds: From data to answers.
    """

    folder: Path
    table: Path
    rows: int
    accuracy: dict[str, float]
    answers: pd.DataFrame
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        values = asdict(self) | {"folder": str(self.folder), "table": str(self.table)}
        return values | {"answers": self.answers.to_dict(orient="records")}


def run_demo(
    folder: Path, *, rows: int = ROWS, settings: Sequence[str] = (), quiet: bool = False
) -> DemoResult:
    """Make the data in ``folder/data``, fit, and measure with every input alone and left out."""
    started = time.perf_counter()
    path = write_demo(folder / "data", rows=rows)
    run = fit(path, target=TARGET, output=folder, settings=settings, overwrite=True, quiet=quiet)
    table = read_table(path)
    unseen = table.select([i for i, split in enumerate(table.values("split").to_pylist()) if split == "test"])
    frame = unseen.data.to_pandas()
    accuracy = {}
    if (folder / FIGURES).exists():  # a report that could not be written is no reason to show nothing
        figures = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        accuracy = _accuracy(run.model.config.input_names, figures["targets"][TARGET]["worth"]["subsets"])
    few = frame.head(SHOWN)
    said = run.predict(unseen.select(range(SHOWN)))
    answers = few[run.model.config.input_names].fillna("")
    answers.insert(0, "truth", run.processor.targets[TARGET].truth(unseen.values(TARGET))[:SHOWN])
    answers.insert(1, "answer", said[TARGET])
    answers.insert(2, "confidence", said[f"{TARGET}_confidence"].astype(float))
    return DemoResult(folder, path, len(frame), accuracy, answers, time.perf_counter() - started)


def _accuracy(names: Sequence[str], subsets: Sequence[dict[str, Any]]) -> dict[str, float]:
    """On what the model may be given: each input alone, all but one, all."""
    found = {frozenset(entry["inputs"]): entry["value"] for entry in subsets}
    alone = {f"{name} alone": found[frozenset([name])] for name in names}
    without = {f"all but {name}": found[frozenset(names) - {name}] for name in names}
    return alone | without | {"all together": found[frozenset(names)]}
