"""Losses over pairs: by their formulas, and by what they must not do (in two processes: test_contract.py)."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from polymodal.models.objectives.pairs import equal_contents, info_nce, sigmoid_pairs


def unit(rows: int = 6, width: int = 5, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


SCALE, BIAS = torch.tensor(7.0), torch.tensor(-3.0)


def test_info_nce_is_its_formula():
    a, b = unit(), unit(seed=1)
    similar = torch.exp(SCALE * a @ b.T)
    there = -(similar.diag() / similar.sum(dim=1)).log().mean()
    back = -(similar.diag() / similar.sum(dim=0)).log().mean()
    torch.testing.assert_close(info_nce(a, b, SCALE), (there + back) / 2)


def test_sigmoid_is_its_formula():
    a, b = unit(), unit(seed=1)
    total = 0.0
    for i in range(6):
        for j in range(6):
            z = 1 if i == j else -1
            total -= math.log(1 / (1 + math.exp(z * -float(SCALE * a[i] @ b[j] + BIAS))))
    assert float(sigmoid_pairs(a, b, SCALE, BIAS)) == pytest.approx(total / 6, rel=1e-5)


@pytest.mark.parametrize("loss", [info_nce, lambda *v: sigmoid_pairs(*v[:3], BIAS, *v[3:])])
def test_what_they_share(loss):
    a, b = unit(), unit(seed=1)
    value = loss(a, b, SCALE)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(loss(a[order], b[order], SCALE), value)
    torch.testing.assert_close(loss(b, a, SCALE), value)
    assert loss(a, a, SCALE) < value
    # A row twice: its double is no mistake, so the loss is that of a batch where it is not there for it.
    twice_a, twice_b = torch.cat([a, a[:1]]), torch.cat([b, b[:1]])
    same = equal_contents(torch.tensor([0, 1, 2, 3, 4, 5, 0]))
    assert same.sum() == 2 and loss(twice_a, twice_b, SCALE, same) < loss(twice_a, twice_b, SCALE)
    point = twice_b.clone().requires_grad_()
    loss(twice_a[:1], point[:1], SCALE, None).backward()
    assert torch.isfinite(point.grad).all()


def test_a_single_row_teaches_nothing_by_contrast():
    a = unit(1).requires_grad_()
    loss = info_nce(a, unit(1, seed=1), SCALE)
    loss.backward()
    assert loss.item() == 0 and a.grad.abs().sum() == 0
