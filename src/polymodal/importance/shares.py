"""Each input's share in a single answer: Shapley values of the answer itself, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from polymodal.data.collator import RowDataset
from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.importance.shapley import Game, make_game
from polymodal.importance.subsets import EmbeddedRows, embed_rows, logits_of, pick
from polymodal.models.modeling import PolymodalForPrediction

BATCH = 64


@dataclass(frozen=True)
class AnswerShares:
    """One row's answer for one target, taken apart.

    Attributes:
        row: Its place in the table.
        base: ``(outputs,)`` what the model answers where nothing is there: a probability a class, or the one
            number in the user's unit.
        answer: ``(outputs,)`` what it answers with all that the row has.
        shares: ``(outputs,)`` by input that the row has, in the same unit; over the inputs they add up to
            ``answer - base``. An input that the row lacks has no share.
        missing: The inputs that the row lacks.
        exact: Whether every subset of the inputs was tried; else the shares are means over sampled orders,
            which add up all the same.
    """

    row: int
    base: np.ndarray
    answer: np.ndarray
    shares: dict[str, np.ndarray]
    missing: tuple[str, ...]
    exact: bool

    def of(self, output: int = 0) -> dict[str, Any]:
        """The figures of one output, a class's place or 0 for a number, as JSON has them.

        Returns:
            ``base`` and ``value``, numbers; ``shares``, a number by input; ``missing`` and ``exact``.
        """
        return {
            "base": finite(self.base[output]),
            "value": finite(self.answer[output]),
            "shares": {name: finite(share[output]) for name, share in self.shares.items()},
            "missing": list(self.missing),
            "exact": self.exact,
        }


def answer_shares(
    model: PolymodalForPrediction,
    rows: RowDataset,
    order: Sequence[int] | np.ndarray | None = None,
    *,
    targets: Sequence[str] | None = None,
    precision: str = "fp32",
    seed: int = 0,
    batch_size: int = BATCH,
) -> dict[str, list[AnswerShares]]:
    """What each input of a row adds to the answer, averaged over all orders in which they may join.

    The game's players are the inputs that the row has, its value the answer itself: for a class its
    probability, for a number the number (Shapley 1953; Lundberg & Lee 2017 for single answers). An input
    is taken away as a row lacks it: the model reads its learned token in its place. Up to
    :data:`polymodal.importance.shapley.MOST_INPUTS` present inputs the values are exact.

    Args:
        model: In any mode; left in that of evaluation.
        rows: With or without targets.
        order: The rows' places in the table; by default all, in order.
        targets: Which ones; by default every one.
        precision: What the model computes in.
        seed: Of the sampled orders, where there are many inputs.
        batch_size: Rows whose encoders run together.

    Returns:
        By target a list as long as ``order``, in its order. A row with nothing there, or that could not be
        read, has no shares.

    Raises:
        DataError: If a cell cannot be read, unless ``rows`` skips such rows.
        ValueError: If there is no such target.
    """
    chosen = list(model.config.head_names if targets is None else targets)
    unknown = [name for name in chosen if name not in model.config.head_names]
    if unknown:
        raise ValueError(f"there is no target '{unknown[0]}', only {', '.join(model.config.head_names)}")
    found: dict[str, list[AnswerShares]] = {name: [] for name in chosen}
    if order is not None and not len(order):
        return found
    for batch in embed_rows(model, rows, batch_size=batch_size, precision=precision, order=order):
        taken: dict[str, dict[int, AnswerShares]] = {name: {} for name in chosen}
        for places, present in _patterns(batch):
            game = make_game(present, seed)
            for target, shares in _play(model, batch, places, game, chosen, precision).items():
                taken[target] |= dict(zip(places.tolist(), shares, strict=True))
        for target, by_place in taken.items():
            found[target] += [by_place[place] for place in sorted(by_place)]
    return found


def _patterns(batch: EmbeddedRows) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """Rows of a batch that have the same inputs, and these: what a row lacks is no player."""
    names = list(batch.embedded)
    present = torch.stack([entry.present.cpu() for entry in batch.embedded.values()], dim=1)
    patterns, kind = present.unique(dim=0, return_inverse=True)
    for number, pattern in enumerate(patterns.tolist()):
        has = [name for name, there in zip(names, pattern, strict=True) if there]
        yield (kind == number).nonzero().squeeze(1), has


def _play(
    model: PolymodalForPrediction,
    batch: EmbeddedRows,
    places: torch.Tensor,
    game: Game,
    targets: Sequence[str],
    precision: str,
) -> dict[str, list[AnswerShares]]:
    """Shares by target of the rows ``places`` ``(rows,)`` of a batch, which have the game's players."""
    answers: dict[str, list[np.ndarray]] = {name: [] for name in targets}
    for subset in game.subsets:
        state = {
            name: pick(entry, places.to(entry.tokens.device)) for name, entry in batch.having(subset).items()
        }
        logits = logits_of(model, state, precision)
        for name in targets:
            answer = model.head(name).answer(logits[name].to(model.device)).cpu().double()
            answers[name].append(answer.reshape(len(places), -1).numpy())
    missing = tuple(name for name in batch.embedded if name not in game.players)
    found = {}
    for name, tried in answers.items():
        values = np.stack(tried, axis=-1)  # (rows, outputs, subsets)
        shares = game.values(values)  # (rows, outputs, players)
        found[name] = [
            AnswerShares(
                row=int(batch.index[place]),
                base=values[row, :, 0],
                answer=values[row, :, -1],
                shares={player: shares[row, :, p] for p, player in enumerate(game.players)},
                missing=missing,
                exact=game.exact,
            )
            for row, place in enumerate(places.tolist())
        ]
    return found
