"""``transform: auto`` becomes ``log`` only for a long tail whose logarithm helps, and says so."""

import numpy as np
import pandas as pd
import pytest

from polymodal.training.declaration.target_transform import PlainColumns, choose_transform
from polymodal.training.opening import open_prediction_job
from polymodal.training.request import FitRequest

NO_COLUMNS = PlainColumns(np.empty((300, 0)), np.array([], dtype=bool))


def amounts(rows=300, seed=0):
    """Columns of numbers, and a target whose logarithm is their noisy sum."""
    random = np.random.default_rng(seed)
    columns = random.normal(size=(rows, 2))
    return columns, np.exp(6 + columns.sum(axis=1) + random.normal(0, 0.5, rows))


def numbers_of(columns):
    return PlainColumns(columns, np.zeros(columns.shape[1], dtype=bool))


def test_a_long_tail_is_learned_as_its_logarithm_where_that_is_better():
    columns, target = amounts()
    found = choose_transform(target, numbers_of(columns))
    assert found.transform == "log" and "mean absolute error" in found.reason
    assert choose_transform(target, NO_COLUMNS).transform == "log"


@pytest.mark.parametrize(
    "target",
    [np.random.default_rng(0).normal(50, 5, 300), amounts()[1] - 1000, np.full(300, 7.0), amounts(10)[1]],
)
def test_a_target_without_a_long_tail_stays_as_it_is_without_a_word(target):
    found = choose_transform(target, PlainColumns(np.empty((len(target), 0)), np.array([], dtype=bool)))
    assert (found.transform, found.reason) == ("none", "")


def test_a_long_tail_that_the_columns_explain_as_it_is_keeps_its_unit():
    random = np.random.default_rng(1)
    sizes = random.exponential(100, 300)
    found = choose_transform(np.round(sizes), numbers_of((sizes > 100)[:, None].astype(float)))
    assert found.transform == "none" or "lower" in found.reason


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
