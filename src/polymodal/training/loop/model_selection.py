"""Model selection: the best epoch by a validation metric, with the loss as tie-breaker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import EvalPrediction

from polymodal.errors import ConfigError
from polymodal.evaluation.metrics.metrics import METRICS, evaluate
from polymodal.models.heads import Head
from polymodal.models.objectives.base import Objective
from polymodal.models.weighting import Weighting

TIE = 1e-6
"""Weight of the loss beside the metric: too small to outweigh one row in a hundred thousand."""


def validation_metrics(
    heads: Mapping[str, Head],
    metric: str,
    weighting: Weighting | None = None,
    objectives: Mapping[str, Objective] | None = None,
) -> Callable[[EvalPrediction], dict[str, float]]:
    """The Trainer's ``compute_metrics``: every metric by ``target.metric``, and ``selection``.

    Labels are the targets, or a pair: targets, and the rows' weights ``(rows,)``.

    Losses are summed with fixed weights here, even where weights are learned: epochs must be comparable, and
    learned weights follow the training losses. The learned factor of each target's loss is returned as
    ``target.weight``.
    """

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        predicted: Any = prediction.predictions
        logits, parts = (
            predicted if isinstance(predicted, tuple) else (predicted, {}) if heads else ({}, predicted)
        )
        given: Any = prediction.label_ids
        targets, weights = given if isinstance(given, tuple) else (given, None)
        results = {
            f"{name}.loss" if name in (objectives or {}) else name: float(np.nanmean(values))
            for name, values in parts.items()
            if not np.isnan(values).all()  # no batch defined it
        }
        loss = sum(part.weight * results.get(f"{name}.loss", 0) for name, part in (objectives or {}).items())
        for name, head in heads.items():
            device = next(head.parameters()).device
            rows = torch.as_tensor(np.asarray(logits[name]), device=device)
            answer = torch.as_tensor(np.asarray(targets[name]), device=device)
            weight = None if weights is None else torch.as_tensor(np.asarray(weights))
            weighted = {} if weight is None else {"weight": weight.to(device)}
            with torch.no_grad():
                answered = head.answer(rows).cpu()
                decided = head.decide(answered)
                measured = evaluate(head.task, answered, answer.cpu(), weight, family=head.reads(), **decided)
                part = float(head.loss(rows, answer, **weighted))
            loss += head.weight * part
            results |= {f"{name}.{key}": value for key, value in measured.items()} | {f"{name}.loss": part}
        results["loss_total"] = loss
        results |= {
            f"{name}.weight": value for name, value in (weighting.learned() if weighting else {}).items()
        }
        return results | {"selection": selection(results, metric, loss)}

    return compute


def best_epoch(history: Sequence[Mapping[str, Any]], metric: str) -> tuple[Mapping[str, Any], float]:
    """The evaluation of the best epoch, from the Trainer's log, and its value of ``metric``.

    NaN (a fit that diverged) is worse than any number; a metric of several targets is averaged.
    """
    result = [entry for entry in history if "eval_selection" in entry]
    scores = [entry["eval_selection"] for entry in result]
    best = result[int(np.argmax([-np.inf if np.isnan(score) else score for score in scores]))]
    keys = [key for key in best if key == f"eval_{metric}" or key.rpartition(".")[2] == metric]
    keys = ["eval_loss_total"] if metric == "loss" else keys
    return best, sum(best[key] for key in keys) / len(keys)


def selection(results: Mapping[str, float], metric: str, loss: float) -> float:
    """The selection score, higher is better: the metric (averaged over targets), then the loss.

    Raises:
        ConfigError: If the validation rows do not define the metric.
    """
    target, _, name = metric.rpartition(".")
    if metric == "loss":
        return -loss
    names = [metric] if target else [key for key in results if key.rpartition(".")[2] == name]
    values = [results[key] for key in names if key in results]
    if not values:
        reason = f"train.metric: '{metric}' is not defined on these validation rows"
        raise ConfigError(f"{reason}; choose another one, or give more rows for validation")
    value = float(np.mean(values)) * (1 if METRICS.named(name).higher_is_better else -1)
    return value - TIE * loss / (1 + abs(loss))
