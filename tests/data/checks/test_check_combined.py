"""Warnings of a target that is computed from several inputs, of which none gives it alone."""

import numpy as np
import pandas as pd
import pytest

import polymodal as pm

ROWS = 160
random = np.random.default_rng(0)
A, B, C = random.normal(size=(3, ROWS))
SIZE, PRICE = random.integers(1, 60, ROWS), random.uniform(3, 80, ROWS).round(2)
FLAG, SIDE = random.random((2, ROWS)) > 0.5


def warned(target, **columns):
    """What is said of inputs together, and of which first."""
    table = pd.DataFrame({**columns, "noise": random.normal(size=ROWS), "y": target})
    return [(w.column, w.found) for w in pm.check(table, target="y").warnings if " it gives " in w.found]


NUMBERS = {
    "sum": (A + B, "it is a sum of them"),
    "difference": (A - 3 * B, "it is a sum of them"),
    "rounded sum": ((A + B).round(2), "it is a sum of them"),
    "product": (A * B, "it is a product or ratio of them"),
    "ratio": (A / B, "it is a product or ratio of them"),
    "one of the two": (A + random.normal(size=ROWS), None),
    "nearly": (A + B + random.normal(size=ROWS) / 20, None),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_computed_from_two_inputs_is_warned_of(kind):
    target, found = NUMBERS[kind]
    said = warned(target, a=A, b=B)
    assert not said if found is None else (len(said) == 1 and said[0][0] == "a" and found in said[0][1])
    assert found is None or "with 'b' it gives the target 'y'" in said[0][1]


def test_a_total_is_warned_of_though_some_cells_are_empty_and_inputs_are_many():
    price = np.where(np.arange(ROWS) % 20, PRICE, np.nan)
    others = {f"c{n}": random.normal(size=ROWS) for n in range(8)}
    ((column, found),) = warned((SIZE * PRICE).round(2), size=SIZE, price=price, **others)
    assert column == "size" and "with 'price' it gives" in found and "product" in found
    ((_, found),) = warned(A + B + C, a=A, b=B, c=C, **others)
    assert "with 'b' and 'c' it gives" in found


CLASSES = {
    "which is larger": (A > B, {"a": A, "b": B}, "difference"),
    "sign of the sum": (A + B > 0, {"a": A, "b": B}, "sum"),
    "sign of the product": (A * B > 0, {"a": A, "b": B}, "product"),
    "two flags": (FLAG ^ SIDE, {"a": FLAG, "b": SIDE}, "their values alone"),
    "two kinds": (
        FLAG & SIDE,
        {"a": np.where(FLAG, "x", "z"), "b": np.where(SIDE, "p", "q")},
        "their values",
    ),
    "with noise": (A + B + random.normal(size=ROWS) / 3 > 0, {"a": A, "b": B}, None),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_computed_from_two_inputs_is_warned_of(kind):
    target, columns, found = CLASSES[kind]
    said = warned(np.where(target, "yes", "no"), **columns)
    assert not said if found is None else (len(said) == 1 and found in said[0][1])
