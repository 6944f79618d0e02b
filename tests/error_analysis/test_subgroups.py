"""Subgroups: a planted weak one is found, and where nothing was planted hardly ever one is."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from polymodal.data.tables.table import read_table
from polymodal.error_analysis.subgroups import FEWEST, holm, subgroups
from polymodal.errors import DataError
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.significance import exchange_p
from polymodal.evaluation.statistics.subgroup_columns import EMPTY, MOST_VALUES, partition, subgroup_columns

ACCURACY = Score("accuracy")
SEEDS = range(20)


def accuracy(right):
    """What each row adds to the accuracy."""
    return np.stack([right.astype(float), np.ones(len(right))], axis=1)


def entries(report, column=0):
    """A column's subgroups by name."""
    return {entry["value"]: entry for entry in report["columns"][column]["subgroups"]}


def flagged(report):
    return [e["value"] for column in report["columns"] for e in column["subgroups"] if e["flagged"]]


def rows_of(random, rows=800, count=10, rate=0.9):
    """Rows right at one rate, in ``count`` subgroups by chance."""
    return accuracy(random.random(rows) < rate), np.char.add("s", random.integers(0, count, rows).astype(str))


def recordings(random, count=100, each=6, speakers=5):
    """Recordings of several rows that are right or wrong together, each of one speaker."""
    groups = np.repeat(np.arange(count), each)
    right = random.random(len(groups)) < random.beta(1.8, 0.2, count)[groups]
    return accuracy(right), groups, np.char.add("s", random.integers(0, speakers, count).astype(str))[groups]


def test_a_planted_weak_subgroup_is_flagged():
    found = 0
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        column = np.array(["bad"] * 80 + [f"s{i}" for i in random.integers(0, 9, 720)])
        right = random.random(800) < np.where(column == "bad", 0.6, 0.9)
        report = subgroups(ACCURACY, accuracy(right), np.arange(800), {"speaker": column}, seed=seed)
        bad = entries(report)["bad"]
        found += bad["flagged"] and bad["gap"]["value"] < 0
        weaker = [name for name in flagged(report) if entries(report)[name]["gap"]["value"] < 0]
        assert weaker in (["bad"], [])
    assert found >= 19


def test_without_a_planted_one_flags_are_as_rare_as_stated():
    wrong = 0
    for seed in SEEDS:
        statistics, column = rows_of(np.random.default_rng(seed))
        report = subgroups(ACCURACY, statistics, np.arange(800), {"speaker": column}, seed=seed)
        assert report["tested"] == 10 and report["level"] == 0.05
        wrong += bool(flagged(report))
    assert wrong <= 3  # at 5 % four or more of 20 come up once in 60 times


def test_subgroups_without_a_mistake_are_not_flagged_for_being_small():
    wrong = 0
    for seed in SEEDS:
        statistics, column = rows_of(np.random.default_rng(seed), rows=150, rate=0.95)
        wrong += bool(flagged(subgroups(ACCURACY, statistics, np.arange(150), {"c": column}, seed=seed)))
    assert wrong <= 3


@pytest.mark.slow
def test_rows_of_one_recording_are_no_independent_witnesses():
    together = apart = 0
    for seed in SEEDS:
        statistics, groups, column = recordings(np.random.default_rng(seed), each=20)
        together += bool(flagged(subgroups(ACCURACY, statistics, groups, {"c": column}, seed=seed)))
        apart += bool(
            flagged(subgroups(ACCURACY, statistics, np.arange(len(groups)), {"c": column}, seed=seed))
        )
    assert together <= 3 and apart >= 15


def test_all_columns_together_keep_the_rate():
    wrong = 0
    for seed in SEEDS:
        random = np.random.default_rng(seed)
        statistics, _ = rows_of(random, rows=400)
        columns = {name: random.integers(0, 4, 400).astype(str) for name in "abcde"}
        wrong += bool(flagged(subgroups(ACCURACY, statistics, np.arange(400), columns, seed=seed)))
    assert wrong <= 3


