"""Ground truth, predictions and cost of a run on its test rows, read without loading the model."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polymodal.artifact.capabilities import Capability, Kind, require
from polymodal.artifact.run_folder import kind_of, require_folder_of_run
from polymodal.comparison.comparison_figures import RunCost
from polymodal.config import Declaration
from polymodal.config.parsing import load_yaml
from polymodal.data.checks.rejected import NAME as REJECTED
from polymodal.data.media.cells import MediaError
from polymodal.data.targets import TARGETS
from polymodal.data.values.missing import Marks
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.errors import RunError, option, setting
from polymodal.tasks import TASKS, reader_name
from polymodal.training.declaration.target_checks import WEIGHT
from polymodal.training.output_folder import RESULTS, SEVERAL, read_results
from polymodal.training.recorded_metrics import FitResults, PredictionResults
from polymodal.utils.json_files import read_json

ANSWERS, PROCESSOR, DECLARED = "predictions.parquet", "processor_config.json", "run.yaml"


@dataclass(frozen=True)
class TestedRun:
    """A run and its predictions for its test rows.

    Attributes:
        name: The shortest that no other run of the comparison has.
        folder: The run folder.
        declaration: Of the fit.
        results: Of its fit.
        rows: Numbers of the test rows in their file, from 1, ascending.
        classes: By target; empty for numbers.
        families: The task of each target whose predictions can be read.
        truth: Ground truth by target, one entry per row as training read the cells; None for an empty cell.
        predicted: The predictions, in the same form.
        rejected: ``(name of the file, row)`` of the rows that ``data.on_error: skip`` skipped.
        weights: ``(rows,)`` sample weights of the run's metrics; None where all are equal.
    """

    name: str
    folder: Path
    declaration: Declaration
    results: FitResults
    rows: np.ndarray
    classes: dict[str, list[str]]
    families: dict[str, str]
    truth: dict[str, list[Any]]
    predicted: dict[str, list[Any]]
    rejected: frozenset[tuple[str, int]]
    weights: np.ndarray | None = None

    @property
    def cost(self) -> RunCost:
        """Of the run's training."""
        trained = self.results.train
        return RunCost(
            parameters=self.results.parameters,
            seconds=trained.seconds,
            rows_per_second=trained.rows_per_second,
        )


def read_all(folders: Sequence[str | Path]) -> list[TestedRun]:
    """The runs in ``folders``, each named by the shortest end of its path that no other one has.

    Raises:
        RunError: If there are fewer than two, one is named twice, is no run, or was not tested.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise RunError(
            f"a comparison takes two runs or more, {len(paths)} was named. Name the folders of two"
        )
    seen: dict[Path, Path] = {}
    for path in paths:
        if path.resolve() in seen:
            raise RunError(f"{path}: is named twice (as {seen[path.resolve()]}). Name every run once")
        seen[path.resolve()] = path
    return [read_tested(path, name) for path, name in zip(paths, short_names(list(seen)), strict=True)]


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of each path, as few for all as make them distinct."""
    longest = max(len(path.parts) for path in paths)
    for count in range(1, longest + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def read_tested(folder: Path, name: str) -> TestedRun:
    """Read one run.

    Raises:
        RunError: If the folder holds none, or none with test rows, or a file of it cannot be read.
    """
    _check_run(folder)
    results, processor = read_results(folder), _json(folder / PROCESSOR)
    if not (folder / ANSWERS).is_file():
        some = setting("data.test", 0.1)
        fix = f"Fit again with some, such as {some}"
        if not load_yaml(folder / DECLARED).keeps_rows:
            reason = "keeps no answers to its test rows (report.predictions: false, or data.private: true)"
            raise RunError(f"{folder}: {reason}, so there is nothing to compare")
        raise RunError(f"{folder}: was fitted without test rows, so there is nothing to compare. {fix}")
    try:
        table = pq.read_table(folder / ANSWERS)
        table = table.sort_by("row")
        missing = Marks.of_saved(processor.get("missing"))
        targets = [entry for entry in processor["targets"] if entry["task"] in TARGETS]
        columns = {
            entry["name"]: [
                read_cells(
                    table.column(column).to_pylist(),
                    entry["task"],
                    separator,
                    entry["classes"],
                    missing,
                    entry.get("written"),
                )
                for column, separator in (
                    (f"{entry['name']}_true", entry.get("separator")),
                    (entry["name"], None),
                )
            ]
            for entry in targets
        }
        rows = table.column("row").to_numpy()
        is_weighted = isinstance(results, PredictionResults) and results.sample_weight
        weights = table.column(WEIGHT).to_numpy() if is_weighted else None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MediaError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{folder / ANSWERS}: cannot be read ({reason}). Fit again") from None
    declaration = load_yaml(folder / DECLARED)
    return TestedRun(
        name=name,
        folder=folder,
        declaration=declaration,
        results=results,
        rows=rows,
        classes={entry["name"]: entry["classes"] for entry in targets},
        families={entry["name"]: _task(declaration, entry) for entry in targets},
        truth={target: truth for target, (truth, _) in columns.items()},
        predicted={target: predicted for target, (_, predicted) in columns.items()},
        rejected=_rejected(folder / REJECTED),
        weights=weights,
    )


def _task(declaration: Declaration, entry: Mapping[str, Any]) -> str:
    """The task of a target in the processor's file: that declared, where it is a task of its own."""
    declared = declaration.targets.get(entry["name"])
    return declared.task if declared and declared.task in TASKS else str(entry["task"])


def _check_run(folder: Path) -> None:
    require_folder_of_run(folder)
    lacking = [name for name in (DECLARED, PROCESSOR, RESULTS) if not (folder / name).is_file()]
    if not lacking:
        if kind_of(folder) is Kind.words:
            require(Kind.words, Capability.compare, folder)
        return
    if any((folder / name).is_file() for name in (*SEVERAL, "folds.json", "summary.json")):
        raise RunError(f"{folder}: holds several runs. Name those in it: {folder}/*/")
    fix = f"Name the folder that a fit wrote, or finish the fit with {option('resume', True)}"
    raise RunError(f"{folder}: not a complete run, {', '.join(lacking)} missing. {fix}")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: is no JSON ({error}). Fit again") from None
    if not isinstance(content, dict):
        raise RunError(f"{path}: holds no JSON object. Fit again")
    return content


def read_cells(
    cells: list[Any],
    family: str,
    separator: str | None,
    classes: Sequence[str],
    missing: Marks,
    written: str | None = None,
) -> list[Any]:
    """Cells as training reads them: equal where they mean the same, whatever their type in the file.

    Two spellings that ``classes`` distinguishes are not equal; values in ``missing`` are empty cells.
    """
    cells = list(map(missing.cleared, cells))
    return TARGETS[reader_name(family)].comparable(cells, separator, Vocabulary(classes), written, missing)


def _rejected(path: Path) -> frozenset[tuple[str, int]]:
    if not path.is_file():
        return frozenset()
    with path.open(encoding="utf-8", newline="") as file:
        return frozenset(
            (Path(line["file"]).name, int(line["row"])) for line in csv.DictReader(file) if line["row"]
        )
