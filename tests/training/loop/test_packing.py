"""Packs: every row once, none too full, little of them empty, and the same for the same seed."""

import itertools

import numpy as np
import pytest

from polymodal.training.loop.samplers import pack, padding_share


def log_uniform(rows, low=16, high=512):
    return np.exp(np.random.default_rng(0).uniform(np.log(low), np.log(high), rows)).astype(int)


@pytest.mark.parametrize("limit", [512, 700, 2048])
def test_every_row_is_in_one_pack_and_no_pack_is_too_full(limit):
    lengths = log_uniform(500)
    packs = pack(lengths, limit, seed=1)
    assert sorted(itertools.chain.from_iterable(packs)) == list(range(500))
    assert max(lengths[rows].sum() for rows in packs) <= limit


@pytest.mark.parametrize("limit", [2048, 4096])
def test_at_most_three_percent_stay_empty(limit):
    lengths = log_uniform(5000)
    packs = pack(lengths, limit, seed=0)
    share = padding_share(lengths, packs, limit)
    assert share <= 0.03
    assert share == pytest.approx(1 - lengths.sum() / (len(packs) * limit))


def test_no_two_packs_would_fit_in_one():
    lengths = log_uniform(300)
    fullness = sorted(lengths[rows].sum() for rows in pack(lengths, 2048, seed=0))
    assert fullness[0] + fullness[1] > 2048


def test_a_row_goes_where_it_leaves_the_least_space():
    """Of one 7, one 6 and one 3 the last joins the 7, whichever of the first two came first."""
    orders = {seed: list(np.random.default_rng(seed).permutation(3)) for seed in range(30)}
    seeds = [seed for seed, order in orders.items() if order[-1] == 2]
    assert len({tuple(orders[seed]) for seed in seeds}) == 2
    for seed in seeds:
        packs = pack([7, 6, 3], 10, seed)
        assert sorted(map(sorted, packs)) == [[0, 2], [1]]


def test_a_full_pack_takes_no_more():
    assert sorted(map(sorted, pack([10, 10, 4, 6], 10, seed=0))) == [[0], [1], [2, 3]]


def test_packs_hang_on_the_seed_alone():
    lengths = log_uniform(200).tolist()
    assert pack(lengths, 1024, seed=3) == pack(np.array(lengths), 1024, seed=3)
    assert pack(lengths, 1024, seed=3) != pack(lengths, 1024, seed=4)


def test_rows_of_unlike_length_learn_together():
    """Sorted by length first, the fullest packs would hold rows of one length alone."""
    lengths = log_uniform(2000)
    spreads = [np.ptp(lengths[rows]) for rows in pack(lengths, 2048, seed=0)]
    assert np.median(spreads) > 200


@pytest.mark.parametrize(("lengths", "found"), [([5, 11, 12], "row 1 has 11"), ([3, 0], "row 1 has 0")])
def test_a_row_that_does_not_fit_is_refused(lengths, found):
    with pytest.raises(ValueError, match=f"{found} tokens, expected 1 to 10"):
        pack(lengths, 10, seed=0)


def test_no_rows_are_no_packs():
    assert pack([], 10, seed=0) == []
    assert padding_share([], [], 10) == 0
