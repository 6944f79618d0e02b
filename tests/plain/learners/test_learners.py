"""Every learner on every kind of goal, on missing inputs and on degenerate tables."""

import sys
from dataclasses import replace
from itertools import combinations, count

import numpy as np
import pytest

from polymodal.errors import ConfigError, RunError
from polymodal.plain.blocks import Block, Columns
from polymodal.plain.learners import LEARNERS, Goal
from polymodal.plain.learners import boosting as boosting_module
from polymodal.plain.learners import kernel as kernel_module
from polymodal.plain.learners.design import _one_hot
from polymodal.plain.learners.tuning import inner_folds
from polymodal.utils.deadline import Deadline
from tests.support.plain_learners import EACH, NAMES, ROWS, blocks_of, fitted, goal_of, removed

pytestmark = pytest.mark.usefixtures("few_trees")


def check(goal: Goal, answers: np.ndarray) -> None:
    """Answers are finite and have the shape of the goal; probabilities sum to 1 and none is zero."""
    shape = answers.shape[:1] if goal.kind == "numbers" else (len(answers), goal.outputs)
    assert answers.shape == shape and np.isfinite(answers).all()
    if goal.kind != "numbers":
        assert (answers > 0).all() and (answers < 1).all()
    if goal.kind in ("classes", "ordered"):
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_answers_are_complete_saved_and_kept_without_inputs(name, kind, tmp_path):
    blocks = blocks_of()
    goal = goal_of(kind, blocks)
    learner = fitted(name, blocks, goal)
    answers = learner.predict(blocks)
    check(goal, answers)
    learner.save(tmp_path / "learner")
    again = LEARNERS[name].load(tmp_path / "learner")
    np.testing.assert_allclose(again.predict(blocks), answers, rtol=0, atol=1e-12)
    assert {path.suffix for path in tmp_path.rglob("*.*") if path.is_file()} <= {".json", ".npz", ".txt"}
    for each in blocks:
        check(goal, learner.predict(removed(blocks, each)))
    empty = {name: block.rows(np.arange(0)) for name, block in blocks.items()}
    assert len(learner.predict(empty)) == 0


@pytest.mark.parametrize("name", [*NAMES, "forest"])
def test_it_learns_and_repeats(name):
    blocks = blocks_of(200)
    goal = goal_of("numbers", blocks)
    new = blocks_of(200, seed=1)
    answers = fitted(name, blocks, goal).predict(new)
    truth = goal_of("numbers", new).values
    assert ((truth - answers) ** 2).mean() < 0.5 * truth.var()
    np.testing.assert_array_equal(answers, fitted(name, blocks, goal).predict(new))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_the_other_rows(name):
    blocks = blocks_of()
    learner = fitted(name, blocks, goal_of("classes", blocks))
    part = {name: block.rows(np.array([3])) for name, block in blocks.items()}
    np.testing.assert_allclose(learner.predict(part)[0], learner.predict(blocks)[3], atol=1e-12)


@pytest.mark.parametrize(("name", "kind"), EACH)
@pytest.mark.parametrize("case", ["one row", "two rows", "constant columns", "all missing", "extreme"])
def test_degenerate_tables_are_fitted(name, kind, case):
    blocks = blocks_of(30)
    if case in ("one row", "two rows"):
        blocks = {name: block.rows(np.arange(1 + (case == "two rows"))) for name, block in blocks.items()}
    elif case == "constant columns":
        values = np.ones((30, 4), np.float32)
        blocks |= {"size": Block(values, np.ones(30, bool), blocks["size"].columns)}
    elif case == "all missing":
        for each in tuple(blocks):
            blocks = removed(blocks, each)
    goal = goal_of(kind, blocks)
    if case == "extreme":
        huge = blocks["size"].values * np.float32(1e17)
        huge[0] = np.inf
        blocks |= {"size": Block(huge, blocks["size"].present, blocks["size"].columns)}
        goal = replace(goal, weights=np.geomspace(1e-18, 1e18, 30))
    check(goal, fitted(name, blocks, goal).predict(blocks))


