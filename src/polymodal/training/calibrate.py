"""Calibration after the training: temperatures, thresholds and intervals from the validation rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.config import Declaration
from polymodal.data.row_dataset import RowDataset
from polymodal.errors import Problem
from polymodal.tasks import Tuning, task_of
from polymodal.tasks.base import AnyHead, decoder_of

if TYPE_CHECKING:
    from polymodal.models.predictor import Predictor


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
    heads: dict[str, AnyHead] = dict(model.named_heads())
    wanted = tuned_targets(heads, declaration)
    return calibrate_on(heads, _outputs(model, rows, wanted, batch_size) if wanted else {}, rows, declaration)


def tuned_targets(heads: Mapping[str, AnyHead], declaration: Declaration) -> list[str]:
    """The targets for which there is something to choose on the validation rows."""
    return [
        name
        for name, config in declaration.targets.items()
        if task_of(config.task).tunes(config, heads[name])
    ]


def calibrate_on(
    heads: Mapping[str, AnyHead],
    outputs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    rows: RowDataset,
    declaration: Declaration,
) -> Calibration:
    """:func:`calibrate` by logits that are known already.

    Args:
        heads: By target its head or decoder, which is changed.
        outputs: By target the logits ``(rows, outputs)`` of the validation rows and their true values.
        rows: The validation rows.
        declaration: With the settings of each target.
    """
    made = Calibration()
    weight = rows.weights
    for name, (logits, target) in outputs.items():
        head, config = heads[name], declaration.targets[name]
        known = decoder_of(head).known(target)
        known &= True if weight is None else weight > 0
        counts = None if weight is None else weight[known]
        given = Tuning(logits[known], target[known], counts, _metric(name, declaration))
        tuned = task_of(config.task).tune(head, given, config)
        made.notes += [f"column '{name}': {note}" for note in tuned.notes]
        made.warnings += [_warning(rows, name, reason, without) for reason, without in tuned.warnings]
        made.targets[name] = tuned.entry | {"rows": len(given.target)}
    return made


def _outputs(
    model: Predictor, rows: RowDataset, names: Iterable[str], batch_size: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By target the logits ``(rows, outputs)`` and the true values of all rows."""
    from polymodal.models.inference import run_batches  # plain models are calibrated without torch

    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
    for batch in run_batches(model, rows, batch_size):
        assert batch.output.logits is not None
        for name, batches in pairs.items():
            batches.append((batch.output.logits[name].float().numpy(), batch.targets[name].numpy()))
    return {
        name: (np.concatenate([each for each, _ in batches]), np.concatenate([each for _, each in batches]))
        for name, batches in pairs.items()
    }


def _metric(name: str, declaration: Declaration) -> str:
    """Name of the metric that selects the epoch, if it is of this target; else empty."""
    target, _, metric = (declaration.train.metric or "").rpartition(".")
    return metric if target in ("", name) else ""


def _warning(rows: RowDataset, name: str, reason: str, without: str) -> str:
    fix = f"Give more rows for validation, or set targets.{name}.{without}."
    return str(Problem(file=rows.table.name, column=name, found=reason, cure=fix))
