"""Warnings of inputs that give the target, or are computed from it, and of inputs that are the same."""

import numpy as np
import pandas as pd
import pytest

import polymodal as pm

ROWS = 200
random = np.random.default_rng(0)
AMOUNT = random.normal(size=ROWS)
OTHER = random.normal(size=ROWS)
KIND = np.array(["cat", "dog", "emu", "fox"])[random.integers(0, 4, ROWS)]
TEXTS = [f"house number {row} by the river" for row in range(ROWS)]


def warned(target, **columns):
    """What is said of each input named ``x``, besides others that say nothing of the target."""
    table = pd.DataFrame({"other": OTHER[::-1], **columns, "y": target})
    found = [
        entry for entry in pm.check(table, target="y").warnings if "classes have fewer" not in entry.found
    ]
    assert all(entry.column == "x" for entry in found)
    return [entry.found for entry in found]


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (AMOUNT > 0, "it follows from the target"),
        (np.where(AMOUNT > 0, "up", "down"), "it follows from the target"),
        (pd.cut(AMOUNT, [-9, -1, 0, 1, 9], labels=list("abcd")).astype(str), "it follows from the target"),
        (AMOUNT**2, "it follows from the target"),
        (AMOUNT.round(), "it follows from the target"),
        (np.log(AMOUNT - AMOUNT.min() + 1), "it orders the rows"),
        (7 - 3 * AMOUNT + OTHER / 1000, "it orders the rows"),
        (np.where(AMOUNT > 0, OTHER, np.nan), "whether it is empty"),
        (AMOUNT + OTHER / 3, None),
        (OTHER, None),
        (KIND, None),
    ],
)
def test_inputs_computed_from_a_number_are_warned_of(x, found):
    (said,) = warned(AMOUNT, x=x) or [None]
    assert said is None if found is None else found in said


def test_a_number_that_follows_from_an_input_is_warned_of():
    assert "the target 'y' follows from it" in warned(OTHER**2, x=OTHER)[0]
    codes = np.array([{"cat": 3.5, "dog": 3.5, "emu": 9.25, "fox": 2.0}[kind] for kind in KIND])
    assert "4 values alone give" in warned(codes + AMOUNT / 1000, x=KIND)[0]


@pytest.mark.parametrize(
    ("x", "found"),
    [
        ([kind.upper() for kind in KIND], "4 values alone give the target 'y' in 100.0%"),
        ([{"cat": 3, "dog": 1, "emu": 7, "fox": 2}[kind] for kind in KIND], "4 values alone give the target"),
        ([{"cat": "pet", "dog": "pet"}.get(kind, "wild") for kind in KIND], "it follows from the target"),
        ([kind in ("cat", "emu") for kind in KIND], "it follows from the target"),
        ([f"sick {kind}" if kind == "cat" else None for kind in KIND], "whether it is empty"),
        (
            [f"Seen near {text}: a {kind}" for kind, text in zip(KIND, TEXTS, strict=True)],
            "contains the class",
        ),
        ([OTHER[row] + 9 * "cdef".index(kind[0]) for row, kind in enumerate(KIND)], "its order gives"),
        (TEXTS, None),
        (np.where(random.random(ROWS) < 0.9, KIND, "cat"), None),
        (OTHER, None),
    ],
)
def test_inputs_that_give_a_class_or_follow_from_it_are_warned_of(x, found):
    (said,) = warned(KIND, x=x) or [None]
    assert said is None if found is None else found in said


@pytest.mark.parametrize("classes", [2, 20])
def test_row_numbers_of_a_sorted_table_are_warned_of(classes):
    kept = np.sort(np.random.default_rng(1).permutation(250)[:ROWS])
    order = np.random.default_rng(2).permutation(ROWS)
    labels = np.array([f"class {place * classes // ROWS}" for place in range(ROWS)])
    assert "row numbers of a sorted table" in warned(labels[order], x=kept[order] + 0.0)[0]
    assert not warned(np.random.default_rng(3).permutation(labels), x=kept[order] + 0.0)


def test_classes_of_few_rows_that_are_renamed_are_warned_of():
    names = [f"k{row % 60}" for row in range(ROWS)]
    assert "it renames the target" in warned(names, x=[f"name {row % 60 * 7}" for row in range(ROWS)])[0]


def test_a_near_copy_of_a_rare_class_is_not_judged_by_the_common_one():
    rare = np.where(np.arange(ROWS) % 20 == 0, "yes", "no")
    assert not warned(rare, x=["no"] * (ROWS - 1) + ["yes"])


def test_equal_inputs_are_named_once_each_and_many_in_one_line():
    kinds = {"cat": "w", "dog": "q", "emu": "e", "fox": "r"}
    table = {
        "a": OTHER, "b": OTHER, "c": 3 - 4 * OTHER, "k": KIND, "l": [kinds[kind] for kind in KIND],
        "t": TEXTS, "u": TEXTS, "v": [text[::-1] for text in TEXTS], "n": AMOUNT,
        "y": random.integers(0, 2, ROWS).astype(str),
    }  # fmt: skip
    found = {entry.column: entry.found for entry in pm.check(pd.DataFrame(table), target="y").warnings}
    assert found.keys() == {"b", "c", "l", "u"}
    assert "equal to the input 'a'" in found["b"] and "a rescaling of the input 'a'" in found["c"]
    assert "renames the values of the input 'k'" in found["l"] and "equal to the input 't'" in found["u"]
    many = pd.DataFrame({f"c{place}": OTHER * (place + 1) for place in range(30)} | {"y": AMOUNT})
    (one,) = pm.check(many, target="y").warnings
    assert "28 more pairs" in one.found


def test_many_columns_are_checked_in_seconds():
    import time

    columns = {f"c{place}": np.random.default_rng(place).normal(size=400) for place in range(600)}
    began = time.process_time()
    report = pm.check(pd.DataFrame(columns | {"y": np.arange(400) % 2}), target="y")
    assert report.ok and not report.warnings and time.process_time() - began < 20
