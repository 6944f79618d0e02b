"""Each input's contribution to a single prediction: Shapley values of the prediction, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from polymodal.data.row_dataset import RowDataset
from polymodal.importance.contributions import AnswerShares
from polymodal.importance.shapley import Game, make_game
from polymodal.importance.subsets import EmbeddedRows, KeptRows, embed_rows, subset_logits
from polymodal.models.predictor import Predictor

BATCH = 64


def answer_shares(
    model: Predictor,
    rows: RowDataset,
    order: Sequence[int] | np.ndarray | None = None,
    *,
    targets: Sequence[str] | None = None,
    precision: str = "fp32",
    seed: int = 0,
    batch_size: int = BATCH,
    kept: KeptRows | None = None,
) -> dict[str, list[AnswerShares]]:
    """Shapley values of the inputs for the prediction of single rows.

    The players are the inputs that the row has, the value is the prediction: for a class its probability, for
    a number the number (Shapley 1953; Lundberg & Lee 2017 for single predictions). A removed input is a
    missing one: the model reads its learned token. With up to
    :data:`polymodal.importance.shapley.MOST_INPUTS` present inputs the values are exact.

    Args:
        model: Any prediction model; left in evaluation mode.
        rows: With or without targets.
        order: Indices of the rows in the table; by default all, in order.
        targets: Names of targets; by default all.
        precision: Of the forward pass, such as ``fp32``.
        seed: Of the sampled orders, where there are many inputs.
        batch_size: Rows whose encoders run together.
        kept: Keeps embedded rows for other analyses.

    Returns:
        By target a list as long as ``order``, in its order. A row without inputs, or that could not be read,
        has no shares.

    Raises:
        DataError: If a cell cannot be read, unless ``rows`` skips such rows.
        ValueError: If there is no such target.
    """
    chosen = list(model.config.head_names if targets is None else targets)
    unknown = [name for name in chosen if name not in model.config.head_names]
    if unknown:
        raise ValueError(f"there is no target '{unknown[0]}', only {', '.join(model.config.head_names)}")
    result: dict[str, list[AnswerShares]] = {name: [] for name in chosen}
    if order is not None and not len(order):
        return result
    for batch in embed_rows(model, rows, batch_size=batch_size, precision=precision, order=order, kept=kept):
        taken: dict[str, dict[int, AnswerShares]] = {name: {} for name in chosen}
        for indices, present in _patterns(batch):
            game = make_game(present, seed)
            for target, shares in _play(model, batch, indices, game, chosen, precision).items():
                taken[target] |= dict(zip(indices.tolist(), shares, strict=True))
        for target, by_index in taken.items():
            result[target] += [by_index[index] for index in sorted(by_index)]
    return result


def _patterns(batch: EmbeddedRows) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """The rows of a batch that have the same inputs, and the names of these."""
    names = list(batch.embedded)
    present = torch.stack([entry.present.cpu() for entry in batch.embedded.values()], dim=1)
    patterns, kind = present.unique(dim=0, return_inverse=True)
    for number, pattern in enumerate(patterns.tolist()):
        has = [name for name, there in zip(names, pattern, strict=True) if there]
        yield (kind == number).nonzero().squeeze(1), has


def _play(
    model: Predictor,
    batch: EmbeddedRows,
    indices: torch.Tensor,
    game: Game,
    targets: Sequence[str],
    precision: str,
) -> dict[str, list[AnswerShares]]:
    """Shares by target of the rows ``indices`` ``(rows,)`` of a batch, which have the game's players."""
    answers: dict[str, dict[frozenset[str], np.ndarray]] = {name: {} for name in targets}
    for subset, logits in subset_logits(model, batch.pick(indices), game.subsets, precision):
        for name in targets:
            answer = model.head(name).answer(logits[name].to(model.device)).cpu().double()
            answers[name][subset] = answer.reshape(len(indices), -1).numpy()
    result = {}
    for name, tried in answers.items():
        values = np.stack([tried[subset] for subset in game.subsets], axis=-1)  # (rows, outputs, subsets)
        result[name] = [
            AnswerShares.of_values(values[row], game, list(batch.embedded), int(batch.index[index]))
            for row, index in enumerate(indices.tolist())
        ]
    return result
