"""Whole numbers that are codes are read as such where the answers follow them."""

import numpy as np
import pytest

from polymodal.plain import coded_numbers
from polymodal.plain.coded_numbers import useful_codes, without_codes
from polymodal.plain.features import NumberFeaturizer
from polymodal.plain.learners import Goal
from polymodal.plain.model import PlainModel
from polymodal.plain.storage import read_state
from polymodal.utils.deadline import Deadline

ROWS = 300


def contents(seed: int = 0) -> dict[str, list[list[float]]]:
    random = np.random.default_rng(seed)
    persons, ages = random.integers(0, 20, ROWS), random.integers(18, 40, ROWS)
    return {"person": [[float(each)] for each in persons], "age": [[float(each)] for each in ages]}


def answers(rows: dict[str, list[list[float]]]) -> np.ndarray:
    """A level of each person, and a little for each year of age."""
    levels = np.random.default_rng(1).normal(size=20)
    values = np.array([[*person, *age] for person, age in zip(rows["person"], rows["age"], strict=True)])
    return levels[values[:, 0].astype(int)] + 0.02 * values[:, 1]


@pytest.fixture(scope="module")
def model() -> PlainModel:
    rows = contents()
    featurizers = {"person": NumberFeaturizer(), "age": NumberFeaturizer()}
    goals = {"score": Goal("numbers", answers(rows), 1), "old": Goal("classes", np.arange(ROWS) % 2, 2)}
    return PlainModel(featurizers, learners=["linear"]).fit(rows, goals)


def test_codes_are_read_for_the_targets_that_follow_them(model, tmp_path):
    assert model.coded == {"score": frozenset({"person/codes"}), "old": frozenset()}
    rows, blocks = contents(2), model.blocks(contents(2))
    found = model.predict(rows)["score"]["linear"]
    assert np.corrcoef(found, answers(rows))[0, 1] > 0.95
    model.save(tmp_path / "model")
    np.testing.assert_allclose(PlainModel.load(tmp_path / "model").predict(rows)["score"]["linear"], found)
    assert {*without_codes(blocks, model.coded["score"])} == {"person", "person/codes", "age"}
    new = model.predict({"person": [[77.0], []], "age": [[30.0], [30.0]]})["score"]["linear"]
    assert np.isfinite(new).all()


def test_codes_that_no_learner_reads_are_neither_computed_nor_saved(model, tmp_path, monkeypatch):
    assert set(model.blocks(contents())) == {"person", "person/codes", "age"}
    model.save(tmp_path / "model")
    settings = [read_state(tmp_path / "model" / f"input{number}")[0] for number in range(2)]
    assert [len(each["options"]["codes"]) for each in settings] == [20, 0]
    assert [*settings[1]["columns"]] == [""]
    rows = contents()
    goals = {"score": Goal("numbers", answers(rows), 1)}
    fresh = {"person": NumberFeaturizer(), "age": NumberFeaturizer()}
    with monkeypatch.context() as patch:
        patch.setattr(PlainModel, "forget_codes", lambda self: None)
        whole = PlainModel(fresh, learners=["linear"]).fit(rows, goals)
    before = whole.predict(contents(2))["score"]["linear"]
    whole.forget_codes()
    assert fresh["person"].codes and not fresh["age"].codes
    np.testing.assert_array_equal(whole.predict(contents(2))["score"]["linear"], before)
    whole.members["score"] = {}  # as of a blend that does not use them
    whole.forget_codes()
    assert not fresh["person"].codes


def test_there_is_a_limit_to_time_columns_and_codes(monkeypatch):
    rows = contents()
    names = {"person": rows["person"], "again": rows["person"], "age": rows["age"]}
    blocks = {
        f"{name}/{part}" if part else name: block
        for name, cells in names.items()
        for part, block in NumberFeaturizer().fit(cells).blocks(cells).items()
    }
    goal = Goal("numbers", answers(rows), 1)
    assert useful_codes(blocks, goal, 0) == {"person/codes", "again/codes"}
    clock = iter(range(0, 1000, 2))  # each look at it is two seconds later
    short = Deadline.start(60.0, clock=lambda: float(next(clock)))
    assert useful_codes(blocks, goal, 0, short) == frozenset()
    assert useful_codes(blocks, goal, 0, Deadline.start(600.0)) == {"person/codes", "again/codes"}
    monkeypatch.setattr(coded_numbers, "MOST_CODES", 25)
    assert useful_codes(blocks, goal, 0) == {"person/codes"}
    monkeypatch.setattr(coded_numbers, "MOST_COLUMNS", 0)
    assert useful_codes(blocks, goal, 0) == frozenset()


def test_folds_and_a_second_fit_keep_the_choice(model, monkeypatch):
    rows = contents()
    goal = Goal("numbers", answers(rows), 1)
    monkeypatch.setattr("polymodal.plain.model.useful_codes", None)  # which fails if it is called
    held = model.out_of_fold(rows, goal, np.arange(ROWS) % 3, target="score")["linear"]
    assert np.corrcoef(held, goal.values)[0, 1] > 0.9
    again = PlainModel(model.featurizers, learners=["linear"]).fit(rows, {"score": goal}, like=model)
    assert again.coded == {"score": model.coded["score"]}


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_groups_that_are_held_out_make_codes_useless(model, kind):
    rows = contents()
    blocks, values = model.blocks(rows), answers(rows)
    goal = Goal("numbers", values, 1) if kind == "numbers" else Goal("classes", (values > 0.5).astype(int), 2)
    assert useful_codes(blocks, goal, 0) == {"person/codes"}
    persons = np.array([cell[0] for cell in rows["person"]], int)
    apart = Goal(goal.kind, goal.values, goal.outputs, groups=persons)
    assert useful_codes(blocks, apart, 0) == frozenset()
    assert useful_codes(blocks, Goal("labels", np.zeros((ROWS, 2)), 2), 0) == frozenset()
    few = {name: block.rows(np.arange(20)) for name, block in blocks.items()}
    assert useful_codes(few, goal.rows(np.arange(20)), 0) == frozenset()
