"""Losses over all pairs of a batch: what belongs together near, what does not far.

Of several processes each gathers the rows of all, with gradients, and has the loss of the whole batch.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F


def info_nce(
    first: Tensor,
    second: Tensor,
    scale: Tensor,
    same: Tensor | None = None,
    valid: Tensor | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """The cross-entropy of each row's partner among all rows, the mean of both directions (InfoNCE; van den
    Oord et al. 2018, equation 4; with a learned scale as in CLIP, Radford et al. 2021).

    Args:
        first: ``(rows, width)`` unit vectors.
        second: ``(rows, width)``, row by row the partners.
        scale: A scalar, the inverse temperature.
        same: ``(rows, rows)`` bool: pairs of equal content beside the own one (see :func:`equal_contents`).
            They are no mistakes, and count neither as near nor as far.
        valid: ``(rows,)`` bool: rows that have both; the others count nowhere. All by default.
        shares: ``(rows, rows)``: of several rows' contents that a line of ``first`` mixes, how much is each
            row's; each line's partners are expected so, and each of ``second`` likewise. By default all own.

    Returns:
        A scalar; 0 where there is a single row, which has nothing to be told apart from, or none.
    """
    logits = scale * first @ second.T
    if same is not None:
        logits = logits.masked_fill(same | same.T, -torch.inf)
    own = torch.arange(len(first), device=first.device)
    if valid is None and shares is None:
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    valid = torch.ones_like(own, dtype=torch.bool) if valid is None else valid
    # A line of a row that does not count is nought and stays finite; its column is out of sight.
    there = logits.masked_fill(~valid, -torch.inf).masked_fill(~valid.unsqueeze(1), 0.0)
    back = logits.T.masked_fill(~valid, -torch.inf).masked_fill(~valid.unsqueeze(1), 0.0)
    if shares is None:
        losses = [F.cross_entropy(lines, own, reduction="none") for lines in (there, back)]
    else:
        losses = [shared_cross_entropy(there, shares), shared_cross_entropy(back, shares.T)]
    return (torch.stack(losses).mean(dim=0) * valid).sum() / valid.sum().clamp(min=1)


def shared_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """``(rows,)`` the cross-entropy of each line of ``logits`` with its line of ``shares``, ``(rows, rows)``.

    What is out of sight (minus infinity) is expected nowhere: its share falls to the rest of its line.
    """
    shares = shares.masked_fill(logits == -torch.inf, 0.0)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-8)
    return -(shares * logits.log_softmax(dim=1).masked_fill(shares == 0, 0.0)).sum(dim=1)


def sigmoid_pairs(
    first: Tensor,
    second: Tensor,
    scale: Tensor,
    bias: Tensor,
    same: Tensor | None = None,
    valid: Tensor | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """Each pair told by itself to belong together or not (SigLIP; Zhai et al. 2023, equation 1).

    Args:
        first: ``(rows, width)`` unit vectors.
        second: ``(rows, width)``, row by row the partners.
        scale: A scalar, the inverse temperature.
        bias: A scalar, what is added to every similarity: most pairs do not belong together.
        same: As :func:`info_nce` takes it.
        valid: The same.
        shares: The same.

    Returns:
        A scalar, the sum over all pairs by the number of rows.
    """
    logits = scale * first @ second.T + bias
    together = torch.eye(len(first), device=first.device) if shares is None else shares
    if shares is not None and same is not None:  # what equals the own partner is the own
        together = together + torch.diag((shares * same).sum(dim=1))
    losses = F.binary_cross_entropy_with_logits(logits, together, reduction="none")
    if same is not None:
        losses = losses.masked_fill(same, 0.0)
    if valid is None:
        return losses.sum() / len(first)
    return losses.masked_fill(~(valid & valid.unsqueeze(1)), 0.0).sum() / valid.sum().clamp(min=1)


def processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(rows: Tensor) -> Tensor:
    """``rows`` ``(rows, …)`` of every process, one behind the other, with gradients to all of them.

    All processes must have equally many.
    """
    if processes() == 1:
        return rows
    if rows.is_floating_point():
        return torch.cat(list(all_gather(rows.contiguous())))
    sent = rows.contiguous().to(torch.uint8 if rows.dtype == torch.bool else rows.dtype)
    every = [torch.empty_like(sent) for _ in range(processes())]
    dist.all_gather(every, sent)
    return torch.cat(every).to(rows.dtype)


def equal_contents(contents: Tensor) -> Tensor:
    """``(rows, rows)`` bool: which other rows have the content of each, ``contents`` ``(rows,)``."""
    equal = contents.unsqueeze(0) == contents.unsqueeze(1)
    return equal & ~torch.eye(len(contents), dtype=torch.bool, device=contents.device)