def test_an_input_can_be_weak_on_numbers_too():
    random = np.random.default_rng(0)
    column = np.repeat(["bad", "narrow", "c", "d"], 100)
    # A narrow subgroup has an R² of its own that is bad, at errors like all others'.
    truth = random.normal(size=400) * np.where(column == "narrow", 0.1, 3)
    error = random.normal(size=400) * np.where(column == "bad", 3, 0.5)
    statistics = np.stack([error**2, truth, truth**2, np.ones(400)], axis=1)
    report = subgroups(Score("r2"), statistics, np.arange(400), {"c": column})
    assert report["score"] == "r2" and entries(report)["bad"]["flagged"]
    assert entries(report)["narrow"]["gap"]["value"] > 0
    assert report["all"]["value"] == pytest.approx(Score("r2").value(statistics.sum(axis=0)))


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1"])
def test_scores_that_average_over_classes_are_compared_as_well(name):
    random = np.random.default_rng(0)
    truth, column = random.integers(0, 3, 400), np.repeat(["bad", "b", "c", "d"], 100)
    said = np.where(
        random.random(400) < np.where(column == "bad", 0.4, 0.05), random.integers(0, 3, 400), truth
    )
    one = np.eye(3)
    statistics = np.concatenate([one[said] * one[truth], one[said], one[truth]], axis=1)
    assert "bad" in flagged(subgroups(Score(name, 3), statistics, np.arange(400), {"c": column}))


def test_a_score_is_that_of_the_subgroups_rows_alone():
    statistics, column = rows_of(np.random.default_rng(0), count=3)
    report = subgroups(ACCURACY, statistics, np.arange(800), {"c": column})
    assert sum(entry["rows"] for entry in entries(report).values()) == report["rows"] == 800
    for value, entry in entries(report).items():
        mine, rest = statistics[column == value, 0], statistics[column != value, 0]
        assert entry["score"]["value"] == pytest.approx(mine.mean())
        assert entry["gap"]["value"] == pytest.approx(mine.mean() - rest.mean())
        assert entry["gap"]["low"] < entry["gap"]["value"] < entry["gap"]["high"]
        assert entry["score"]["low"] < entry["score"]["value"] < entry["score"]["high"]
    assert json.loads(json.dumps(report)) == report


def test_a_subgroup_of_few_rows_or_groups_is_shown_but_not_compared():
    right = np.ones(100, dtype=bool)
    right[: FEWEST - 1] = False
    column = np.where(np.arange(100) < FEWEST - 1, "few", "rest")
    few = entries(subgroups(ACCURACY, accuracy(right), np.arange(100), {"c": column}))["few"]
    assert few["score"]["value"] == 0 and not few["flagged"] and few["p"] is None
    assert few["untested"] == "fewer than 10 rows"
    column = np.where(np.arange(100) < 50, "few", "rest")
    report = subgroups(ACCURACY, accuracy(~right), np.arange(100) // 10, {"c": column})
    assert entries(report)["few"]["untested"] == "fewer than 10 groups of rows" and report["tested"] == 0


def test_a_comparison_counts_once_however_often_it_is_made():
    statistics, column = rows_of(np.random.default_rng(0), count=2)
    report = subgroups(ACCURACY, statistics, np.arange(800), {"c": column, "same": column})
    assert report["tested"] == 1
    assert len({entry["p"] for place in (0, 1) for entry in entries(report, place).values()}) == 1


def test_the_p_value_of_few_rows_is_near_the_exact_one():
    right = np.array([1] * 4 + [0] * 8 + [1] * 21 + [0] * 3)
    inside = np.arange(36) < 12
    p = exchange_p(ACCURACY, accuracy(right), inside, np.arange(36), comparisons=200)
    from scipy.stats import fisher_exact

    table = [[4, 8], [21, 3]]
    exact = 2 * fisher_exact(table, alternative="less").pvalue
    assert p == pytest.approx(exact, rel=0.5) and p < 0.02


def test_holm_is_as_in_the_paper():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1] and holm([]) == []


