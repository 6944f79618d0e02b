"""The runs in a folder, read from their files alone: no model is loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from polymodal.errors import RunError, one_line
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonObject, Record

DECLARATION, RESULTS, CHECKPOINTS = "run.yaml", "metrics.json", "checkpoints"
DEEPEST = 3
"""Folders below the given one that are looked into."""
Score = tuple[str, float]


@dataclass(frozen=True, kw_only=True)
class RunEntry(Record):
    """One run of a folder.

    Attributes:
        run: Its folder.
        data: The training table; None if the rows came from memory.
        targets: The columns that it predicts; empty for a pre-training.
        scores: By target the name and the value of the leading metric on the test rows.
        rows: Number of training rows; None where it is unknown.
        written: When its results were written, ISO 8601 in UTC; None while it is not finished.
        state: ``finished``, ``not finished`` (``--resume`` continues it), or why its files cannot be read.
    """

    run: str
    data: str | None
    targets: list[str]
    scores: dict[str, Score]
    rows: int | None
    written: str | None
    state: str


def list_runs(folder: str | Path = "runs") -> list[RunEntry]:
    """The runs in a folder and in its subfolders, in the order of their paths.

    Args:
        folder: Of several runs, or of one.

    Raises:
        RunError: If there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise RunError(f"{root}: there is no such folder")
    return [_entry(path) for path in _run_folders(root, DEEPEST)]


def test_metrics(folder: Path) -> dict[str, dict[str, float]]:
    """By target the metrics on the test rows, the leading one first; empty where there are none to read."""
    try:
        test = read_json(folder / RESULTS)["test"]
    except (OSError, ValueError, LookupError, TypeError, RunError):
        return {}  # of a run that is not finished, or was saved without results
    return {str(target): _finite(metrics) for target, metrics in (test or {}).items()}


def tested_rows(folder: Path) -> int | None:
    """The number of test rows of a run; None where it is unknown."""
    try:
        return int(read_json(folder / RESULTS)["rows"]["test"])
    except (OSError, ValueError, LookupError, TypeError, RunError):
        return None


def leading_metric(folder: Path) -> JsonObject | None:
    """The leading metric of the first target on the test rows, None where there is none to read.

    Returns:
        ``name``, ``value``, and how many ``rows`` it is of.
    """
    for metrics in test_metrics(folder).values():
        for name, value in metrics.items():
            return {"name": name, "value": value, "rows": tested_rows(folder)}
    return None


def _finite(metrics: Any) -> dict[str, float]:
    """The metrics that are defined."""
    return {
        str(name): float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Folders of runs; those within a run (its candidates, its folds) are parts of it."""
    if (folder / DECLARATION).is_file() and any((folder / name).exists() for name in (RESULTS, CHECKPOINTS)):
        yield folder
    elif depth:
        for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
            yield from _run_folders(path, depth - 1)


def _entry(path: Path) -> RunEntry:
    """The summary of one run from its files; a damaged one is listed with the reason."""
    state, scores, rows, written = "not finished", dict[str, Score](), None, None
    data, targets = None, list[str]()
    try:
        declared = yaml.safe_load((path / DECLARATION).read_text(encoding="utf-8"))
        train = declared["data"]["train"]
        data, targets = train if isinstance(train, str) else None, list(declared["targets"] or {})
        if (path / RESULTS).is_file():
            results = read_json(path / RESULTS)
            scores, rows = _scores(results["test"]), int(results["rows"]["train"])
            moment = datetime.fromtimestamp((path / RESULTS).stat().st_mtime, UTC)
            state, written = "finished", moment.isoformat(timespec="seconds")
    except (OSError, ValueError, LookupError, TypeError, RunError, yaml.YAMLError) as error:
        state = f"cannot be read: {one_line(str(error) or type(error).__name__, 80)}"
    return RunEntry(
        run=str(path), data=data, targets=targets, scores=scores, rows=rows, written=written, state=state
    )


def _scores(test: Any) -> dict[str, Score]:
    """By target its first metric, which is the leading one."""
    each = {str(target): _finite(metrics) for target, metrics in (test or {}).items()}
    return {target: next(iter(metrics.items())) for target, metrics in each.items() if metrics}
