"""Losses over pairs: by their formulas, by what they must not do, and in two processes as in one."""

from __future__ import annotations

import math

import pytest
import torch
import torch.multiprocessing as mp
from torch.nn import functional as F

from polymodal.objectives.pairs import equal_contents, gathered, info_nce, sigmoid_pairs


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


def half(rank: int, place: str, found) -> None:
    torch.distributed.init_process_group("gloo", f"file://{place}", rank=rank, world_size=2)
    a, b = (vectors[3 * rank : 3 * rank + 3].clone().requires_grad_() for vectors in (unit(), unit(seed=1)))
    loss = info_nce(gathered(a), gathered(b), SCALE)
    loss.backward()
    found[rank] = (float(loss), a.grad / 2, b.grad / 2)  # as the mean over processes divides it
    torch.distributed.destroy_process_group()


def test_two_processes_with_half_of_the_batch_each_are_one(tmp_path):
    with mp.Manager() as manager:
        found = manager.dict()
        mp.spawn(half, (str(tmp_path / "meet"), found), nprocs=2)
        halves = [found[0], found[1]]
    a, b = unit().requires_grad_(), unit(seed=1).requires_grad_()
    loss = info_nce(a, b, SCALE)
    loss.backward()
    for place, whole in ((1, a.grad), (2, b.grad)):
        torch.testing.assert_close(torch.cat([own[place] for own in halves]), whole)
    assert [own[0] for own in halves] == pytest.approx([float(loss)] * 2)