def test_of_a_thousand_values_the_commonest_are_shown():
    values = [f"v{i % 1000}" for i in range(2000)] + ["common"] * 30 + [None] * 7
    found = partition(values)
    assert (
        found.names[0] == "common" and len(found.names) == MOST_VALUES + 2 and found.rest == MOST_VALUES + 1
    )
    assert found.names[-2:] == [EMPTY, "(981 other values)"]
    assert "1,001 different values: the 20 commonest are shown and compared" in found.note
    counts = np.bincount(found.codes)
    assert counts[-2:].tolist() == [7, 2 * 981] and counts.sum() == len(values)
    report = subgroups(ACCURACY, accuracy(np.ones(len(values))), np.arange(len(values)), {"id": values})
    assert entries(report)["(981 other values)"]["untested"] == "several values together"
    assert report["columns"][0]["distinct"] == 1001


@pytest.mark.parametrize("values", [[None] * 40, [""] * 40, [float("nan")] * 40])
def test_an_empty_column_gives_one_subgroup_and_says_so(values):
    report = subgroups(ACCURACY, accuracy(np.arange(40) % 2), np.arange(40), {"c": values})
    (entry,) = report["columns"][0]["subgroups"]
    assert entry["value"] == EMPTY and entry["rows"] == 40 and entry["gap"] is None and report["tested"] == 0
    assert report["columns"][0]["note"] == "every cell is empty: there is nothing to compare"


@pytest.mark.parametrize("as_text", [False, True])
def test_many_numbers_are_cut_into_quarters(as_text):
    numbers = [*range(1, 101), None]
    found = partition([None if n is None else str(n) for n in numbers] if as_text else numbers)
    assert found.names == ["up to 25", "over 25 up to 50", "over 50 up to 75", "over 75", EMPTY]
    assert np.bincount(found.codes).tolist() == [25, 25, 25, 25, 1] and found.kind == "numbers"
    assert found.note == "100 different numbers, cut at their quartiles into quarters"


def test_quarters_of_numbers_that_tie_are_fewer_but_never_empty():
    for many in (0.0, 50.0, 100.0):
        found = partition(np.r_[np.full(400, many), np.linspace(0, 100, 41)])
        counts = np.bincount(found.codes, minlength=len(found.names))
        assert len(found.names) >= 2 and counts.min() > 0 and counts.sum() == 441


def test_bounds_that_lie_close_are_told_apart():
    names = partition(1e6 + np.linspace(0, 0.01, 100)).names
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["a", "b", None, "a"], dtype="category"),
        pd.Series(["a", "b", None, "a"]),
        pa.array(["a", "b", None, "a"]),
        pa.chunked_array([["a", "b"], [None, "a"]]),
        np.array(["a", "b", "", "a"]),
        ["a ", "b", "  ", "a"],
    ],
)
def test_values_are_the_same_from_whatever_holds_them(values):
    found = partition(values)
    assert found.names == ["a", "b", EMPTY] and found.codes.tolist() == [0, 1, 2, 0] and found.note is None


def test_few_numbers_truth_values_and_mixed_cells_are_values():
    assert partition([1, 2.0, 1, None]).names == ["1", "2", EMPTY]
    assert set(partition([True, False, None]).names) == {"True", "False", EMPTY}
    assert set(partition([1, "x", 1, None]).names) == {"1", "x", EMPTY}


def test_columns_are_those_of_the_table_in_the_order_of_the_rows():
    table = read_table(
        pd.DataFrame({"a": list("xyz"), "b": [1, 2, 3], "c": [b"1", b"2", b"3"]}), name="t.csv"
    )
    assert subgroup_columns(table, [" a", "b", "a"], np.array([2, 0]))["a"].to_pylist() == ["z", "x"]
    with pytest.raises(DataError, match=r"^t.csv: no column 'speakr' to compare by. Did you mean 'speaker'"):
        subgroup_columns(read_table([{"speaker": "x"}], name="t.csv"), ["speakr"], np.array([0]))
    with pytest.raises(DataError) as caught:
        subgroup_columns(table, ["d", "c"], np.array([0]))
    assert len(caught.value.problems) == 2
    assert "column 'c': cells of binary, expected texts, categories or numbers" in str(caught.value)
    with pytest.raises(ValueError, match="another number of rows"):
        subgroups(ACCURACY, accuracy(np.ones(3)), np.arange(3), {"a": [1, 2]})
