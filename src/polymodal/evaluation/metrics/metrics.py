"""How good the answers are: every metric of a task at once, over the rows whose answer is known."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import functional as M

from polymodal.errors import PolymodalError
from polymodal.evaluation.metrics import weighted
from polymodal.evaluation.metrics.weighted import CALIBRATION_BINS
from polymodal.utils.registry import Registry

NO_ANSWER = -100
"""The class of a row whose target cell is empty, as PyTorch's losses have it."""

HIGHER_IS_BETTER: dict[str, bool] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "auroc": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "mae": False,
    "rmse": False,
    "r2": True,
    "mape": False,
    "medae": False,
    "spearman": True,
    "map": True,
    "micro_f1": True,
    "exact_match": True,
    "hamming_loss": False,
    "loss": False,
}
"""Metrics to select by; ``coverage`` and ``interval_width`` are known only after the training."""
DEFAULT_METRIC: dict[str, str] = {"classification": "accuracy", "multilabel": "map", "regression": "rmse"}

METRICS: Registry[Callable[..., dict[str, float]]] = Registry("metrics of task", group="polymodal.metrics")


def evaluate(
    task: str,
    prediction: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    family: str = "",
    **decided: Tensor,
) -> dict[str, float]:
    """All metrics of ``task``, or of its ``family`` if it has none of its own; empty if no row has an answer.

    Args:
        task: Of the head.
        prediction: What the head answers.
        target: What should have been answered.
        weight: ``(rows,)`` how much each row counts, 0 or more; a row of weight 0 is left out. By default all
            count the same.
        decided: What the head decides on its answers, see :meth:`polymodal.models.heads.Head.decide`.

    Raises:
        ConfigError: If no metrics are registered for that task.
        ValueError: If the shapes do not belong together.
        PolymodalError: If a prediction is not a finite number.
    """
    measure = _metrics_of(task, family)
    if weight is None:
        return measure(prediction, target, **decided)
    counts = weight > 0
    own = {name: value[counts] for name, value in decided.items()}
    kept = weight[counts].double()
    return measure(prediction[counts], target[counts], weight=kept / kept.mean(), **own)


def weighs_metrics(task: str, family: str = "") -> bool:
    """Whether the metrics of a task can be weighted row by row."""
    names = inspect.signature(_metrics_of(task, family)).parameters
    return "weight" in names or any(p.kind is p.VAR_KEYWORD for p in names.values())


def _metrics_of(task: str, family: str) -> Callable[..., dict[str, float]]:
    return METRICS[family if family and task not in METRICS else task]


@METRICS.register("classification")
def classification_metrics(
    probabilities: Tensor, target: Tensor, predicted: Tensor | None = None, weight: Tensor | None = None
) -> dict[str, float]:
    """Metrics of classes: ``probabilities`` ``(rows, classes)``, ``target`` ``(rows,)``, -100 where unknown.

    ``predicted`` ``(rows,)`` are the classes that were said, by default the likeliest. With ``weight``
    ``(rows,)``, above 0, each row counts so much.

    A class without a row in ``target`` has no recall and no curve, so it is left out of ``balanced_accuracy``
    and ``auroc``; ``macro_f1`` counts it only if it was predicted, which is a mistake. ``ece`` is the
    calibration error of the likeliest class over 15 bins of equal width (Guo et al. 2017, equation 3),
    ``brier`` the :func:`brier_score`.

    Returns:
        Metric by name; ``auroc`` is absent where a single class occurs; empty if no row has an answer.

    Raises:
        ValueError: If the shapes do not belong together, or a target is none of the classes.
        PolymodalError: If a probability is not a finite number.
    """
    known = target != NO_ANSWER
    probabilities, target = _answered(probabilities, target)
    if not len(target):
        return {}
    predicted = probabilities.argmax(dim=1) if predicted is None else predicted[known]
    if weight is not None:
        return weighted.class_metrics(probabilities, target, predicted, weight[known])
    smallest, classes = torch.finfo(probabilities.dtype).eps, probabilities.shape[1]
    # Rounding may give a little over one, which torchmetrics takes for a logit and puts through a softmax.
    probabilities = probabilities.double().clamp(0, 1)
    counts = {"preds": predicted, "target": target, "num_classes": classes, "average": "none"}
    occurs = target.bincount(minlength=classes) > 0
    appears = occurs | (predicted.bincount(minlength=classes) > 0)
    right = probabilities.gather(1, target.unsqueeze(1)).clamp(
        min=smallest
    )  # of zero the mean would be infinite
    values = {
        "accuracy": (predicted == target).double().mean(),
        "balanced_accuracy": _per_class(M.classification.multiclass_recall, counts)[occurs].mean(),
        "macro_f1": _per_class(M.classification.multiclass_f1_score, counts)[appears].mean(),
        "log_loss": -right.log().mean(),
        "brier": brier_score(probabilities, target),
        "ece": _calibration_error(probabilities, target),
    }
    if int(occurs.sum()) > 1:
        values["auroc"] = _auroc(probabilities, target, occurs)
    return {name: float(value) for name, value in values.items()}


