"""Split conformal intervals: the order statistic by hand, and coverage on new rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polymodal.evaluation.statistics.conformal import conformal_quantile, fewest_rows
from polymodal.models.heads import Regressor


@pytest.mark.parametrize(
    ("rows", "level", "place"), [(9, 0.9, 9), (19, 0.9, 18), (99, 0.95, 95), (10, 0.5, 6)]
)
def test_the_quantile_is_the_residual_of_its_rank(rows, level, place):
    residuals = torch.arange(1, rows + 1).float()[torch.randperm(rows)]
    assert conformal_quantile(residuals, level) == place


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_with_too_few_rows_there_is_none(level):
    enough = fewest_rows(level)
    assert conformal_quantile(torch.ones(enough), level) == 1.0
    assert conformal_quantile(torch.ones(enough - 1), level) is None
    assert conformal_quantile(torch.ones(0), level) is None


def test_a_residual_without_end_is_none():
    assert conformal_quantile(torch.tensor([1.0] * 8 + [torch.inf]), 0.9) is None
    assert conformal_quantile(torch.tensor([1.0] * 18 + [torch.inf]), 0.9) == 1.0


@pytest.mark.parametrize("transform", ["none", "log"])
def test_new_rows_are_covered_as_promised(transform):
    random, covered, level, rows = np.random.default_rng(0), [], 0.9, 39
    for _ in range(400):
        truth = random.lognormal(3, 1, 2 * rows)
        said = truth * random.lognormal(0.2, 0.3, 2 * rows)  # a model that is off by a fifth
        answer, target = torch.tensor(said), torch.tensor(truth)
        head = Regressor(transform=transform)
        head.half_width = conformal_quantile(head.residuals(answer[:rows], target[:rows]), level)
        bounds = head.decide(answer[rows:])
        inside = (bounds["low"] <= target[rows:]) & (target[rows:] <= bounds["high"])
        covered.append(float(inside.double().mean()))
    # From 0.9 to 0.9 + 1/40; the mean of 400 draws strays by about 0.005.
    assert level - 0.01 <= np.mean(covered) <= level + 1 / (rows + 1) + 0.01
