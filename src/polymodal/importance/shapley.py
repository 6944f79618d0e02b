"""Subsets of the inputs to score, and Shapley values from their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np

MOST_INPUTS = 6
"""Up to so many inputs every subset is tried."""
PERMUTATIONS = 10
"""Above that so many orders of the inputs, and each of them backwards."""

Subset = frozenset[str]


@dataclass(frozen=True)
class Game:
    """A cooperative game (Shapley 1953): inputs are its players, subsets of inputs its coalitions.

    Attributes:
        players: The inputs.
        subsets: Those to be tried; the first is empty, the last has all.
        weights: ``(players, subsets)``: the Shapley value is this times the subsets' values.
        exact: Whether every subset is among them; else the values are means over sampled orders.
    """

    players: tuple[str, ...]
    subsets: tuple[Subset, ...]
    weights: np.ndarray
    exact: bool

    def index(self, subset: Sequence[str] | Subset) -> int:
        """The index of ``subset``."""
        return self.subsets.index(frozenset(subset))

    def alone(self, player: str) -> int:
        """The index of the subset of one input."""
        return self.index([player])

    def without(self, player: str) -> int:
        """The index of the subset of all inputs but one."""
        return self.index(frozenset(self.players) - {player})

    def values(self, values: np.ndarray) -> np.ndarray:
        """Shapley values ``(…, players)`` from the subsets' values ``(…, subsets)``.

        They sum to the value of all inputs less that of none.
        """
        return values @ self.weights.T


def make_game(players: Sequence[str], seed: int = 0) -> Game:
    """All subsets of up to ``MOST_INPUTS`` inputs; else those of sampled orders, singles, all but one."""
    names = tuple(players)
    if len(names) <= MOST_INPUTS:
        subsets = [frozenset(c) for size in range(len(names) + 1) for c in combinations(names, size)]
        return Game(names, tuple(subsets), _exact_weights(names, subsets), exact=True)
    orders = _orders(names, seed)
    tried = {frozenset(order[:size]) for order in orders for size in range(len(names) + 1)}
    everything = frozenset(names)
    tried |= {frozenset([name]) for name in names} | {everything - {name} for name in names}
    subsets = sorted(tried, key=lambda subset: (len(subset), [name in subset for name in names]))
    return Game(names, tuple(subsets), _sampled_weights(names, subsets, orders), exact=False)


def _orders(names: tuple[str, ...], seed: int) -> list[list[str]]:
    """Sampled orders, each also backwards, which lowers the variance (Mitchell et al. 2022)."""
    random = np.random.default_rng(seed)
    orders = [[names[index] for index in random.permutation(len(names))] for _ in range(PERMUTATIONS)]
    return [order for forward in orders for order in (forward, forward[::-1])]


def _exact_weights(names: tuple[str, ...], subsets: Sequence[Subset]) -> np.ndarray:
    count = len(names)
    weights = np.zeros((count, len(subsets)))
    for column, subset in enumerate(subsets):
        size = len(subset)
        for row, name in enumerate(names):
            if name in subset:
                weights[row, column] = factorial(size - 1) * factorial(count - size) / factorial(count)
            else:
                weights[row, column] = -factorial(size) * factorial(count - size - 1) / factorial(count)
    return weights


def _sampled_weights(
    names: tuple[str, ...], subsets: Sequence[Subset], orders: Sequence[Sequence[str]]
) -> np.ndarray:
    index = {subset: column for column, subset in enumerate(subsets)}
    weights = np.zeros((len(names), len(subsets)))
    for order in orders:
        for size, name in enumerate(order):
            weights[names.index(name), index[frozenset(order[: size + 1])]] += 1 / len(orders)
            weights[names.index(name), index[frozenset(order[:size])]] -= 1 / len(orders)
    return weights
