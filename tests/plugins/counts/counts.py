"""A task of another package: how often something happens, by Poisson regression."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

import polymodal as pm
from polymodal.data.targets import NumberTarget, Refusal
from polymodal.evaluation.metrics.metrics import Additive
from polymodal.tasks.regression import number_card, number_errors, worst_numbers


class CountTarget(NumberTarget):
    """Whole numbers, 0 or more."""

    task = "poisson_counts"

    @classmethod
    def refuse(cls, numbers):
        wrong = np.nan_to_num(numbers) % 1 != 0
        wrong |= numbers < 0
        return [*super().refuse(numbers), Refusal(wrong, "a whole number, 0 or more", "Correct the cell.")]


class PoissonRegressor(pm.Head):
    """The logarithm of a rate, by the Poisson log-likelihood."""

    task = "poisson_counts"

    def __init__(self, *, mean: float = 1.0, weight: float = 1.0, dropout: float = 0.1):
        super().__init__(weight=weight, dropout=dropout)
        self.mean = mean

    @classmethod
    def configured(cls, config, target, answers, weights):
        return {"mean": max(float(np.nanmean(answers)), 1e-3)}

    def loss(self, logits, target, weight=None):
        known = self.known(target)
        rate = logits.float().squeeze(-1) + np.log(self.mean)
        each = F.poisson_nll_loss(rate, target.nan_to_num(), reduction="none") * known
        each = each if weight is None else each * weight
        return each.sum() / self.normalizer(target, weight).clamp(min=1e-9)

    def answer(self, logits):
        return logits.float().squeeze(-1).clamp(max=20).exp() * self.mean

    def settings(self):
        return super().settings() | {"mean": self.mean}


def deviance_sums(rows):
    """Deviance, y log y, y, and one."""
    y, rate = rows.target.double(), rows.prediction.double().clamp(min=1e-9)
    own = torch.special.xlogy(y, y)
    deviance = 2 * (own - y * rate.log() - y + rate)
    return torch.stack([deviance, own, y, torch.ones_like(y)], dim=1).numpy()


def explained_of(sums):
    deviance, own, total, count = np.moveaxis(sums, -1, 0)
    null = 2 * (own - total * np.log(total / count))
    return np.where(null > 1e-12, 1 - deviance / null, np.nan)


EXPLAINED = Additive(deviance_sums, explained_of)


@pm.METRICS.register(
    "deviance_explained", tasks=("poisson_counts",), higher_is_better=True, weighted=True, additive=EXPLAINED
)
def deviance_explained(rows):
    """Share of the Poisson deviance of the mean that the rates explain."""
    return EXPLAINED.of(rows)


@pm.METRICS.register("mean_deviance", tasks=("poisson_counts",), higher_is_better=False, weighted=True)
def mean_deviance(rows):
    """Poisson deviance per row."""
    return rows.mean(torch.from_numpy(deviance_sums(rows)[:, 0]))


class Counts(pm.Task):
    """See :class:`polymodal.Task`."""

    name = "poisson_counts"
    default_metric = default_score = "deviance_explained"
    card_metrics = ("deviance_explained", "mean_deviance")
    has_errors = True

    def errors(self, head, rows):
        return {"residuals": number_errors(rows)}

    def worst(self, head, answer, target):
        return worst_numbers(answer, target)

    def card(self, head, answer, target, output, shares):
        return number_card(answer, target, shares)
