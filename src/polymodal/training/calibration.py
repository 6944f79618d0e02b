"""After the training: thresholds and intervals, chosen in one pass over the validation rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor

from polymodal.config import Declaration, TargetConfig
from polymodal.data.check_columns import named
from polymodal.data.collator import RowDataset
from polymodal.errors import Problem
from polymodal.evaluation.conformal import conformal_quantile, fewest_rows
from polymodal.evaluation.inference import Measure, run_batches
from polymodal.evaluation.thresholds import DECISIVE, FEWEST_ROWS, class_thresholds, label_thresholds
from polymodal.models.heads import Classifier, Head, MultilabelClassifier, Regressor
from polymodal.models.modeling import PolymodalForPrediction

USUAL_METRIC = "macro_f1"
"""What the thresholds of classes are chosen by, where ``train.metric`` does not hang on them."""


@dataclass
class Calibration:
    """What was chosen on the validation rows.

    Attributes:
        targets: By target what its head holds now, and from how many rows; JSON values all.
        warnings: What could not be chosen, why, and the cure.
    """

    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def calibrate(
    model: PolymodalForPrediction, rows: RowDataset, declaration: Declaration, batch_size: int = 128
) -> Calibration:
    """Set the thresholds and intervals that a declaration asks for.

    The same rows picked the best epoch, so that the model is a little better on them than on new ones: what
    is chosen here is a little too bold.

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
        if wants_calibration(config, model.head(name))
    }
    if not wanted:
        return made
    measure = Measure(model)
    for batch in run_batches(model, rows, batch_size):
        measure.add(batch)
    for name, config in wanted.items():
        head = model.head(name)
        answer, target = measure.answered(name)
        known = head.known(target)
        entry, found = _calibrate(head, answer[known], target[known], config, _metric(name, declaration))
        made.targets[name] = entry | {"rows": int(known.sum())}
        if found:
            off = "null" if config.family != "multilabel" else "a number"
            setting = "interval" if config.family == "regression" else "thresholds"
            cure = f"Give more rows for validation, or set targets.{name}.{setting} to {off}."
            problem = Problem(file=rows.table.name, column=name, found=found, cure=cure)
            made.warnings.append(str(problem))
    return made


def wants_calibration(config: TargetConfig, head: Head) -> bool:
    """Whether something of this target is chosen on the validation rows; a head may know no such thing."""
    if isinstance(head, Regressor):
        return config.interval is not None
    return isinstance(head, (Classifier, MultilabelClassifier)) and config.thresholds == "validation"


def _metric(name: str, declaration: Declaration) -> str:
    target, _, metric = (declaration.train.metric or "").rpartition(".")
    return metric if metric in DECISIVE and target in ("", name) else USUAL_METRIC


def _calibrate(
    head: Head, answer: Tensor, target: Tensor, config: TargetConfig, metric: str
) -> tuple[dict[str, Any], str]:
    """Change one head; what it holds now, and what went amiss."""
    if isinstance(head, Regressor):
        assert config.interval is not None
        return _interval(head, answer, target, config.interval)
    if isinstance(head, MultilabelClassifier):
        return _label_thresholds(head, answer, target)
    return _class_thresholds(cast(Classifier, head), answer, target, metric)


def _interval(head: Regressor, answer: Tensor, target: Tensor, level: float) -> tuple[dict[str, Any], str]:
    head.half_width = conformal_quantile(head.residuals(answer, target), level)
    found = ""
    if head.half_width is None:
        needed = fewest_rows(level)
        few = f"{len(target)} validation rows have an answer, and {level:.0%} needs {needed} or more"
        negative = (
            f"more than {1 - level:.0%} of the validation answers are below zero, which 'log' never reaches"
        )
        found = f"no interval: {few if len(target) < needed else negative}"
    return {"interval": level, "half_width": head.half_width}, found


def _label_thresholds(
    head: MultilabelClassifier, answer: Tensor, target: Tensor
) -> tuple[dict[str, Any], str]:
    chosen = label_thresholds(answer, target)
    few = [name for name, threshold in zip(head.classes, chosen, strict=True) if threshold is None]
    head.thresholds = [0.5 if threshold is None else threshold for threshold in chosen]
    found = (
        f"the threshold stays 0.5 for {named(few)}: fewer than {FEWEST_ROWS} validation rows have or lack it"
    )
    return {"thresholds": dict(zip(head.classes, head.thresholds, strict=True))}, found if few else ""


def _class_thresholds(
    head: Classifier, answer: Tensor, target: Tensor, metric: str
) -> tuple[dict[str, Any], str]:
    head.thresholds = class_thresholds(answer, target, metric)
    found = ""
    if head.thresholds is None:
        found = f"no thresholds: no class has {FEWEST_ROWS} validation rows and is lacking in as many"
    held = head.thresholds and dict(zip(head.classes, head.thresholds, strict=True))
    return {"thresholds": held, "metric": metric}, found