@pytest.mark.parametrize("name", NAMES)
def test_a_class_of_one_row_and_constant_answers(name):
    blocks = blocks_of(40)
    values = np.zeros(40, np.int64)
    constant = fitted(name, blocks, Goal("classes", values, 3)).predict(blocks)
    assert (constant[:, 0] > 0.9).all()
    values[5] = 2
    values[20:] = 1
    goal = Goal("classes", values, 3, balanced=True)
    check(goal, fitted(name, blocks, goal).predict(blocks))
    same = fitted(name, blocks, Goal("numbers", np.full(40, 7.0), 1)).predict(blocks)
    np.testing.assert_allclose(same, 7)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_weight_zero_count_nothing(name):
    blocks = blocks_of(80)
    goal = goal_of("classes", blocks)
    weights = np.repeat([1.0, 0.0], 40)
    part = {name: block.rows(np.arange(40)) for name, block in blocks.items()}
    weighted = fitted(name, blocks, replace(goal, weights=weights)).predict(blocks)
    np.testing.assert_array_equal(weighted, fitted(name, part, goal.rows(np.arange(40))).predict(blocks))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_weight_three_moves_the_answer_like_copies(name):
    random = np.random.default_rng(0)
    values = random.normal(size=(120, 1)).astype(np.float32)
    blocks = {"x": Block(values, np.ones(120, bool), Columns(("x",), "number"))}
    classes = random.integers(0, 2, 120)
    weights = np.where(classes == 1, 3.0, 1.0)
    index = np.concatenate([np.arange(120), np.flatnonzero(classes == 1), np.flatnonzero(classes == 1)])
    copies = fitted(name, {"x": blocks["x"].rows(index)}, Goal("classes", classes[index], 2)).predict(blocks)
    weighted = fitted(name, blocks, Goal("classes", classes, 2, weights)).predict(blocks)
    plain = fitted(name, blocks, Goal("classes", classes, 2)).predict(blocks)
    assert weighted[:, 1].mean() > plain[:, 1].mean() + 0.1
    assert abs(weighted[:, 1].mean() - copies[:, 1].mean()) < 0.08


@pytest.mark.parametrize("name", NAMES)
def test_a_log_target_is_answered_in_its_own_unit(name):
    blocks = blocks_of(200)
    goal = replace(goal_of("numbers", blocks), transform="log")
    goal = replace(goal, values=np.expm1(goal.values + 5))
    answers = fitted(name, blocks, goal).predict(blocks)
    assert (answers > 0).all() and np.corrcoef(np.log1p(answers), np.log1p(goal.values))[0, 1] > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_mistakes_are_one_line(name):
    blocks = blocks_of(20)
    goal = goal_of("numbers", blocks)
    for wrong, line in (
        (replace(goal, values=np.full(20, np.nan)), "not finite"),
        (replace(goal, values=np.full(20, -3.0), transform="log"), "log transform"),
        (replace(goal, weights=np.zeros(20)), "weight above 0"),
    ):
        with pytest.raises(ConfigError, match=line):
            fitted(name, blocks, wrong)
    with pytest.raises(RunError, match="not fitted"):
        LEARNERS[name]().predict(blocks)
    learner = fitted(name, blocks, goal)
    with pytest.raises(RunError, match="no block 'size' of 4 columns"):
        learner.predict({"kind": blocks["kind"]})


def test_what_a_learner_cannot_do_is_one_line(monkeypatch):
    blocks = blocks_of(20)
    goal = goal_of("classes", blocks)
    assert [LEARNERS[name]().can_fit(goal, blocks) for name in NAMES] == ["", "", ""]
    words = {"note/words": blocks["note/words"]}
    assert "no dense columns" in LEARNERS["kernel"]().can_fit(goal, words)
    many = replace(goal, values=np.zeros(6000, np.int64))
    assert "6,000 rows, at most 5,000" in LEARNERS["kernel"]().can_fit(many, blocks)
    for name in ("kernel", "boosting"):
        assert "1000 classes" in LEARNERS[name]().can_fit(replace(goal, outputs=1000), blocks)
    labels = Goal("labels", np.zeros((4500, 5)), 5)
    assert "4,500 rows times 5 labels, at most 20,000" in LEARNERS["kernel"]().can_fit(labels, blocks)
    assert LEARNERS["boosting"]().can_fit(labels, blocks) == ""
    assert LEARNERS["kernel"]().can_fit(replace(labels, values=np.zeros((4500, 1)), outputs=1), blocks) == ""
    several = replace(labels, values=np.zeros((200_000, 5), np.int8))
    assert "at most 500,000 together" in LEARNERS["boosting"]().can_fit(several, blocks)
    assert "101 labels" in LEARNERS["boosting"]().can_fit(replace(labels, outputs=101), blocks)
    assert "no columns" in LEARNERS["linear"]().can_fit(goal, {})
    assert "no columns" in LEARNERS["boosting"]().can_fit(goal, {})
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert "Install lightgbm" in LEARNERS["boosting"]().can_fit(goal, blocks)


def test_absent_libgomp_is_one_line(monkeypatch):
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "lightgbm":
                raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert "libgomp.so.1" in boosting_module.missing_library()


def test_kernel_decisions_are_those_of_libsvm():
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.svm import SVC

    from polymodal.plain.learners.kernel import _per_class

    random = np.random.default_rng(0)
    values, classes = random.normal(size=(80, 4)), random.integers(4, size=80)
    machine = SVC(gamma=0.3, decision_function_shape="ovo").fit(values, classes)
    pairs, expected = machine.decision_function(values), np.zeros((80, 4))
    for number, (i, j) in enumerate(combinations(range(4), 2)):
        expected[:, i] += pairs[:, number] / 3
        expected[:, j] -= pairs[:, number] / 3
    duals, intercepts = _per_class(machine, 4)
    decisions = rbf_kernel(values, machine.support_vectors_, gamma=0.3) @ duals + intercepts
    np.testing.assert_allclose(decisions, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["boosting", "kernel"])
