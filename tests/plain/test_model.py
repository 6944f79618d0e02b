"""The plain model: all targets, out-of-fold predictions without leakage, and its folder."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polymodal.errors import RunError
from polymodal.plain import model as module
from polymodal.plain.blocks import Block, Columns
from polymodal.plain.features.base import FEATURIZERS, Featurizer
from polymodal.plain.learners import Goal
from polymodal.plain.learners import boosting as boosting_module
from polymodal.plain.model import PlainModel, rows_of

ROWS = 60


class Numbers(Featurizer):
    """Numbers as they are, and their distance to the mean of the training rows."""

    modality = "stub numbers"
    fits: list[int] = []

    def __init__(self, *, learns: bool = True, mean: float = 0.0) -> None:
        self.learns, self.mean = learns, mean

    def learn(self, items):
        self.columns = {"": Columns(("value", "distance"), "number")}
        self.mean = float(np.mean(items)) if self.learns else 0.0

    def features(self, items):
        Numbers.fits.append(len(items))
        return {"": np.array([[item, abs(item - self.mean)] for item in items], np.float32)}

    def options(self):
        return {"learns": self.learns, "mean": self.mean}


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    monkeypatch.setitem(FEATURIZERS._entries, Numbers.modality, Numbers)
    monkeypatch.setattr(boosting_module, "MOST_TREES", 20)


def contents(seed: int = 0) -> dict[str, list[list[float]]]:
    random = np.random.default_rng(seed)
    values = random.normal(size=(2, ROWS))
    cells = [[[float(value)] for value in column] for column in values]
    cells[1][::5] = [[] for _ in cells[1][::5]]
    return {"a": cells[0], "b": cells[1]}


def goals(rows: dict[str, list[list[float]]]) -> dict[str, Goal]:
    signal = np.array([cell[0] for cell in rows["a"]])
    return {
        "kind": Goal("classes", (signal > 0).astype(np.int64), 2),
        "price": Goal("numbers", 3 * signal, 1),
    }


def fitted() -> tuple[PlainModel, dict[str, list[list[float]]]]:
    rows = contents()
    return PlainModel({"a": Numbers(), "b": Numbers()}, seed=0, threads=1).fit(rows, goals(rows)), rows


def test_all_targets_are_saved_and_predicted_the_same(tmp_path):
    model, rows = fitted()
    answers = model.predict(rows)
    assert {target: list(each) for target, each in answers.items()} == {
        "kind": ["boosting", "kernel", "linear"],
        "price": ["boosting", "forest", "kernel", "linear"],
    }
    assert (answers["kind"]["linear"].argmax(axis=1) == goals(rows)["kind"].values).mean() > 0.9
    model.save(tmp_path / "plain")
    again = PlainModel.load(tmp_path / "plain").predict(rows)
    for target, each in answers.items():
        for name, expected in each.items():
            np.testing.assert_allclose(again[target][name], expected, atol=1e-12)


def test_rows_without_an_answer_train_the_featurizers_alone():
    rows = contents()
    known = np.arange(0, ROWS, 2)
    goal = goals(rows)["price"].rows(known)
    model = PlainModel({"a": Numbers()}, learners=["linear"], threads=1)
    model.fit(rows, {"price": goal}, {"price": known})
    assert model.featurizers["a"].mean == pytest.approx(np.mean([cell[0] for cell in rows["a"]]))
    assert len(model.predict(rows)["price"]["linear"]) == ROWS


def test_inputs_that_are_removed_are_missing_values():
    model, rows = fitted()
    blocks = model.blocks(rows)
    empty = np.full(blocks["a"].values.shape, np.nan, np.float32)
    without = blocks | {"a": Block(empty, np.zeros(ROWS, bool), blocks["a"].columns)}
    for each in model.predict_blocks(without).values():
        assert all(np.isfinite(answers).all() for answers in each.values())


def test_out_of_fold_answers_do_not_know_their_own_rows():
    rows = contents()
    folds = np.arange(ROWS) % 3
    goal = goals(rows)["price"]
    model = PlainModel({"a": Numbers(), "b": Numbers()}, learners=["linear"], threads=1)
    answers = model.out_of_fold(rows, goal, folds)["linear"]
    held = folds == 1
    part = {name: [cells[index] for index in np.flatnonzero(~held)] for name, cells in rows.items()}
    alone = PlainModel({"a": Numbers(), "b": Numbers()}, learners=["linear"], threads=1)
    alone.fit(part, {"price": goal.rows(~held)})
    other = {name: [cells[index] for index in np.flatnonzero(held)] for name, cells in rows.items()}
    np.testing.assert_allclose(answers[held], alone.predict(other)["price"]["linear"], atol=1e-9)


def test_features_that_learn_nothing_are_computed_once():
    rows = contents()
    model = PlainModel({"a": Numbers(learns=False)}, learners=["linear"], threads=1)
    Numbers.fits.clear()
    model.out_of_fold(rows, goals(rows)["price"], np.arange(ROWS) % 3)
    assert Numbers.fits == [ROWS]


def test_a_learner_that_fails_is_left_out_with_a_line(monkeypatch):
    def fail(self, *_, **__):
        raise ValueError("first line\nsecond line")

    monkeypatch.setattr(module.LEARNERS["kernel"], "fit_part", fail)
    model, rows = fitted()
    assert model.left_out["price"] == {"kernel": "first line"}
    assert list(model.predict(rows)["price"]) == ["boosting", "forest", "linear"]
    answers = model.out_of_fold(rows, goals(rows)["price"], np.arange(ROWS) % 3, target="price")
    assert list(answers) == ["boosting", "forest", "linear"]


def test_a_learner_that_was_refused_on_all_rows_is_not_fitted_to_those_of_a_fold(monkeypatch):
    kind = module.LEARNERS["kernel"]
    monkeypatch.setattr(kind, "can_fit", lambda self, goal, blocks: "" if len(goal) < ROWS else "too many")
    model, rows = fitted()
    assert "kernel" not in model.members["price"]
    answers = model.out_of_fold(rows, goals(rows)["price"], np.arange(ROWS) % 3, target="price")
    assert list(answers) == list(model.members["price"])


def test_amounts_of_a_long_tail_are_learned_as_they_are_and_as_logarithms(tmp_path):
    rows = contents()
    amounts = np.exp(goals(rows)["price"].values / 3)
    goal = Goal("numbers", amounts, 1, transform="log", both=True)
    model = PlainModel({"a": Numbers(), "b": Numbers()}, learners=["linear"], threads=1)
    answers = model.fit(rows, {"price": goal}).predict(rows)["price"]
    for name, transform in (("linear", "none"), ("linear_log", "log")):
        single = replace(goal, transform=transform, both=False)
        alone = PlainModel({"a": Numbers(), "b": Numbers()}, learners=["linear"], threads=1)
        expected = alone.fit(rows, {"price": single}).predict(rows)["price"]["linear"]
        np.testing.assert_array_equal(answers[name], expected)
    model.save(tmp_path / "plain")
    again = PlainModel.load(tmp_path / "plain").predict(rows)["price"]
    np.testing.assert_array_equal(again["linear_log"], answers["linear_log"])
    folds = model.out_of_fold(rows, goal, np.arange(ROWS) % 3)
    assert list(folds) == ["linear", "linear_log"] and np.isfinite(folds["linear_log"]).all()
    alone = PlainModel({"a": Numbers(), "b": Numbers()}, learners=["linear"], threads=1)
    alone.fit(rows, {"price": goal}, learners={"price": ["linear_log"]}, like=model)
    np.testing.assert_array_equal(alone.predict(rows)["price"]["linear_log"], answers["linear_log"])


@pytest.mark.parametrize("name", ["settings.json", "input0/settings.json", "target1/linear/arrays.npz"])
def test_a_damaged_folder_is_one_line(name, tmp_path):
    fitted()[0].save(tmp_path / "plain")
    for content in (None, b"[]"):
        path = tmp_path / "plain" / name
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunError) as caught:
            PlainModel.load(tmp_path / "plain")
        assert "\n" not in str(caught.value)


def test_another_format_is_refused(tmp_path):
    fitted()[0].save(tmp_path)
    settings = json.loads((tmp_path / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps(settings | {"format": 9}))
    with pytest.raises(RunError, match="format 9, expected 1"):
        PlainModel.load(tmp_path)


def test_some_rows_of_blocks():
    model, rows = fitted()
    assert len(rows_of(model.blocks(rows), np.array([1, 2]))["a"]) == 2


def test_no_torch_is_loaded():
    code = (
        "import sys, polymodal.plain.model; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0
