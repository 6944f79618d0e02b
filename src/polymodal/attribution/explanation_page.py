"""Explanations of a run's predictions: one page and one tidy table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from polymodal.artifact.capabilities import Capability
from polymodal.artifact.run_folder import NEURAL
from polymodal.attribution.baselines import OTHER, WORDS
from polymodal.attribution.explain import Explanation, Inside, explain_rows
from polymodal.attribution.explanation_html import row_content, spoken_confidence
from polymodal.attribution.explanation_table import explanation_frame
from polymodal.attribution.integrated_gradients import LIMIT
from polymodal.attribution.row_choice import choose_rows
from polymodal.data.read_rows import ReadRows
from polymodal.data.row_processor import Row
from polymodal.data.tables.table import read_table
from polymodal.data.tables.table_writing import write_parquet
from polymodal.errors import worded
from polymodal.evaluation.number_text import plain
from polymodal.models.blend import BlendedModel
from polymodal.models.predictor import Predictor
from polymodal.report.report_page import render
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.atomic import write_text, writing
from polymodal.utils.progress import silence
from polymodal.utils.version import __version__

PAGE, FRAME = "explanations.html", "explanations.parquet"


@dataclass(frozen=True)
class Explanations:
    """Explanations of rows of a table.

    Attributes:
        table: Its name.
        entries: The explanations, row by row, target by target.
        rows: Number of rows of the table.
        chosen: Whether the rows were named; else they are the first ones.
    """

    table: str
    entries: list[Explanation]
    rows: int
    chosen: bool

    @property
    def explained(self) -> int:
        """Number of rows that were explained."""
        return len({entry.row for entry in self.entries})

    def frame(self) -> pd.DataFrame:
        """One row per row × target × input × part; see
        :func:`polymodal.attribution.explanation_table.explanation_frame`.
        """
        return explanation_frame(self.entries)

    def sentences(self) -> list[str]:
        """The explained rows, the completeness error, and the rows where it is too large."""
        extent = f"{self.explained} of {self.rows} rows of {self.table}"
        if not self.chosen and self.explained < self.rows:
            extent = f"The first {extent}; name others with {worded('--rows 3,8', 'rows=[3, 8]')}"
        sentences = [f"{extent}."] if self.rows > 1 else []
        sentences += self._completeness()
        if any(entry.plain for entry in self.entries):
            sentences.append("Contributions in plain models sum to their scores exactly.")
        return sentences

    def _completeness(self) -> list[str]:
        """The error of integrated gradients; none where no neural model answers."""
        entries = [entry for entry in self.entries if entry.weight]
        if not entries:
            return []
        worst = max(entries, key=lambda entry: (entry.found.relative, entry.found.error))
        target, most = worst.said.target, max(entry.found.steps for entry in entries)
        exact = (
            f"Completeness error of the attributions: at most {worst.found.relative:.2%} of what is "
            f"explained ({plain(worst.found.error)} in row {worst.row}, {target}), "
            f"with up to {most} Gauss–Legendre steps"
        )
        flagged = [entry for entry in entries if entry.found.flagged]
        sentences = [f"{exact}."]
        if flagged:
            pairs = ((entry.row, entry.said.target) for entry in flagged)
            named = ", ".join(dict.fromkeys(f"{row} ({target})" for row, target in pairs))
            sentences.append(f"Not to be relied on, with an error above {LIMIT:.0%}: row {named}.")
        return sentences


def explain(
    run: PredictionRun,
    source: Any,
    rows: str | int | Sequence[int] | None = None,
    *,
    targets: str | Sequence[str] | None = None,
) -> Explanations:
    """Explain a run's predictions for some rows of a table.

    Args:
        run: The run.
        source: A table, with or without the targets.
        rows: Their numbers from 1, the header not counted; by default the first 8.
        targets: One or several; by default all.

    Raises:
        DataError: If table or cell cannot be read, or there is no such row.
        RunError: If there is no such target.
    """
    run.require(Capability.explain)
    table = read_table(source)
    indices = choose_rows(table, rows)
    named = [targets] if isinstance(targets, str) else targets
    readable = run.rows(table)
    readable.processor = run.processor  # which makes batches
    run.inspect(table).warn()
    inside = (
        Inside(run.fused.model, run.fused.rows(table), neural_shares(run)) if neural_shares(run) else None
    )
    entries = _with_units(run, explain_rows(run.model, readable, indices, targets=named, inside=inside))
    return Explanations(table.name, entries, len(table), rows is not None)


def explain_read(
    run: PredictionRun,
    cells: Mapping[str, Any],
    read: Row,
    neural: Row | None = None,
    *,
    targets: Sequence[str] | None = None,
) -> Explanations:
    """Explain a run's predictions for one row that was read already, as a service reads them.

    Args:
        run: The run.
        cells: By input, as they were before they were read; texts are shown from them.
        read: What ``run.reading`` kept of them.
        neural: What ``run.fused.reading`` kept of them, where :func:`neural_shares` is not empty.
        targets: By default all.

    Raises:
        RunError: If there is no such target.
    """
    run.require(Capability.explain)
    table = read_table([{name: cells.get(name) for name in run.reading.readers}])
    table = table.marking(run.reading.missing)
    inside = None
    if neural is not None:
        inside = Inside(run.fused.model, ReadRows([neural], run.fused.processor, table), neural_shares(run))
    rows = ReadRows([read], run.processor, table)
    with silence():  # of a service, whose terminal is not that of who waits
        entries = explain_rows(run.model, rows, [0], targets=targets, inside=inside)
    return Explanations(table.name, _with_units(run, entries), len(table), chosen=True)


def _with_units(run: PredictionRun, entries: Sequence[Explanation]) -> list[Explanation]:
    units = {name: target.shown_unit for name, target in run.declaration.targets.items()}
    return [replace(entry, target_unit=units.get(entry.said.target, "")) for entry in entries]


def neural_shares(run: PredictionRun) -> dict[str, float]:
    """By target the share of the neural model in the answers of a blend; empty where it has none in any."""
    model: Predictor = run.model
    if not isinstance(model, BlendedModel):
        return {}
    shares = {target: weights.get(NEURAL.name, 0.0) for target, weights in model.weights.items()}
    return shares if any(shares.values()) else {}


def write_explanations(found: Explanations, run: PredictionRun, output: str | Path) -> tuple[Path, Path]:
    """Write ``explanations.html`` and ``explanations.parquet`` to a folder; returns both paths.

    Args:
        found: The explanations.
        run: That was explained.
        output: The folder; made if it does not exist.

    Raises:
        PolymodalError: If they cannot be written.
    """
    folder = Path(output)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_parquet([found.frame()], folder / FRAME)
        footer = f"Run {run.folder}, written by Polymodal {__version__}. All figures: {FRAME}."
        write_text(folder / PAGE, explanation_page(found, run, footer))
    return folder / PAGE, folder / FRAME


def explanation_page(found: Explanations, run: PredictionRun, footer: str) -> str:
    """The page of explanations, in HTML.

    Args:
        found: The explanations.
        run: That was explained.
        footer: The page's last line.
    """
    modalities = {name: run.processor.readers[name].modality for name in run.model.config.input_names}
    targets = dict.fromkeys(entry.said.target for entry in found.entries)
    return render(
        "explain.html",
        title=f"Explained: {', '.join(targets)}",
        sentences=found.sentences(),
        groups=_by_row(found.entries),
        baselines={kind: WORDS.get(kind, OTHER) for kind in dict.fromkeys(modalities.values())},
        gradients=any(entry.weight for entry in found.entries),
        contributions=any(entry.plain for entry in found.entries),
        limit=LIMIT,
        plain=plain,
        confidence=spoken_confidence,
        footer=footer,
    )


def _by_row(entries: Sequence[Explanation]) -> dict[int, list[dict[str, Any]]]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry.row, []).append(row_content(entry))
    return groups
