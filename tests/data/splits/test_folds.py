"""Folds: equal in size and classes, apart in groups, the same for the same seed."""

from collections import Counter

import numpy as np
import pytest

from polymodal.config import DataConfig
from polymodal.data.splits.folds import fold_rows
from polymodal.data.tables.table import read_table
from polymodal.errors import ConfigError, DataError


def all_folds(rows, *, stratify="kind", seed=0, folds=5, **config):
    table = read_table(rows)
    configs = [DataConfig(folds=folds, fold=fold, **config) for fold in range(folds)]
    return [fold_rows(table, config, stratify, seed) for config in configs]


def rows_of(count, classes=3, **more):
    return [{"x": n, "kind": f"k{n % classes}", **{k: f(n) for k, f in more.items()}} for n in range(count)]


def test_every_row_is_the_test_once_and_never_trains_then():
    parts = all_folds(rows_of(53))
    assert sorted(np.concatenate([part["test"] for part in parts])) == list(range(53))
    for part in parts:
        whole = np.concatenate([part["train"], part["validation"], part["test"]])
        assert sorted(whole) == list(range(53)) and len(part["validation"]) in (4, 5)
        assert all(np.array_equal(rows, np.sort(rows)) for rows in part.values())
    assert {len(part["test"]) for part in parts} == {10, 11}


def test_folds_are_alike_in_classes_even_where_each_is_smaller_than_their_number():
    for classes, count in ((3, 60), (20, 60)):
        for part in all_folds(rows_of(count, classes)):
            found = Counter(n % classes for n in part["test"].tolist())
            assert all(found[c] in (count // classes // 5, -(-count // classes // 5)) for c in range(classes))


def test_the_seed_decides():
    first, again = all_folds(rows_of(40)), all_folds(rows_of(40))
    other = all_folds(rows_of(40), seed=1)
    for fold in range(5):
        for name in ("train", "validation", "test"):
            assert np.array_equal(first[fold][name], again[fold][name])
    assert not np.array_equal(first[0]["test"], other[0]["test"])


@pytest.mark.parametrize("stratify", ["kind", None])
def test_groups_stay_together(stratify):
    rows = rows_of(60, owner=lambda n: f"o{n // 4}")
    parts = all_folds(rows, stratify=stratify, group="owner")
    assert sorted(np.concatenate([part["test"] for part in parts])) == list(range(60))
    for part in parts:
        groups = [{int(n) // 4 for n in part[name]} for name in ("train", "validation", "test")]
        assert all(groups) and not groups[0] & groups[2] and not groups[1] & (groups[0] | groups[2])
    few = all_folds(rows[:20], stratify=stratify, group="owner")
    assert [len(part["test"]) for part in few] == [4] * 5


def test_a_class_of_one_row_trains_in_every_fold():
    parts = all_folds([*rows_of(30), {"x": 30, "kind": "alone"}])
    assert all(30 in part["train"] for part in parts)
    assert sorted(np.concatenate([part["test"] for part in parts])) == list(range(30))
    pair = all_folds([*rows_of(30), {"x": 30, "kind": "pair"}, {"x": 31, "kind": "pair"}])
    for part in pair:
        if {30, 31} & set(part["test"].tolist()):
            assert {30, 31} & set(part["train"].tolist())


def test_the_only_group_of_a_class_trains_in_every_fold():
    rows = [*rows_of(60, owner=lambda n: f"o{n // 4}"), {"x": 60, "kind": "alone", "owner": "last"}]
    for part in all_folds(rows, group="owner"):
        assert 60 in part["train"]


def test_rows_marked_test_stay_out():
    rows = rows_of(50, split=lambda n: ("train", "val", "test")[0 if n < 30 else 1 if n < 40 else 2])
    parts = all_folds(rows)
    assert sorted(np.concatenate([part["test"] for part in parts])) == list(range(40))
    assert all(max(map(max, part.values())) < 40 for part in parts)
    everything = all_folds(rows, split=None)
    assert sorted(np.concatenate([part["test"] for part in everything])) == list(range(50))


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="4 rows for 5 folds"):
        all_folds(rows_of(4, classes=1))
    with pytest.raises(DataError, match="2 groups of 'owner' for 5 folds"):
        all_folds(rows_of(40, owner=lambda n: f"o{n // 20}"), group="owner")
    with pytest.raises(ConfigError, match=r"data\.test is a table, but with data\.folds each fold"):
        all_folds(rows_of(40), test="test.csv")
    with pytest.raises(ValueError, match=r"there is no fold 5: data\.folds is 5"):
        DataConfig(folds=5, fold=5)
    with pytest.raises(ValueError, match=r"there is no fold 1: data\.folds is not given"):
        DataConfig(fold=1)
