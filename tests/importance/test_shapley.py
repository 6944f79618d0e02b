"""Which subsets are tried, and what Shapley values come of them."""

from itertools import permutations

import numpy as np
import pytest

from polymodal.importance.shapley import make_game


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 9])
def test_the_values_add_up_to_all_less_none(count):
    game = make_game([f"i{number}" for number in range(count)])
    values = np.random.default_rng(0).normal(size=(4, len(game.subsets)))
    np.testing.assert_allclose(game.values(values).sum(axis=-1), values[:, -1] - values[:, 0], atol=1e-12)
    assert game.subsets[0] == frozenset() and game.subsets[-1] == frozenset(game.players)
    assert game.exact == (count <= 6) and (not game.exact or len(game.subsets) == 2**count)


def test_they_are_the_means_over_all_orders():
    game = make_game(["a", "b", "c"])
    worth = dict(zip(game.subsets, np.random.default_rng(1).normal(size=8), strict=True))
    expected = dict.fromkeys(game.players, 0.0)
    for order in permutations(game.players):
        for size, name in enumerate(order):
            expected[name] += (worth[frozenset(order[: size + 1])] - worth[frozenset(order[:size])]) / 6
    found = game.values(np.array(list(worth.values())))
    np.testing.assert_allclose(found, list(expected.values()))


def test_inputs_that_only_add_are_worth_what_they_add_even_where_orders_are_sampled():
    names = [f"i{number}" for number in range(8)]
    game = make_game(names)
    alone = dict(zip(names, np.arange(8.0), strict=True))
    values = np.array([sum(alone[name] for name in subset) for subset in game.subsets])
    np.testing.assert_allclose(game.values(values), np.arange(8.0), atol=1e-12)
    assert len(game.subsets) < 2**8
    for name in names:
        assert game.subsets[game.alone(name)] == {name}
        assert game.subsets[game.without(name)] == set(names) - {name}
