"""``transform: auto`` becomes ``log`` only for a long tail whose logarithm helps, and says so."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import skew

from polymodal.training.declaration.target_transform import (
    MOST_ROWS,
    PlainColumns,
    Resolved,
    absolute_errors,
    choose_transform,
    long_tail,
    training_groups,
    training_numbers,
)
from polymodal.training.opening import open_prediction_job
from polymodal.training.request import FitRequest


def no_columns(rows):
    return PlainColumns(np.empty((len(rows), 0)), np.array([], dtype=bool))


def amounts(rows=300, seed=0):
    """Columns of numbers, and a target whose logarithm is their noisy sum."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(rows, 2))
    return columns, np.exp(6 + columns.sum(axis=1) + random.normal(0, 0.5, rows))


def numbers_of(columns):
    return PlainColumns(columns, np.zeros(columns.shape[1], dtype=bool)).of


def test_a_long_tail_is_learned_as_its_logarithm_where_that_is_better():
    columns, target = amounts()
    found = choose_transform(target, numbers_of(columns))
    assert found.transform == "log" and "mean absolute error" in found.reason
    assert choose_transform(target, no_columns).transform == "log"


def test_the_skewness_is_that_of_scipy():
    amounts = np.random.default_rng(0).lognormal(3, 1, 50)
    assert long_tail(amounts) == pytest.approx((skew(amounts), skew(np.log1p(amounts))))


@pytest.mark.parametrize(
    "target",
    [np.random.default_rng(0).normal(50, 5, 300), amounts()[1] - 1000, np.full(300, 7.0), amounts(10)[1]],
)
def test_a_target_without_a_long_tail_stays_as_it_is_without_a_word(target):
    found = choose_transform(target, no_columns)
    assert (found.transform, found.reason) == ("none", "")


def test_a_long_tail_that_the_columns_explain_as_it_is_keeps_its_unit():
    random = np.random.default_rng(1)
    sizes = random.exponential(100, 300)
    found = choose_transform(np.round(sizes), numbers_of((sizes > 100)[:, None].astype(float)))
    assert found.transform == "none" or "lower" in found.reason


def test_columns_without_a_value_in_the_rows_of_a_fold_are_left_out():
    columns, target = amounts()
    empty, nearly = np.full((2, 300), np.nan)
    nearly[7] = 1.0
    found = choose_transform(target, numbers_of(np.column_stack([columns, empty, nearly])))
    assert found == choose_transform(target, numbers_of(columns))
    for nothing in (empty, nearly):
        assert choose_transform(target, numbers_of(nothing[:, None])) == Resolved()


def test_no_cell_of_another_column_is_read_for_a_short_tail():
    def read(rows):
        pytest.fail("columns were read")

    assert choose_transform(np.random.default_rng(0).normal(50, 5, 300), read) == Resolved()
    read_rows = []
    choose_transform(amounts(5000)[1], lambda rows: read_rows.extend(rows) or no_columns(rows))
    assert len(read_rows) == MOST_ROWS


def test_rows_of_one_group_are_held_out_together():
    random = np.random.default_rng(0)
    groups = random.permutation(np.repeat(np.arange(30), 10))
    identity = random.permutation(30)[groups][:, None].astype(float)  # says the group, and nothing else
    target = np.exp(random.normal(6, 2, 30))[groups]
    columns = numbers_of(identity)(np.arange(300))
    alone, together = absolute_errors(target, columns), absolute_errors(target, columns, groups)
    assert together[1] > 2 * alone[1]
    assert absolute_errors(target, columns, np.zeros(300)) == alone


def opened(settings=(), **changed):
    columns, target = amounts()
    district = np.where(columns[:, 0] > 0, "north", "south")
    table = pd.DataFrame({"rooms": columns[:, 1], "district": district, "price": target} | changed)
    return open_prediction_job(FitRequest(table, targets=["price"], settings=list(settings)))


def test_a_fit_resolves_it_and_says_so():
    job = opened()
    assert job.declaration.targets["price"].transform == "log"
    (note,) = job.chosen
    assert note.startswith("column 'price': its logarithm is learned (transform: log)")
    assert "targets.price.transform=none changes that" in note
    assert "transform: log" in job.declaration.to_yaml() and job.metric == "loss"
    assert "plain models learn both" not in note
    assert opened(["train.candidates=[plain]"]).chosen[0].endswith("; plain models learn both")


@pytest.mark.parametrize("given", ["none", "log"])
def test_what_is_declared_is_kept(given):
    job = opened(["targets.price.task=regression", f"targets.price.transform={given}"])
    assert job.declaration.targets["price"].transform == given and job.chosen == []


def test_cells_that_cannot_be_read_are_left_to_the_check():
    prices = [*map(str, amounts()[1][:-1]), "cheap"]
    job = opened(["targets.price.task=regression"], price=prices)
    assert job.declaration.targets["price"].transform == "log"


def test_private_rows_choose_nothing():
    job = opened(["data.private=true"])
    assert job.declaration.targets["price"].transform == "none" and job.chosen == []


def test_weights_of_zero_and_groups_are_read():
    weight, house = np.ones(300), np.arange(300) // 3
    weight[::4] = 0
    job = opened(["data.sample_weight=weight", "data.group=house"], weight=weight, house=house)
    assert job.declaration.targets["price"].transform == "log"
    train = job.splits["train"]
    unknown = np.isnan(training_numbers(job, "price"))
    np.testing.assert_array_equal(unknown, np.array(train.values("weight").to_pylist()) == 0)
    assert len(np.unique(training_groups(job))) == len(set(train.values("house").to_pylist()))
