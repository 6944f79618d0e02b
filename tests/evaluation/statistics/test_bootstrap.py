"""Intervals over rows and groups of rows."""

import numpy as np
import pytest

from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate, interval


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def test_the_interval_of_a_share_is_that_of_the_binomial():
    right = np.random.default_rng(0).random(1000) < 0.8
    statistics = np.stack([right, np.ones(1000)], axis=1)
    low, high = interval(accuracy(Bootstrap(np.arange(1000)).resample(statistics)))
    spread = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 1000)
    assert (low, high) == pytest.approx((right.mean() - spread, right.mean() + spread), abs=0.004)


def test_rows_of_one_group_are_one_witness():
    """Each of 40 groups is all right or all wrong: 25 rows of a group tell no more than one."""
    right = np.repeat(np.random.default_rng(0).random(40) < 0.5, 25)
    statistics = np.stack([right, np.ones(1000)], axis=1)
    wide = [np.subtract(*interval(accuracy(Bootstrap(g).resample(statistics)))[::-1])
            for g in (np.arange(1000), np.repeat(np.arange(40), 25))]  # fmt: skip
    assert wide[1] > 4 * wide[0] and Bootstrap(np.repeat(np.arange(40), 25)).count == 40


def test_the_interval_holds_the_truth_as_often_as_it_says():
    held = 0
    for seed in range(200):
        right = np.random.default_rng(seed).random(200) < 0.7
        statistics = np.stack([right, np.ones(200)], axis=1)
        low, high = interval(accuracy(Bootstrap(np.arange(200), seed=seed, samples=400).resample(statistics)))
        held += low <= 0.7 <= high
    assert 182 <= held <= 198


def test_differences_are_paired():
    """Two trials that differ in one row: their difference is far surer than either of them."""
    right = (np.random.default_rng(0).random(400) < 0.5).astype(float)
    other = right.copy()
    other[0] = 1 - other[0]
    both = np.stack([np.stack([entry, np.ones(400)], axis=1) for entry in (right, other)])
    samples = accuracy(Bootstrap(np.arange(400)).resample(both))
    assert samples.shape == (1000, 2)
    assert np.ptp(samples[:, 0] - samples[:, 1]) < 0.03 < np.ptp(samples[:, 0])


def test_what_is_not_defined_has_no_interval():
    assert estimate(np.nan, np.full(10, np.nan)) == {"value": None, "low": None, "high": None}
