"""The run of ``polymodal demo``: a fit on generated files, as a user would run it."""

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
from polymodal.fitting import fit
from polymodal.report.report_writing import FIGURES
from polymodal.utils.records import JsonObject

TARGET = "digit"
SHOWN = 6
ROWS = 1797


@dataclass
class DemoResult:
    """The result of the demo.

    Attributes:
        folder: The run folder.
        table: The data.
        rows: Number of test rows.
        accuracy: Test accuracy by the inputs that the model gets.
        answers: A few rows with their predictions.
        seconds: Duration, from data to predictions.
    """

    folder: Path
    table: Path
    rows: int
    accuracy: dict[str, float]
    answers: pd.DataFrame
    seconds: float

    def to_json(self) -> JsonObject:
        """The result as JSON values."""
        values = asdict(self) | {"folder": str(self.folder), "table": str(self.table)}
        return values | {"answers": self.answers.to_dict(orient="records")}


def run_demo(
    folder: Path, *, rows: int = ROWS, settings: Sequence[str] = (), quiet: bool = False
) -> DemoResult:
    """Write the data to ``folder/data``, fit, and evaluate with each input alone and without it."""
    started = time.perf_counter()
    path = write_demo(folder / "data", rows=rows)
    run = fit(path, target=TARGET, output=folder, settings=settings, overwrite=True, quiet=quiet)
    table = read_table(path)
    unseen = table.select([i for i, split in enumerate(table.values("split").to_pylist()) if split == "test"])
    frame = pd.DataFrame(unseen.data.cells(range(len(unseen))))
    accuracy = {}
    if (folder / FIGURES).exists():  # without a report the rest is still shown
        figures = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        accuracy = _accuracy(run.model.config.input_names, figures["targets"][TARGET]["worth"]["subsets"])
    few = frame.head(SHOWN)
    predicted = run.predict(unseen.select(range(SHOWN)))
    answers = few[run.model.config.input_names].fillna("")
    answers.insert(0, "truth", run.processor.targets[TARGET].truth(unseen.values(TARGET))[:SHOWN])
    answers.insert(1, "answer", predicted[TARGET])
    answers.insert(2, "confidence", predicted[f"{TARGET}_confidence"].astype(float))
    return DemoResult(folder, path, len(frame), accuracy, answers, time.perf_counter() - started)


def _accuracy(names: Sequence[str], subsets: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Accuracy by subset of the inputs: each alone, all but one, all."""
    result = {frozenset(entry["inputs"]): entry["value"] for entry in subsets}
    alone = {f"{name} alone": result[frozenset([name])] for name in names}
    without = {f"all but {name}": result[frozenset(names) - {name}] for name in names}
    return alone | without | {"all together": result[frozenset(names)]}