def test_each_label_keeps_what_was_chosen_for_it(name):
    """Also where another label is constant in the rows of one of the fits: it has no model there."""
    blocks = blocks_of()
    goal = goal_of("labels", blocks)
    first = fitted(name, blocks, replace(goal, values=goal.values[:, [2, 0, 1]]))
    assert set(first.chosen) == {1, 2}
    second = LEARNERS[name]()
    second.settle(first)
    noise = np.random.default_rng(0).random(ROWS) < 0.5
    second.fit(
        blocks, replace(goal, values=np.column_stack([noise, goal.values[:, [2, 1]]])), seed=0, threads=1
    )
    assert set(second.chosen) == {0, 2} and second.chosen[2] == first.chosen[2]
    again = first.fit(blocks, goal, seed=0, threads=1)
    assert set(again.chosen) == {0, 1}


@pytest.mark.parametrize(("kind", "fits"), [("classes", 5 + 1), ("numbers", 1)])
def test_the_kernel_tries_one_width_where_it_is_known(kind, fits, monkeypatch):
    blocks = blocks_of()
    goal = goal_of(kind, blocks)
    first, calls, fit = fitted("kernel", blocks, goal), [], kernel_module._fit
    monkeypatch.setattr(kernel_module, "_fit", lambda *each: calls.append(each) or fit(*each))
    second = LEARNERS["kernel"]()
    second.settle(first)
    second.fit(blocks, goal, seed=0)
    assert len(calls) == fits and second.chosen == first.chosen
    np.testing.assert_array_equal(second.predict(blocks), first.predict(blocks))


def test_inner_folds_have_two_classes_to_learn():
    random = np.random.default_rng(0)
    for _ in range(300):
        values = random.integers(0, 3, int(random.integers(3, 14)))
        groups = random.integers(0, 6, len(values)) if random.random() < 0.5 else None
        folds = inner_folds(Goal("classes", values, 3, groups=groups), 0, int(random.choice([3, 5])))
        assert bool(folds) == (len(np.unique(values)) > 1)
        assert all(len(np.unique(values[rows])) > 1 for rows, _ in folds)


def test_codes_of_categories_are_one_hot():
    codes = np.array([[0, 5], [2, np.nan], [np.nan, 7], [1, 9], [3, 1]])
    known = np.array([[0, 0], [0, 2], [0, 3], [1, 1], [1, 5], [1, 9]])
    expected = codes[:, known[:, 0]] == known[:, 1]
    np.testing.assert_array_equal(_one_hot(codes, known).toarray(), expected)
    many = _one_hot(np.arange(20_000.0)[:, None], np.stack([np.zeros(20_000, int), np.arange(20_000)], 1))
    assert len(many.data) == 20_000 and (many.indices == many.rows).all() and (many.data == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_search_ends_in_time_and_the_learner_answers(name):
    blocks = blocks_of()
    goal, ticks = goal_of("classes", blocks), count()
    learner = LEARNERS[name]()
    learner.deadline = Deadline.start(8.0, clock=lambda: float(next(ticks)))  # a second per look at the clock
    answers = learner.fit(blocks, goal, seed=0, threads=1).predict(blocks)
    assert learner.hurried and answers.shape == (ROWS, 4)
    unhurried = fitted(name, blocks, goal)
    assert not unhurried.hurried


@pytest.mark.parametrize("name", [*NAMES, "forest"])
def test_a_number_that_is_missing_first_in_new_rows_counts_as_a_usual_one(name, tmp_path):
    """LightGBM would take it for 0, far from all numbers here."""
    random = np.random.default_rng(0)
    years = random.uniform(1990, 2020, size=(200, 1)).astype(np.float32)
    blocks = {"year": Block(years, np.ones(200, bool), Columns(("year",), "number"))}
    learner = fitted(name, blocks, Goal("numbers", years[:, 0].astype(float), 1))
    learner.save(tmp_path / "learner")
    missing = removed(blocks, "year")
    for each in (learner, LEARNERS[name].load(tmp_path / "learner")):
        assert np.abs(each.predict(missing) - np.median(years)).max() < 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("transform", ["none", "log"])
def test_what_was_never_negative_is_not_predicted_so(name, transform):
    random = np.random.default_rng(0)
    values = random.normal(size=(120, 1)).astype(np.float32)
    blocks = {"x": Block(values, np.ones(120, bool), Columns(("x",), "number"))}
    counts = np.maximum(np.round(3 * values[:, 0] - 2), 0).astype(float)
    far = {"x": Block(values - 4, np.ones(120, bool), Columns(("x",), "number"))}
    goal = Goal("numbers", counts, 1, transform=transform)
    assert fitted(name, blocks, goal).predict(far).min() >= 0
    below = replace(goal, values=counts - 1, transform="none")
    assert fitted("linear", blocks, below).predict(far).min() < -1