@METRICS.register("multilabel")
def multilabel_metrics(
    probabilities: Tensor, target: Tensor, predicted: Tensor | None = None, weight: Tensor | None = None
) -> dict[str, float]:
    """Metrics of several labels a row: ``probabilities`` and ``target`` ``(rows, classes)``.

    A row of ``target`` that is unknown holds NaN. ``predicted``, of the same shape, are the labels that
    were said, by default those of probability ½ or more. A label that no row has gives no precision to
    average and no curve, so it is left out of ``map`` (mean average precision) and ``auroc``, as is from
    the latter a label that all rows have; a label that is neither there nor said is left out of
    ``macro_f1``. ``exact_match`` is the share of rows whose labels are all right, ``hamming_loss`` the
    share of wrong decisions, ``brier`` the :func:`brier_score`. With ``weight`` ``(rows,)``, above 0, each
    row counts so much.

    Returns:
        Metric by name, without those that are undefined; empty if no row has an answer.

    Raises:
        ValueError: If the shapes do not belong together.
        PolymodalError: If a probability is not a finite number.
    """
    if probabilities.ndim != 2 or target.shape != probabilities.shape:
        shapes = tuple(probabilities.shape), tuple(target.shape)
        raise ValueError(f"expected (rows, classes) twice, got {shapes[0]}, {shapes[1]}")
    predicted = probabilities >= 0.5 if predicted is None else predicted
    known = ~target.isnan().any(dim=1)
    probabilities, target, said = probabilities.detach()[known], target[known].long(), predicted[known].long()
    if not len(target):
        return {}
    refuse_not_finite(probabilities)
    probabilities = probabilities.double().clamp(0, 1)
    if weight is not None:
        return weighted.label_metrics(probabilities, target, said, weight[known])
    both, each = (said & target).sum(dim=0).double(), (said + target).sum(dim=0).double()  # (classes,)
    values = {
        "micro_f1": 2 * both.sum() / each.sum().clamp(min=1),
        "exact_match": (said == target).all(dim=1).double().mean(),
        "hamming_loss": (said != target).double().mean(),
        "brier": brier_score(probabilities, target),
    }
    appears = each > 0
    if appears.any():
        values["macro_f1"] = (2 * both / each.clamp(min=1))[appears].mean()
    has, lacks = target.any(dim=0), (target == 0).any(dim=0)
    for name, metric, where in (
        ("map", M.classification.binary_average_precision, has),
        ("auroc", M.classification.binary_auroc, has & lacks),
    ):
        # Label by label: torchmetrics' own mean over labels refuses a single one.
        found = [metric(probabilities[:, label], target[:, label]) for label in where.nonzero().flatten()]
        if found:
            values[name] = torch.stack(found).mean()
    return {name: float(value) for name, value in values.items()}


