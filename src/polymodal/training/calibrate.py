"""Calibration after the training: temperatures, thresholds and intervals from the validation rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polymodal.config import Declaration
from polymodal.data.row_dataset import RowDataset
from polymodal.errors import Problem
from polymodal.models.inference import run_batches
from polymodal.models.predictor import Predictor
from polymodal.tasks import Tuning, task_of


@dataclass
class Calibration:
    """What was chosen on the validation rows.

    Attributes:
        targets: By target the settings of its head, and the number of rows; JSON values.
        warnings: What could not be chosen, with the reason and a fix.
        notes: What stays at its default although no setting requests that.
    """

    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def calibrate(
    model: Predictor, rows: RowDataset, declaration: Declaration, batch_size: int = 128
) -> Calibration:
    """Set the temperatures, thresholds and intervals that a declaration requests.

    The best epoch was selected on the same rows, so that the model fits them slightly better than new rows
    and the calibration is slightly overconfident. Sample weights are used; rows of weight 0 are ignored.

    Args:
        model: Trained; its heads are changed.
        rows: The validation rows, with their targets.
        declaration: With the settings of each target.
        batch_size: Rows per batch.

    Returns:
        What was chosen, by target.
    """
    wanted = tuned_targets(model, declaration)
    return calibrate_on(model, _outputs(model, rows, wanted, batch_size) if wanted else {}, rows, declaration)


def tuned_targets(model: Predictor, declaration: Declaration) -> list[str]:
    """The targets for which there is something to choose on the validation rows."""
    return [
        name
        for name, config in declaration.targets.items()
        if task_of(config.task).tunes(config, model.head(name))
    ]


@torch.no_grad()
def calibrate_on(
    model: Predictor,
    outputs: Mapping[str, tuple[Tensor, Tensor]],
    rows: RowDataset,
    declaration: Declaration,
) -> Calibration:
    """:func:`calibrate` by logits that are known already.

    Args:
        model: Its heads are changed.
        outputs: By target the logits ``(rows, outputs)`` of the validation rows and their true values.
        rows: The validation rows.
        declaration: With the settings of each target.
    """
    made = Calibration()
    weight = None if rows.weights is None else torch.from_numpy(rows.weights)
    for name, (logits, target) in outputs.items():
        head, config = model.head(name), declaration.targets[name]
        known = head.known(target) if weight is None else head.known(target) & (weight > 0)
        counts = None if weight is None else weight[known]
        given = Tuning(logits[known].to(model.device), target[known], counts, _metric(name, declaration))
        tuned = task_of(config.task).tune(head, given, config)
        made.notes += [f"column '{name}': {note}" for note in tuned.notes]
        made.warnings += [_warning(rows, name, reason, without) for reason, without in tuned.warnings]
        made.targets[name] = tuned.entry | {"rows": len(given.target)}
    return made


def _outputs(
    model: Predictor, rows: RowDataset, names: Iterable[str], batch_size: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """By target the logits ``(rows, outputs)`` and the true values of all rows, in main memory."""
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    for batch in run_batches(model, rows, batch_size):
        assert batch.output.logits is not None
        for name, batches in pairs.items():
            batches.append((batch.output.logits[name], batch.targets[name]))
    return {
        name: (torch.cat([logits for logits, _ in batches]), torch.cat([target for _, target in batches]))
        for name, batches in pairs.items()
    }


def _metric(name: str, declaration: Declaration) -> str:
    """Name of the metric that selects the epoch, if it is of this target; else empty."""
    target, _, metric = (declaration.train.metric or "").rpartition(".")
    return metric if target in ("", name) else ""


def _warning(rows: RowDataset, name: str, reason: str, without: str) -> str:
    fix = f"Give more rows for validation, or set targets.{name}.{without}."
    return str(Problem(file=rows.table.name, column=name, found=reason, cure=fix))
