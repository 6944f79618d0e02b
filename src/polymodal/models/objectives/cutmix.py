"""Pictures put together from those of two rows, and how much each shows of which row (CutMix)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from polymodal.models.objectives.batch_view import View
from polymodal.models.objectives.pairs import gathered
from polymodal.models.objectives.row_rng import item_draws, salt, uniform


def cut_and_mixed(view: View, name: str) -> tuple[View, Tensor]:
    """A batch in which the pictures of one input are mixed, nothing of it encoded yet.

    Returns:
        The batch, and ``(rows, rows)`` the shares of :func:`cut_and_mix`, of the rows of all processes.
    """
    values, rows = view.inputs.get(name, {}), len(view.index)
    shares = torch.eye(rows, device=view.index.device)
    if len(values.get("row", ())):  # else there is none, or a blank item of no row
        values, shares = cut_and_mix(values, item_draws(view.draws, values["row"]), rows)
        view = View(view.index, {**view.inputs, name: values}, view.contents, view.draws, view.piece)
    return view, torch.block_diag(*gathered(shares).split(rows))


def cut_and_mix(values: Mapping[str, Tensor], draws: Tensor, rows: int) -> tuple[dict[str, Tensor], Tensor]:
    """Each picture with a box in which it shows what stands there in another (CutMix; Yun et al. 2019,
    equation 2 and appendix A; its share is drawn evenly, as with their α of 1).

    The box has the picture's own proportions and lies within it. Pictures stand in a circle by chance, and
    each takes from the one before: which that is hangs on ``draws`` and not on the order of the batch.

    Args:
        values: ``pixel_values`` ``(items, channels, height, width)`` and ``row`` ``(items,)``.
        draws: ``(items,)`` int64, what chance hangs on.
        rows: Of the batch.

    Returns:
        ``values`` with such pictures, and ``(rows, rows)`` what share of a row's pictures, by area, shows
        which row's. Each line adds up to 1; a row without a picture is its own.
    """
    pixels, row = values["pixel_values"], values["row"]
    height, width = pixels.shape[-2:]
    place, area, *corner = uniform(draws, salt("cutmix"), 4).unbind(dim=1)
    circle = place.argsort()
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
    """``(rows, rows)``, each line the mean of a row's items: of each ``covered`` is ``other``'s."""
    count = torch.bincount(row, minlength=rows)
    each = covered.new_ones(()) / count[row]
    shares = torch.diag((count == 0).to(covered.dtype))
    shares.index_put_((row, row), (1 - covered) * each, accumulate=True)
    return shares.index_put_((row, other), covered * each, accumulate=True)
