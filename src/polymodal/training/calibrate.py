"""After the training: temperatures, thresholds and intervals, chosen in one pass over the validation rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from polymodal.config import Declaration, TargetConfig
from polymodal.data.checks.check_columns import named
from polymodal.data.collator import RowDataset
from polymodal.errors import Problem
from polymodal.evaluation.metrics import calibration as temperature
from polymodal.evaluation.metrics.thresholds import DECISIVE, FEWEST_ROWS, class_thresholds, label_thresholds
from polymodal.evaluation.metrics.weighted import effective_rows
from polymodal.evaluation.statistics.conformal import conformal_quantile, fewest_rows
from polymodal.models.heads import Classifier, Head, MultilabelClassifier, Regressor
from polymodal.models.inference import run_batches
from polymodal.models.modeling import PolymodalForPrediction

USUAL_METRIC = "macro_f1"
"""What the thresholds of classes are chosen by, where ``train.metric`` does not hang on them."""
SHOWN = ("nll", "ece", "brier")
"""What is told of the probabilities before and after the temperature."""


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
        if wants_temperature(config, model.head(name)) or wants_decision(config, model.head(name))
    }
    if not wanted:
        return made
    weight = None if rows.weights is None else torch.from_numpy(rows.weights)
    for name, (logits, target) in _outputs(model, rows, wanted, batch_size).items():
        head, config = model.head(name), wanted[name]
        known = head.known(target) if weight is None else head.known(target) & (weight > 0)
        logits, target = logits[known].to(model.device), target[known]
        counts = None if weight is None else weight[known]
        entry: dict[str, Any] = {}
        if wants_temperature(config, head):
            entry, note = _temperature(cast(Classifier | MultilabelClassifier, head), logits, target, counts)
            made.notes += [f"column '{name}': {note}"] if note else []
        if wants_decision(config, head):  # of probabilities that have their temperature
            chosen, found = _decision(
                head, head.answer(logits).cpu(), target, counts, config, _metric(name, declaration)
            )
            entry |= chosen
            made.warnings += [_warning(rows, name, config, found)] if found else []
        made.targets[name] = entry | {"rows": len(target)}
    return made


def wants_temperature(config: TargetConfig, head: Head) -> bool:
    """Whether the probabilities of this target get a temperature; a head may know no such thing."""
    return config.temperature and isinstance(head, (Classifier, MultilabelClassifier))


def wants_decision(config: TargetConfig, head: Head) -> bool:
    """Whether thresholds or an interval of this target are chosen; a head may know no such thing."""
    if isinstance(head, Regressor):
        return config.interval is not None
    return isinstance(head, (Classifier, MultilabelClassifier)) and config.thresholds == "validation"


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
    target, _, metric = (declaration.train.metric or "").rpartition(".")
    return metric if metric in DECISIVE and target in ("", name) else USUAL_METRIC


def _warning(rows: RowDataset, name: str, config: TargetConfig, found: str) -> str:
    off = "null" if config.family != "multilabel" else "a number"
    setting = "interval" if config.family == "regression" else "thresholds"
    cure = f"Give more rows for validation, or set targets.{name}.{setting} to {off}."
    return str(Problem(file=rows.table.name, column=name, found=found, cure=cure))


def _temperature(
    head: Classifier | MultilabelClassifier, logits: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[dict[str, Any], str]:
    """Set the temperature of one head; what it brought, and why it stays 1 where it does."""
    head.temperature.fill_(1.0)
    few = _rows(target, weight) < temperature.FEWEST_ROWS
    # A head of another package may answer in a way of its own, of which the temperature here knows nothing.
    if not few and logits.shape == (len(target), len(head.classes)):
        head.temperature.fill_(temperature.fit_temperature(logits, target, weight))
    found = temperature.before_and_after(head, logits, target, weight)
    if found.after and found.before and found.after.nll > found.before.nll:
        head.temperature.fill_(1.0)
        found = temperature.before_and_after(head, logits, target, weight)
    needed = f"{_counted(target, weight)}, and it needs {temperature.FEWEST_ROWS} or more"
    shown = {key: {name: found[key][name] for name in SHOWN} for key in ("before", "after") if found[key]}
    note = f"the temperature stays 1: {needed}" if few else ""
    return {"temperature": found.temperature, **shown}, note


def _decision(
    head: Head, answer: Tensor, target: Tensor, weight: Tensor | None, config: TargetConfig, metric: str
) -> tuple[dict[str, Any], str]:
    """Change how one head decides; what it holds now, and what went amiss."""
    if isinstance(head, Regressor):
        assert config.interval is not None
        return _interval(head, answer, target, weight, config.interval)
    if isinstance(head, MultilabelClassifier):
        return _label_thresholds(head, answer, target, weight)
    return _class_thresholds(cast(Classifier, head), answer, target, weight, metric)


def _interval(
    head: Regressor, answer: Tensor, target: Tensor, weight: Tensor | None, level: float
) -> tuple[dict[str, Any], str]:
    head.half_width = conformal_quantile(head.residuals(answer, target), level, weight)
    found = ""
    if head.half_width is None:
        needed = fewest_rows(level)
        few = f"{_counted(target, weight)}, and {level:.0%} needs {needed} or more"
        negative = (
            f"more than {1 - level:.0%} of the validation answers are below zero, which 'log' never reaches"
        )
        found = f"no interval: {few if _rows(target, weight) < needed else negative}"
    return {"interval": level, "half_width": head.half_width}, found


def _rows(target: Tensor, weight: Tensor | None) -> float:
    """How many rows there are to choose by."""
    return len(target) if weight is None else effective_rows(weight.numpy())


def _counted(target: Tensor, weight: Tensor | None) -> str:
    """The same in words."""
    as_many = "" if weight is None else f", which say as much as {_rows(target, weight):.3g} of equal weight"
    return f"{len(target)} validation rows have an answer{as_many}"


def _label_thresholds(
    head: MultilabelClassifier, answer: Tensor, target: Tensor, weight: Tensor | None
) -> tuple[dict[str, Any], str]:
    chosen = label_thresholds(answer, target, weight)
    few = [name for name, threshold in zip(head.classes, chosen, strict=True) if threshold is None]
    head.thresholds = [0.5 if threshold is None else threshold for threshold in chosen]
    found = (
        f"the threshold stays 0.5 for {named(few)}: fewer than {FEWEST_ROWS} validation rows have or lack it"
    )
    return {"thresholds": dict(zip(head.classes, head.thresholds, strict=True))}, found if few else ""


def _class_thresholds(
    head: Classifier, answer: Tensor, target: Tensor, weight: Tensor | None, metric: str
) -> tuple[dict[str, Any], str]:
    head.thresholds = class_thresholds(answer, target, metric, weight)
    found = ""
    if head.thresholds is None:
        found = f"no thresholds: no class has {FEWEST_ROWS} validation rows and is lacking in as many"
    held = head.thresholds and dict(zip(head.classes, head.thresholds, strict=True))
    return {"thresholds": held, "metric": metric}, found
