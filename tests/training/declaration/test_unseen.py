"""A category of which training sees none of the values held out is left out, unless it is named."""

import numpy as np
import pandas as pd
import pytest

import polymodal as pm


@pytest.fixture
def table():
    """Speakers that each stand in one split alone, and rooms that stand in all."""
    random = np.random.default_rng(0)
    return pd.DataFrame({
        "x": random.normal(size=90),
        "room": [f"r{row % 3}" for row in range(90)],
        "speaker": [f"s{row // 10}" for row in range(90)],
        "y": random.integers(0, 2, 90).astype(str),
        "split": ["train"] * 60 + ["val"] * 10 + ["test"] * 20,
    })  # fmt: skip


def role(report, name):
    return next(entry.role for entry in report.columns if entry.column == name)


def test_a_category_all_new_to_training_is_left_out(table):
    report = pm.check(table, target="y")
    assert (role(report, "speaker"), role(report, "room")) == ("left out", "input")
    reason = next(entry.reason for entry in report.columns if entry.column == "speaker")
    assert reason == "none of its values in 30 held-out rows stands in a training row"
    assert not report.warnings


@pytest.mark.parametrize(
    "more", [{"inputs": ["x", "speaker"]}, {"settings": ["inputs.speaker.modality=category"]}]
)
def test_one_that_is_named_is_read_and_warned_of(table, more):
    report = pm.check(table, target="y", **more)
    assert role(report, "speaker") == "input"
    assert [warning.column for warning in report.warnings] == ["speaker", "speaker"]


def test_one_known_value_keeps_it(table):
    table.loc[85, "speaker"] = "s0"
    assert role(pm.check(table, target="y"), "speaker") == "input"
