"""Which models a fit tries: of small tables of numbers and categories, plain models alone."""

import pandas as pd
import pytest

from polymodal.config import Declaration
from polymodal.data.tables.table import read_table
from polymodal.training.declaration import candidate_choice
from polymodal.training.declaration.candidate_choice import settle_candidates
from polymodal.training.request import FitRequest

TABLE = pd.DataFrame({"x": [1.0, 2.0] * 30, "kind": ["a", "b"] * 30, "y": ["u", "v"] * 30})
INPUTS = {"x": {"modality": "number"}, "kind": {"modality": "category"}}


@pytest.fixture(autouse=True)
def as_for_users(default_fit):
    """The choice of a fit, not that of other tests."""


def settled(tmp_path, *, inputs=INPUTS, preset=None, **sections):
    declaration = Declaration.model_validate(
        {"inputs": inputs, "targets": {"y": {"task": "classification"}}, **sections}
    )
    request = FitRequest(TABLE, output=tmp_path / "run", preset=preset)
    notes = settle_candidates(declaration, read_table(TABLE), request, of_run=False)
    return declaration.train.candidates, notes


def test_a_small_table_of_numbers_and_categories_gets_plain_models_and_a_note(tmp_path):
    candidates, notes = settled(tmp_path)
    assert candidates == ["plain"]
    assert notes == [
        "the neural model is not tried: tables of numbers and categories with fewer than 2,000 rows "
        "gain nothing from it (settings={'train.candidates': ['plain', 'fused']} tries it)"
    ]


def test_settings_of_all_models_leave_it_at_that(tmp_path):
    train = {"seed": 3, "threads": 1, "time_limit": "1m", "encoders": "auto"}
    assert settled(tmp_path, train=train, preset="good")[0] == ["plain"]


@pytest.mark.parametrize(
    "more",
    [
        {"preset": "best"},
        {"train": {"epochs": 3}},
        {"train": {"report_to": "tensorboard"}},
        {"fusion": {"width": 64}},
        {"start": "runs/before"},
        {"inputs": INPUTS | {"name": {"modality": "text"}}},
        {"inputs": {"x": {"modality": "number", "encoder": "linear"}}},
    ],
    ids=str,
)
def test_what_is_of_the_neural_model_has_it_tried(tmp_path, more):
    assert settled(tmp_path, **more) == (["plain", "fused"], [])


def test_a_larger_table_has_it_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(candidate_choice, "FEWEST", len(TABLE))
    assert settled(tmp_path) == (["plain", "fused"], [])


def test_what_is_named_decides(tmp_path):
    assert settled(tmp_path, train={"candidates": ["fused"]}) == (["fused"], [])
