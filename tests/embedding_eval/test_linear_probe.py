"""The linear probe: equal to scikit-learn by hand, right on planted vectors, chance on shuffled answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import StandardScaler

import polymodal as pm
from polymodal.data.tables.table import read_table
from polymodal.embedding_eval.probe_splits import own_splits
from polymodal.errors import ConfigError, DataError, RunError
from tests.support.planted import numbered, plant, write_pairs

SPLIT = [*["train"] * 24, *["val"] * 6, *["test"] * 10]


@pytest.fixture
def run(fitted_houses):
    return pm.load(fitted_houses / "run")


def separable(name, cell):
    """Even numbers here, odd ones there, among noise."""
    return np.array([4.0 * (number_in(cell) % 2), *numbered(cell, 6)])


def number_in(cell):
    return int("".join(letter for letter in str(cell) if letter.isdigit()))


def test_what_is_in_the_vectors_is_read_from_them(run, folder, monkeypatch):
    plant(monkeypatch, separable, 7)
    table = write_pairs(folder, split=SPLIT, odd=["yes" if n % 2 else "no" for n in range(40)])
    found = run.linear_probe(table, "odd")
    assert found["metrics"]["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["rows"] == {"train": 24, "validation": 6, "test": 10} and found["width"] == 7
    assert (found["input"], found["classes"]) == (None, ["no", "yes"])
    assert found["majority"] == {"class": "no", "accuracy": 0.5} and found["chosen"]["converged"]


def test_what_is_not_in_them_is_chance(run, folder, monkeypatch):
    plant(monkeypatch, lambda name, cell: numbered(cell, 6), 6)
    random = np.random.default_rng(0)
    table = write_pairs(
        folder, split=["train"] * 10 + ["val"] * 6 + ["test"] * 24, odd=random.permutation(40) % 2
    )
    entry = run.linear_probe(table, "odd", task="classification")["metrics"]["accuracy"]
    assert entry["low"] <= 0.5 <= entry["high"]


@pytest.mark.parametrize("input", [None, "photo"])
def test_it_is_what_scikit_learn_says_of_the_same_rows(run, folder, input):
    table = read_table(folder / "houses.csv")
    found = {target: run.linear_probe(table, target, input=input) for target in ("kind", "price")}
    parts = own_splits(run, table)
    frame = pd.read_csv(folder / "houses.csv")
    vectors = {name: run.embed(part, input=input).astype(float) for name, part in parts.items()}
    answers = {name: frame.iloc[part.places] for name, part in parts.items()}
    known = {name: ~np.isnan(part).any(axis=1) for name, part in vectors.items()}
    scaler = StandardScaler().fit(vectors["train"][known["train"]])
    for target, model, metric, name in (
        (
            "kind",
            LogisticRegression(C=found["kind"]["chosen"]["C"], max_iter=1000),
            accuracy_score,
            "accuracy",
        ),
        ("price", Ridge(alpha=found["price"]["chosen"]["alpha"]), r2_score, "r2"),
    ):
        model.fit(
            scaler.transform(vectors["train"][known["train"]]), answers["train"][target][known["train"]]
        )
        said = model.predict(scaler.transform(vectors["test"][known["test"]]))
        value = metric(answers["test"][target][known["test"]], said)
        assert found[target]["metrics"][name]["value"] == pytest.approx(value, abs=1e-6)
        assert found[target]["rows"]["test"] == known["test"].sum()


def test_the_test_rows_are_those_that_the_fit_held_out(run, folder):
    held = pd.read_parquet(folder / "run/predictions.parquet")["row"]
    assert (own_splits(run, read_table(folder / "houses.csv"))["test"].places + 1).tolist() == sorted(held)


def test_numbers_beside_the_mean_of_the_training_rows(run, folder, monkeypatch):
    plant(monkeypatch, lambda name, cell: np.array([number_in(cell), *numbered(cell, 6)]), 7)
    table = write_pairs(folder, split=SPLIT, area=3.5 + 2 * np.arange(40))
    found = run.linear_probe(table, "area")
    assert found["task"] == "regression" and found["metrics"]["r2"]["value"] > 0.99
    assert found["mean"]["answer"] == pytest.approx(26.5) and found["mean"]["r2"] < 0


def test_some_training_rows_alone(run, folder, monkeypatch):
    plant(monkeypatch, separable, 7)
    table = write_pairs(folder, split=SPLIT, odd=["yes" if n % 2 else "no" for n in range(40)])
    seen = []

    def choose(answers):
        seen.extend(answers)
        return np.arange(6)

    found = run.linear_probe(table, "odd", choose=choose)
    assert len(seen) == 24 and found["rows"]["train"] == 6 and found["rows"]["test"] == 10


def test_classes_that_training_never_saw_are_mistakes(run, folder, monkeypatch):
    plant(monkeypatch, separable, 7)
    sorts = [*(["no", "yes"] * 12), *["no", "yes"] * 3, *["new"] * 4, *["no", "yes"] * 3]
    found = run.linear_probe(write_pairs(folder, split=SPLIT, sort=sorts), "sort")
    assert found["classes"] == ["new", "no", "yes"] and found["metrics"]["accuracy"]["value"] == 0.6


def test_rows_without_answer_or_input_are_left_out_and_counted(run, folder, monkeypatch):
    plant(monkeypatch, separable, 7)
    odd = np.array(["yes" if n % 2 else "no" for n in range(40)], dtype=object)
    odd[[0, 1, 30]] = ""
    notes = [f"note {n}" if n not in (2, 31, 32) else "" for n in range(40)]
    found = run.linear_probe(write_pairs(folder, split=SPLIT, odd=odd, note=notes), "odd", input="note")
    assert found["left_out"]["train"] == {"no_answer": 2, "no_input": 1, "unread": 0}
    assert found["left_out"]["test"] == {"no_answer": 1, "no_input": 2, "unread": 0}
    assert found["rows"] == {"train": 21, "validation": 6, "test": 7}


def test_what_cannot_be_probed_is_refused_in_one_line(run, folder):
    def refused(error, match, target="kind", table="houses.csv", **asked):
        with pytest.raises(error, match=match) as raised:
            run.linear_probe(folder / table, target, **asked)
        assert "\n" not in str(raised.value)

    refused(DataError, "houses.csv: no column 'kinds' to answer. Did you mean 'kind'", "kinds")
    refused(RunError, "no input 'voice'", input="voice")
    refused(RunError, "the vectors read 'note' itself. Name one that does not with input=", "note")
    refused(RunError, "takes all splits of a table, not one", split="test")
    refused(RunError, "the task is 'guessing', expected classification or regression", task="guessing")
    refused(ConfigError, "column 'voice': .* which no target answers", "voice")
    refused(DataError, "row 1, column 'kind': 'flat', expected a number", task="regression", table="one.csv")
    refused(DataError, "column 'same': the class 'a' in all 24 training rows", "same", "pairs.csv")
    refused(DataError, "column 'gone': no validation row has an answer", "gone", "pairs.csv")
    refused(DataError, "column 'tags': several labels", "tags", "pairs.csv")


@pytest.fixture(autouse=True)
def tables(folder):
    """``pairs.csv`` with columns that cannot be probed, and ``one.csv``, in which one cell is no number."""
    gone = ["a" if n % 2 else "b" for n in range(40)]
    gone[24:30] = [""] * 6
    tags = ["a|b", "b|c", "c", "a"] * 10
    write_pairs(folder, split=SPLIT, same="a", gone=gone, tags=tags)
    frame = pd.read_csv(folder / "houses.csv").head(20)
    frame["kind"] = ["flat", *map(str, range(19))]
    frame.to_csv(folder / "one.csv", index=False)
