"""After the training: temperatures, thresholds and intervals, chosen in one pass over the validation rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polymodal.config import Declaration
from polymodal.data.collator import RowDataset
from polymodal.errors import Problem
from polymodal.models.inference import run_batches
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.tasks import Tuning, task_of


@dataclass
class Calibration:
    """What was chosen on the validation rows.

    Attributes:
        targets: By target what its head holds now, and from how many rows; JSON values all.
        warnings: What could not be chosen, why, and the cure.
        notes: What was left as it is, though nobody had asked for it.
    """

    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@torch.no_grad()
def calibrate(
    model: PolymodalForPrediction, rows: RowDataset, declaration: Declaration, batch_size: int = 128
) -> Calibration:
    """Set the temperatures, thresholds and intervals that a declaration asks for.

    The same rows picked the best epoch, so that the model is a little better on them than on new ones: what
    is chosen here is a little too bold. Where rows have weights each counts by its own, and one of weight 0
    not at all.

    Args:
        model: Trained; its heads are changed.
        rows: The validation rows, with their targets.
        declaration: Says what each target wants.
        batch_size: Rows at once.
    """
    made = Calibration()
    wanted = {
        name: config
        for name, config in declaration.targets.items()
        if task_of(config.task).tunes(config, model.head(name))
    }
    if not wanted:
        return made
    weight = None if rows.weights is None else torch.from_numpy(rows.weights)
    for name, (logits, target) in _outputs(model, rows, wanted, batch_size).items():
        head, config = model.head(name), wanted[name]
        known = head.known(target) if weight is None else head.known(target) & (weight > 0)
        counts = None if weight is None else weight[known]
        given = Tuning(logits[known].to(model.device), target[known], counts, _metric(name, declaration))
        tuned = task_of(config.task).tune(head, given, config)
        made.notes += [f"column '{name}': {note}" for note in tuned.notes]
        made.warnings += [_warning(rows, name, found, without) for found, without in tuned.warnings]
        made.targets[name] = tuned.entry | {"rows": len(given.target)}
    return made


def _outputs(
    model: PolymodalForPrediction, rows: RowDataset, names: Iterable[str], batch_size: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """By target the logits and what they should have said, of all rows, in main memory."""
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    for batch in run_batches(model, rows, batch_size):
        assert batch.output.logits is not None
        for name, found in pairs.items():
            found.append((batch.output.logits[name], batch.targets[name]))
    return {
        name: (torch.cat([logits for logits, _ in found]), torch.cat([target for _, target in found]))
        for name, found in pairs.items()
    }


def _metric(name: str, declaration: Declaration) -> str:
    """The metric that picked the epoch, where it is one of this target."""
    target, _, metric = (declaration.train.metric or "").rpartition(".")
    return metric if target in ("", name) else ""


def _warning(rows: RowDataset, name: str, found: str, without: str) -> str:
    cure = f"Give more rows for validation, or set targets.{name}.{without}."
    return str(Problem(file=rows.table.name, column=name, found=found, cure=cure))
