"""Contrastive losses over all pairs of a batch: InfoNCE and the sigmoid loss.

With several processes each one gathers the rows of all, with gradients, and computes the loss of the whole
batch.
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
    """InfoNCE in both directions (van den Oord et al. 2018, equation 4), with the learned scale of CLIP
    (Radford et al. 2021): the cross-entropy of each row's partner among all rows.

    Args:
        first: ``(rows, width)`` unit vectors.
        second: ``(rows, width)`` unit vectors of the partners, in the same order.
        scale: A scalar, the inverse temperature.
        same: ``(rows, rows)`` bool: other pairs of equal content (see :func:`equal_contents`), which are
            neither positives nor negatives.
        valid: ``(rows,)`` bool: rows that have both vectors; the others are ignored. By default all.
        shares: ``(rows, rows)`` soft targets: the share of every row in each line of ``first`` (CutMix), of
            the columns for ``second``. By default the identity.

    Returns:
        A scalar; 0 with fewer than two rows, which leave nothing to compare.
    """
    logits = scale * first @ second.T
    if same is not None:
        logits = logits.masked_fill(same | same.T, -torch.inf)
    own = torch.arange(len(first), device=first.device)
    if valid is None and shares is None:
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    valid = torch.ones_like(own, dtype=torch.bool) if valid is None else valid
    # The line of an ignored row is 0, so that it stays finite; its column is masked.
    there = logits.masked_fill(~valid, -torch.inf).masked_fill(~valid.unsqueeze(1), 0.0)
    back = logits.T.masked_fill(~valid, -torch.inf).masked_fill(~valid.unsqueeze(1), 0.0)
    if shares is None:
        losses = [F.cross_entropy(lines, own, reduction="none") for lines in (there, back)]
    else:
        losses = [shared_cross_entropy(there, shares), shared_cross_entropy(back, shares.T)]
    return (torch.stack(losses).mean(dim=0) * valid).sum() / valid.sum().clamp(min=1)


def shared_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy ``(rows,)`` of ``logits`` with the soft targets ``shares``, ``(rows, rows)``.

    Masked logits (minus infinity) have no share: the rest of the line is renormalized.
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
    """The pairwise sigmoid loss (SigLIP; Zhai et al. 2023, equation 1): binary cross-entropy of each pair.

    Args:
        first: ``(rows, width)`` unit vectors.
        second: ``(rows, width)`` unit vectors of the partners, in the same order.
        scale: A scalar, the inverse temperature.
        bias: A scalar that is added to every scaled similarity; negative, for most pairs are negatives.
        same: ``(rows, rows)`` bool, see :func:`info_nce`.
        valid: ``(rows,)`` bool, see :func:`info_nce`.
        shares: ``(rows, rows)``, see :func:`info_nce`.

    Returns:
        A scalar: the sum over all pairs, divided by the number of rows.
    """
    logits = scale * first @ second.T + bias
    together = torch.eye(len(first), device=first.device) if shares is None else shares
    if shares is not None and same is not None:  # content equal to the partner's is positive too
        together = together + torch.diag((shares * same).sum(dim=1))
    losses = F.binary_cross_entropy_with_logits(logits, together, reduction="none")
    if same is not None:
        losses = losses.masked_fill(same, 0.0)
    if valid is None:
        return losses.sum() / len(first)
    return losses.masked_fill(~(valid & valid.unsqueeze(1)), 0.0).sum() / valid.sum().clamp(min=1)


def processes() -> int:
    """Number of processes of the training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(rows: Tensor) -> Tensor:
    """Concatenate ``rows`` ``(rows, …)`` of all processes, with gradients to all of them.

    All processes must have equally many rows.
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
    """``(rows, rows)`` bool: whether two different rows have equal ``contents`` ``(rows,)``."""
    equal = contents.unsqueeze(0) == contents.unsqueeze(1)
    return equal & ~torch.eye(len(contents), dtype=torch.bool, device=contents.device)
