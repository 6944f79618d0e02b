"""CutMix (Yun et al. 2019): images mixed from those of two rows, and the share of each row by area."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from polymodal.models.objectives.batch_view import View
from polymodal.models.objectives.pairs import gathered
from polymodal.models.objectives.row_rng import item_draws, salt, uniform


def cut_and_mixed(view: View, name: str) -> tuple[View, Tensor]:
    """Mix the images of one input in a batch that is not encoded yet.

    Returns:
        The mixed batch, and the shares of :func:`cut_and_mix`, ``(rows, rows)`` over the rows of all
        processes.
    """
    values, rows = view.inputs.get(name, {}), len(view.index)
    shares = torch.eye(rows, device=view.index.device)
    if len(values.get("row", ())):  # else no row has an image, or there is a blank item of no row
        values, shares = cut_and_mix(values, item_draws(view.draws, values["row"]), rows)
        view = View(view.index, {**view.inputs, name: values}, view.contents, view.draws, view.piece)
    return view, torch.block_diag(*gathered(shares).split(rows))


def cut_and_mix(values: Mapping[str, Tensor], draws: Tensor, rows: int) -> tuple[dict[str, Tensor], Tensor]:
    """Replace a box of each image by the same box of another image (CutMix; Yun et al. 2019, equation 2).

    As in appendix A, the box has the proportions of the image and lies within it; its area is uniform, as
    with α = 1 in the paper. The images are ordered at random in a cycle and each takes the box of the one
    before it; the order depends on ``draws``, not on the order of the batch.

    Args:
        values: ``pixel_values`` ``(items, channels, height, width)`` and ``row`` ``(items,)``.
        draws: ``(items,)`` int64, the random seed of each item.
        rows: Number of rows of the batch.

    Returns:
        ``values`` with the mixed images; and ``(rows, rows)`` the share, by area, of every row in each row's
        images. Each line sums to 1; a row without an image has share 1 of itself.
    """
    pixels, row = values["pixel_values"], values["row"]
    height, width = pixels.shape[-2:]
    index, area, *corner = uniform(draws, salt("cutmix"), 4).unbind(dim=1)
    circle = index.argsort()
    partner = torch.empty_like(circle).scatter_(0, circle, circle.roll(1))
    inside = torch.ones_like(pixels[:, :1], dtype=torch.bool)
    covered = torch.ones_like(area)
    for chance, size, dim in zip(corner, (height, width), (2, 3), strict=True):
        side = (size * area.sqrt()).round()
        start = (chance * (size - side + 1)).floor()
        along = torch.arange(size, device=pixels.device)
        within = (along >= start.unsqueeze(1)) & (along < (start + side).unsqueeze(1))
        inside = inside & within[:, None, :, None].movedim(2, dim)
        covered = covered * side / size
    mixed = torch.where(inside, pixels[partner], pixels)
    return {**values, "pixel_values": mixed}, shares_of_rows(row, row[partner], covered, rows)


def shares_of_rows(row: Tensor, other: Tensor, covered: Tensor, rows: int) -> Tensor:
    """Shares ``(rows, rows)``: per row the mean over its items, of which ``covered`` is from ``other``."""
    count = torch.bincount(row, minlength=rows)
    each = covered.new_ones(()) / count[row]
    shares = torch.diag((count == 0).to(covered.dtype))
    shares.index_put_((row, row), (1 - covered) * each, accumulate=True)
    return shares.index_put_((row, other), covered * each, accumulate=True)