@METRICS.register("regression")
def regression_metrics(
    prediction: Tensor,
    target: Tensor,
    low: Tensor | None = None,
    high: Tensor | None = None,
    weight: Tensor | None = None,
) -> dict[str, float]:
    """Metrics of numbers: ``prediction`` and ``target`` ``(rows,)``, NaN where the target is unknown.

    ``mape`` is a share, not a percentage, and leaves out rows whose target is zero. With an interval from
    ``low`` to ``high`` ``(rows,)``, ``coverage`` is the share of the targets that lie in theirs, ends
    included, and ``interval_width`` the mean width. With ``weight`` ``(rows,)``, above 0, each row counts so
    much.

    Returns:
        Metric by name, without those that are undefined: ``mape`` if every target is zero, ``r2`` if all
        targets are equal, ``spearman`` if all targets or all predictions are; empty if no row has an answer.

    Raises:
        ValueError: If the shapes do not belong together.
        PolymodalError: If a prediction is not a finite number.
    """
    if prediction.ndim != 1 or target.shape != prediction.shape:
        raise ValueError(f"expected (rows,) twice, got {tuple(prediction.shape)}, {tuple(target.shape)}")
    known = ~target.isnan()
    interval = None if low is None or high is None else (low[known].double(), high[known].double())
    prediction, target = prediction.detach()[known].double(), target[known].double()
    if not len(target):
        return {}
    refuse_not_finite(prediction.unsqueeze(1))
    if weight is not None:
        return weighted.number_metrics(prediction, target, interval, weight[known])
    error = (prediction - target).abs()
    values = {
        "mae": float(M.mean_absolute_error(prediction, target)),
        "rmse": float(M.mean_squared_error(prediction, target, squared=False)),
        # torch.median gives the lower of the two middle values, and torch.quantile refuses long inputs.
        "medae": float(np.median(error.cpu().numpy())),
    }
    varies = bool((target != target[0]).any())
    if varies:
        values["r2"] = float(M.r2_score(prediction, target))
    if varies and bool((prediction != prediction[0]).any()):
        # torchmetrics 1.9 sums the ranks of equal values in 32 bits: wrong, even in sign, on 200,000 rows.
        values["spearman"] = float(spearmanr(prediction.cpu().numpy(), target.cpu().numpy()).statistic)
    nonzero = target != 0
    if nonzero.any():
        values["mape"] = float((error[nonzero] / target[nonzero].abs()).mean())
    return values | (_interval_metrics(*interval, target) if interval else {})


def brier_score(probabilities: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean squared error of ``probabilities`` ``(rows, classes)``, a scalar.

    Of classes, ``target`` ``(rows,)``, it is summed over all of them, from 0 to 2 (Brier 1950, equation 2);
    of labels, ``target`` of the same shape, it is the mean over them, from 0 to 1. With ``weight``
    ``(rows,)`` each row counts so much.
    """
    if target.ndim > 1:
        each = (probabilities - target).square()
        return each.mean() if weight is None else each.mean(dim=1) @ weight / weight.sum()
    each = (probabilities - F.one_hot(target, probabilities.shape[1])).square().sum(dim=1)
    return each.mean() if weight is None else each @ weight / weight.sum()


def _interval_metrics(low: Tensor, high: Tensor, target: Tensor) -> dict[str, float]:
    inside = (low <= target) & (target <= high)
    return {"coverage": float(inside.double().mean()), "interval_width": float((high - low).mean())}


def _answered(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The rows with an answer, once everything about them is found to be in order."""
    if probabilities.ndim != 2 or target.shape != probabilities.shape[:1]:
        shapes = tuple(probabilities.shape), tuple(target.shape)
        raise ValueError(f"expected (rows, classes) and (rows,), got {shapes[0]}, {shapes[1]}")
    known = target != NO_ANSWER
    probabilities, target = probabilities.detach()[known], target[known].long()
    classes = probabilities.shape[1]
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < classes:
        found = f"{int(target.min())} to {int(target.max())}"
        raise ValueError(f"expected targets from 0 to {classes - 1}, got {found}")
    refuse_not_finite(probabilities)
    return probabilities, target


def _per_class(metric: Callable[..., Tensor], counts: dict) -> Tensor:
    return metric(**counts, zero_division=0.0).double()


def _auroc(probabilities: Tensor, target: Tensor, occurs: Tensor) -> Tensor:
    """Area under the curve: of class 1 if there are two, else the mean of each one against the rest."""
    if probabilities.shape[1] == 2:
        return M.classification.binary_auroc(probabilities[:, 1], target)
    against_rest = F.one_hot(target, probabilities.shape[1])[:, occurs]
    return M.classification.multilabel_auroc(
        probabilities[:, occurs], against_rest, num_labels=against_rest.shape[1], average="macro"
    )


def _calibration_error(probabilities: Tensor, target: Tensor) -> Tensor:
    # torchmetrics gives a confidence of exactly one a bin of its own; it belongs to the last one.
    below_one = probabilities.clamp(max=1 - 1e-12)
    return M.classification.multiclass_calibration_error(
        below_one, target, num_classes=probabilities.shape[1], n_bins=CALIBRATION_BINS, norm="l1"
    )


def refuse_not_finite(answers: Tensor) -> None:
    """See that a training did not diverge; ``answers`` ``(rows, …)``.

    Raises:
        PolymodalError: If one of them is not a finite number.
    """
    broken = int((~answers.isfinite()).any(dim=1).sum())
    if broken:
        raise PolymodalError(
            f"the model's answers are not finite numbers in {broken} of {len(answers)} rows: "
            "the training diverged. Lower train.learning_rate"
        )
