"""What each input contributes to the answers to one row; without torch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np

from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.importance.shapley import Game
from polymodal.utils.records import Record


@dataclass(frozen=True, kw_only=True)
class OutputShares(Record):
    """Contributions of the inputs to one output: the probability of a class, or the predicted number.

    Attributes:
        base: The output with no input, in the unit of the output.
        value: The output with all inputs of the row.
        shares: The Shapley value by input that the row has; ``base`` and these sum to ``value``.
        missing: The inputs that the row lacks.
        exact: Whether every subset of the inputs was tried; else the values are means over sampled orders.
    """

    base: float | None
    value: float | None
    shares: dict[str, float | None]
    missing: list[str]
    exact: bool


@dataclass(frozen=True)
class AnswerShares:
    """Contributions of the inputs to one row's prediction for one target.

    Attributes:
        row: Its index in the table.
        base: ``(outputs,)`` the prediction with no input: a probability per class, or the one number in the
            target's unit.
        answer: ``(outputs,)`` the prediction with all inputs of the row.
        shares: ``(outputs,)`` by input that the row has, in the same unit; over the inputs they sum to
            ``answer - base``. An input that the row lacks has no share.
        missing: The inputs that the row lacks.
        exact: Whether every subset of the inputs was tried; else the shares are means over sampled orders,
            which sum to the same.
    """

    row: int
    base: np.ndarray
    answer: np.ndarray
    shares: dict[str, np.ndarray]
    missing: tuple[str, ...]
    exact: bool

    @classmethod
    def of_values(cls, values: np.ndarray, game: Game, inputs: Collection[str], row: int) -> Self:
        """The contributions that follow from the predictions with each subset of the inputs.

        Args:
            values: ``(outputs, subsets)`` predictions for the game's subsets.
            game: Its players are the inputs that the row has.
            inputs: All inputs, in declared order.
            row: Its index in the table.
        """
        shares = game.values(values)  # (outputs, players)
        return cls(
            row=row,
            base=values[:, 0],
            answer=values[:, -1],
            shares={player: shares[:, number] for number, player in enumerate(game.players)},
            missing=tuple(name for name in inputs if name not in game.players),
            exact=game.exact,
        )

    def of(self, output: int = 0) -> OutputShares:
        """The contributions to one output, the index of a class, or 0 for a number."""
        return OutputShares(
            base=finite(self.base[output]),
            value=finite(self.answer[output]),
            shares={name: finite(share[output]) for name, share in self.shares.items()},
            missing=list(self.missing),
            exact=self.exact,
        )
