"""Cells of several labels: how they are read, recognised, described and shared out over the splits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from polymodal.config import Declaration
from polymodal.config.parsing import parse
from polymodal.data.checks.check import check
from polymodal.data.media.cells import MediaError
from polymodal.data.schema.schema import complete, guess_target, render_yaml
from polymodal.data.tables.table import read_table
from polymodal.data.targets import target_reader
from polymodal.data.values.labels import guess_separator, read_labels
from polymodal.training.declaration.splitting import split_tables

FREE = ["a|b", "a", "b|c", "c", "a|c", "a|b|c", "b"] * 6
"""Three labels in any combination."""


def table(cells, start=0, **columns):
    rows = [{"n": start + n, "tags": cell} for n, cell in enumerate(cells)]
    for name, values in columns.items():
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    return read_table(rows)


@pytest.mark.parametrize(
    ("cell", "separator", "labels"),
    [
        ("a| b |a", "|", ["a", "b"]),
        ("a;b;", ";", ["a", "b"]),
        ("New York, NY", None, ["New York, NY"]),
        ('["a", "b"]', "|", ["a", "b"]),
        ("['a', 'b|c']", "|", ["a", "b|c"]),
        ([1, 2.0, "x"], None, ["1", "2", "x"]),
        (np.array(["b", "a"]), None, ["b", "a"]),
        (("a", None, ""), None, ["a"]),
        (3, None, ["3"]),
        ([], None, []),
        ("[]", "|", []),
        (" [ ] ", None, []),
        ("", "|", None),
        ("  ", None, None),
        (None, None, None),
        (float("nan"), None, None),
        ("|", "|", None),
    ],
)
def test_a_cell_is_read(cell, separator, labels):
    assert read_labels(cell, separator) == labels


@pytest.mark.parametrize(
    "cell", ["[" * 5000 + "]", '["a", "b"', "[a, b]", [["a"], ["b"]], {"a": 1}, b"a", "[{'a': 1}]"]
)
def test_what_holds_no_labels_is_named(cell):
    with pytest.raises(MediaError, match=r'expected labels, such as \["a", "b"\] or \[\] for none'):
        read_labels(cell, "|")


def test_a_row_without_labels_is_known_and_an_empty_cell_is_not():
    reader = target_reader("multilabel", ["a", "b", "c"], "|")
    batch = reader.collate([reader.read(cell) for cell in ("c|a", "[]", None, ["b"])])
    assert batch[[0, 1, 3]].tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert batch[2].isnan().all()
    with pytest.raises(MediaError, match=r"the class 'd', expected one that training saw \(a, b, c\)"):
        reader.read("a|d")


@pytest.mark.parametrize(
    ("cells", "task", "separator"),
    [
        (FREE, "multilabel", "|"),
        ([cell.replace("|", ";") for cell in FREE], "multilabel", ";"),
        ([cell.replace("|", ", ") for cell in FREE], "multilabel", ","),
        ([cell.split("|") for cell in FREE], "multilabel", None),
        ([str(cell.split("|")) for cell in FREE], "multilabel", None),
        ([None, [], *[cell.split("|") for cell in FREE]], "multilabel", None),
        (["New York, NY", "Los Angeles, CA", "Boston, MA"] * 14, "classification", None),
        (["flat", "house"] * 21, "classification", None),
        ([f"{n},5" for n in range(7)] * 6, "regression", None),
        ([f"a sentence about {n} things, and one more, {n}" for n in range(42)], "classification", None),
        ([1, 2, 3] * 14, "classification", None),
    ],
)
def test_labels_are_recognised(cells, task, separator):
    guess = guess_target(table(cells), "tags")
    assert (guess.task, guess.separator) == (task, separator)


def test_what_stands_between_labels_that_hold_commas():
    cells = ["Smith, John|Doe, Jane", "Smith, John", "Roe, Ann", "Doe, Jane|Roe, Ann"] * 10
    assert guess_separator(table(cells).values("tags")) == "|"
    assert guess_separator(table(["a, b", "b", "a"] * 20 + ["a | b"]).values("tags")) == ","


def test_a_declaration_says_the_separator_and_why():
    values, guesses = complete({}, table(FREE, size=[n % 7 / 2 for n in range(42)]), targets=["tags"])
    text = render_yaml(parse(values), guesses, "t.csv")
    line = "tags: {task: multilabel, separator: '|', thresholds: validation}  # labels with '|' between them"
    assert line in text
    declared = {"targets": {"tags": {"task": "multilabel"}}}
    values, _ = complete(declared, table(FREE, size=[n % 7 / 2 for n in range(42)]))
    assert values["targets"]["tags"] == {"task": "multilabel", "separator": "|"}


def declaration(**data) -> Declaration:
    target = {"task": "multilabel", "separator": "|"}
    return parse({"inputs": {"n": {"modality": "number"}}, "targets": {"tags": target}, "data": data})


def test_each_label_gives_every_split_its_share():
    random = np.random.default_rng(0)
    shares = {"rare": 0.1, "a": 0.5, "b": 0.3}
    rows = [[name for name, share in shares.items() if random.random() < share] for _ in range(400)]
    cells = ["|".join(labels) or "[]" for labels in rows]
    splits, _ = split_tables(table(cells), declaration(validation=0.2, test=0.2))
    rare = {
        name: sum("rare" in cell for cell in part.values("tags").to_pylist()) for name, part in splits.items()
    }
    assert abs(rare["validation"] - sum(rare.values()) / 5) <= 1
    assert abs(rare["test"] - sum(rare.values()) / 5) <= 1


def test_a_label_of_one_row_trains():
    cells = [*FREE, "a|lonely"]
    for seed in range(3):
        config = declaration()
        config.train.seed = seed
        splits, _ = split_tables(table(cells), config)
        assert any("lonely" in cell for cell in splits["train"].values("tags").to_pylist())


@pytest.fixture
def checked():
    """Check a table whose cells of training and validation are given."""

    def run(train, validation, more=()):
        splits = {"train": table(train), "validation": table(validation, start=1000)}
        config = declaration()
        for name in more:
            config.targets[name] = config.targets["tags"]
        return check(splits, config, [])

    return run


def lines(problems):
    return [str(problem) for problem in problems]


def test_labels_are_described(checked):
    report = checked([*FREE, None, "[]"], FREE[:7])
    assert report.ok and not report.warnings
    (entry,) = [entry for entry in report.columns if entry.column == "tags"]
    counts = Counter(label for cell in [*FREE, *FREE[:7]] for label in cell.split("|"))
    each = sum(counts.values()) / 50
    assert entry.detail == f"3 labels, {each:.1f} a row, rarest 'a' {counts['a']} rows"
    assert entry.modality == "multilabel" and entry.empty == pytest.approx(1 / 51)


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ([None] * 42, ["a"], "all 42 training cells are empty, expected answers to learn"),
        ([None] * 41 + ["a"], ["a"], "only 1 training row has an answer, expected answers to learn"),
        (["[]"] * 42, ["[]"], "none of the 42 known training rows has a label, expected labels to learn"),
        (["a|b", "b|a"] * 21, ["a"], "every training row has the labels 'a', 'b', expected rows with other"),
        (FREE, [None] * 7, "no validation row has a label. Without one no epoch can be told"),
        (FREE, ["[]"] * 7, "no validation row has a label. Without one no epoch can be told"),
        (
            FREE,
            ["a|d", "b", "e|a"],
            "classes that training never saw: 'd', 'e' (2 of 3 validation rows). They",
        ),
        (['["a"', *FREE], ["a", "b"], '\'["a"\', expected labels, such as ["a", "b"] or [] for none. Leave'),
    ],
)
def test_what_cannot_be_learnt_is_a_problem_of_one_line(checked, train, validation, message):
    (line,) = lines(checked(train, validation).problems)
    assert message in line and "column 'tags'" in line


def test_rare_labels_are_warned_of(checked):
    report = checked([*FREE, "a|rare"], FREE[:7])
    assert report.ok
    few = "1 of 4 classes have fewer than 5 training rows: 'rare'"
    assert lines(report.warnings) == [f"rows, column 'tags': {few}. They will hardly be learnt."]


def test_a_column_that_says_the_same_as_the_labels_is_warned_of(tmp_path):
    pd.DataFrame({"tags": FREE, "copy": FREE, "x": range(42)}).to_csv(tmp_path / "t.csv", index=False)
    read = read_table(tmp_path / "t.csv")
    values, guesses = complete({"inputs": {"copy": {"modality": "text"}}}, read, targets=["tags"])
    splits, _ = split_tables(read, parse(values))
    warnings = lines(check(splits, parse(values), guesses).warnings)
    (line,) = [line for line in warnings if "column 'copy'" in line]
    assert "it says the same as the target 'tags' in 100.0%" in line
