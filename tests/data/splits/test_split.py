"""Splits are disjoint, complete, seeded, alike in classes and apart in groups."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.config import DataConfig
from polymodal.data.splits.split import split_rows
from polymodal.data.tables.table import read_table
from polymodal.errors import ConfigError, DataError

NAMES = ["train", "validation", "test"]


def table(rows: int, **columns):
    return read_table([{"n": n} | {name: values[n] for name, values in columns.items()} for n in range(rows)])


def split(source, stratify=None, seed=0, **config):
    parts = split_rows(source, DataConfig(**config), stratify, seed)
    assert list(parts) == NAMES
    for part in parts.values():
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(len(source)))
    return parts


def sizes(parts):
    return [len(parts[name]) for name in NAMES]


@pytest.mark.parametrize(
    ("rows", "shares", "expected"),
    [
        (100, {}, [80, 10, 10]),
        (1000, {"validation": 0.2, "test": 0.3}, [500, 200, 300]),
        (3, {}, [1, 1, 1]),
        (5, {"validation": 0.5, "test": 0.4}, [1, 2, 2]),
        (2, {"test": 0.0}, [1, 1, 0]),
        (10, {"validation": 0.0, "test": 0.0}, [10, 0, 0]),
        (10, {"validation": "other.csv"}, [9, 0, 1]),
        (10, {"validation": "other.csv", "test": "third.csv"}, [10, 0, 0]),
    ],
)
def test_shares(rows, shares, expected):
    assert sizes(split(table(rows), **shares)) == expected


def test_another_seed_gives_another_split():
    one, two, again = (split(table(200), seed=seed)["test"].tolist() for seed in (0, 1, 0))
    assert one == again != two


def test_every_row_is_held_out_about_as_often():
    source = table(30)
    held = Counter(row for seed in range(300) for row in split(source, seed=seed)["test"].tolist())
    assert len(held) == 30  # 30 expected of each
    assert min(held.values()) > 10
    assert max(held.values()) < 55


def test_another_process_gives_the_same_split():
    code = (
        "from polymodal.config import DataConfig; from polymodal.data.splits.split import split_rows;"
        "from polymodal.data.tables.table import read_table;"
        "rows = read_table([{'n': n, 'c': 'xyz'[n % 3], 'g': str(n // 4)} for n in range(90)]);"
        "print(split_rows(rows, DataConfig(group='g'), 'c', 3)['test'].tolist())"
    )
    runs = []
    for hash_seed in ("1", "2"):
        env = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        runs.append(run.stdout)
    assert runs[0] == runs[1] != ""


# --- classes


@pytest.mark.parametrize("seed", range(5))
def test_classes_keep_their_shares(seed):
    labels = ["a"] * 600 + ["b"] * 300 + ["c"] * 100
    parts = split(table(1000, label=labels), "label", seed)
    for name, share in (("validation", 0.1), ("test", 0.1), ("train", 0.8)):
        counts = Counter(labels[row] for row in parts[name].tolist())
        for label, count in Counter(labels).items():
            assert counts[label] == pytest.approx(share * count, abs=2)


@pytest.mark.parametrize("labels", [["a"] * 9 + ["b"], list("abcdefghij"), ["a"] * 5 + [None] * 5])
def test_rare_and_empty_classes_are_split_all_the_same(labels):
    assert sizes(split(table(10, label=labels), "label")) == [8, 1, 1]


PAIRS = [f"k{n % 30}" for n in range(60)]
TRIPLES = ["big"] * 60 + [f"k{n % 10}" for n in range(30)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("labels", "share"), [(PAIRS, 0.1), (TRIPLES, 0.1), (TRIPLES, 0.4), (PAIRS[:50] + ["z"] * 10, 0.2)]
)
def test_every_class_of_two_rows_or_more_leaves_one_in_training(labels, share, seed):
    parts = split(table(len(labels), label=labels), "label", seed, validation=share, test=share)
    trained = {labels[row] for row in parts["train"].tolist()}
    assert trained == set(labels)
    assert sizes(parts)[1:] == pytest.approx([share * len(labels)] * 2, abs=3)


@pytest.mark.parametrize("seed", range(3))
def test_a_class_of_one_group_trains(seed):
    owners = [n // 4 for n in range(80)]
    labels = ["rare" if owner == 7 else "ab"[n % 2] for n, owner in enumerate(owners)]
    parts = split(
        table(80, label=labels, owner=owners), "label", seed, group="owner", validation=0.3, test=0.3
    )
    assert "rare" in {labels[row] for row in parts["train"].tolist()}
    assert not {owners[row] for row in parts["train"]} & {owners[row] for row in parts["test"]}


# --- groups


@pytest.mark.parametrize("stratify", [None, "label"])
def test_groups_stand_in_one_split(stratify):
    speakers = [f"s{n % 40}" for n in range(400)]
    source = table(400, speaker=speakers, label=["ab"[n % 2] for n in range(400)])
    parts = split(source, stratify, group="speaker")
    found = [{speakers[row] for row in parts[name].tolist()} for name in NAMES]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert sizes(parts) == [320, 40, 40]


def test_classes_of_groups_keep_their_shares():
    patients = [n // 5 for n in range(500)]
    labels = ["ill" if patient < 50 else "well" for patient in patients]
    parts = split(table(500, patient=patients, label=labels), "label", group="patient")
    assert Counter(labels[row] for row in parts["test"].tolist()) == {"ill": 25, "well": 25}


def test_rows_without_a_group_are_alone():
    parts = split(table(100, speaker=[None] * 50 + [""] * 50), group="speaker")
    assert sizes(parts) == [80, 10, 10]


@pytest.mark.parametrize("seed", range(5))
def test_a_very_large_group_trains(seed):
    parts = split(table(200, speaker=["loud"] * 120 + list(range(80))), seed=seed, group="speaker")
    assert set(range(120)) <= set(parts["train"].tolist())
    assert sizes(parts) == [160, 20, 20]


def test_three_groups_are_enough():
    assert sizes(split(table(9, speaker=list("aaabbbccc")), group="speaker")) == [3, 3, 3]


# --- the split column


def test_split_column_wins_over_shares():
    marks = ["train", "Training", "VAL", "valid", "validation", "dev", "test", " Test "]
    parts = split(table(8, split=marks), validation=0.3, test=0.3)
    assert [parts[name].tolist() for name in NAMES] == [[0, 1], [2, 3, 4, 5], [6, 7]]


def test_validation_is_taken_from_training_rows_when_none_is_marked():
    marks = ["train"] * 100 + ["test"] * 50
    parts = split(table(150, split=marks))
    assert sizes(parts) == [90, 10, 50]
    assert parts["test"].tolist() == list(range(100, 150))


def test_no_test_is_taken_when_none_is_marked():
    assert sizes(split(table(20, split=["train"] * 15 + ["val"] * 5))) == [15, 5, 0]
    assert sizes(split(table(20, split=["train"] * 20))) == [18, 2, 0]


def test_validation_table_given_beside_the_split_column():
    assert sizes(split(table(4, split=["train", "train", "train", "test"]), validation="v.csv")) == [3, 0, 1]


def test_split_column_of_another_name_and_none():
    source = table(10, fold=["train"] * 8 + ["test"] * 2)
    assert split(source, split="fold")["test"].tolist() == [8, 9]
    assert sizes(split(source, split=None)) == [8, 1, 1]


# --- mistakes


def fault(source, stratify=None, **config) -> list[str]:
    with pytest.raises(DataError) as caught:
        split_rows(source, DataConfig(**config), stratify, 0)
    return str(caught.value).split("\n")


def test_every_row_of_an_unknown_split_is_named():
    lines = fault(table(4, split=["train", "banana", None, "test"]))
    assert lines[0].startswith(
        "rows, row 2, column 'split': found 'banana', expected train, validation or test"
    )
    assert lines[1].startswith("rows, row 3, column 'split': an empty cell, expected train")
    assert len(lines) == 2


def test_no_training_rows():
    assert fault(table(2, split=["test", "test"])) == [
        "rows, column 'split': no row is for training, expected rows marked train"
    ]


@pytest.mark.parametrize(
    ("config", "setting"), [({"group": "speeker"}, "data.group"), ({"split": "speeker"}, "data.split")]
)
def test_unknown_column_names_the_nearest(config, setting):
    (line,) = fault(table(9, speaker=list(range(9))), **config)
    assert f"{setting} names the column 'speeker', which is not there. Did you mean 'speaker'?" in line


def test_too_few_rows_or_groups():
    assert "2 rows to be split into train and test and validation, expected at least 3" in fault(table(2))[0]
    assert "2 groups of 'g' to be split" in fault(table(9, g=list("aaaabbbbb")), group="g")[0]


@pytest.mark.parametrize("shares", [{"test": 1.0}, {"test": -0.1}, {"validation": 0.5, "test": 0.5}])
def test_shares_that_leave_nothing(shares):
    with pytest.raises(ConfigError, match=r"^data"):
        split_rows(table(9), DataConfig(**shares), None, 0)


@pytest.mark.parametrize(
    "targets", [["kind", "style"], ["price", "style"], ["kind", "tags"], ["style", "tags"]]
)
def test_rare_classes_of_every_target_have_a_training_row(targets):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=90), "price": random.normal(size=90)})
    frame["kind"], frame["style"] = ["flat", "house"] * 45, ["old", "new", "new"] * 30
    frame.loc[[3, 50], "style"], frame.loc[70, "style"] = "rare", "single"
    frame["tags"] = [["lift"] if n % 2 else ["lift", "garden"] for n in range(90)]
    frame.at[9, "tags"], frame.at[19, "tags"] = ["lift", "pool", "seldom"], ["garden", "pool"]
    for seed in range(8):
        report = pm.check(frame, target=targets, inputs=["x"], settings=[f"train.seed={seed}"])
        assert not report.problems and report.rows == {"train": 72, "validation": 9, "test": 9}
        assert not [line for line in report.warnings if "never saw" in line.found]
