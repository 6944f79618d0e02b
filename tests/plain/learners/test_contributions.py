"""Contributions of columns: they sum to the score, point to what the answer hangs on, and survive files."""

import numpy as np
import pytest
from scipy.special import logit

from polymodal.errors import RunError
from polymodal.plain.blocks import Block, Columns
from polymodal.plain.learners import LEARNERS, Goal, Learner
from polymodal.plain.learners.contributions import mean_of
from polymodal.plain.sparse import Sparse
from tests.support.plain_learners import EACH, blocks_of, fitted, goal_of, removed

pytestmark = pytest.mark.usefixtures("few_trees")
SUM = {"rtol": 1e-6, "atol": 1e-7}


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_they_add_up_to_the_score_of_every_output(name, kind, tmp_path):
    blocks = blocks_of()
    goal = goal_of(kind, blocks)
    learner = fitted(name, blocks, goal)
    learner.save(tmp_path / name)
    loaded = LEARNERS[name].load(tmp_path / name)
    new = blocks_of(20, seed=1)
    answers = learner.predict(new)
    for output in range(goal.outputs):
        found = learner.contributions(new, output)
        total = found.base + sum(block.total for block in found.blocks.values())
        np.testing.assert_allclose(total, found.score, **SUM)
        for block, share in found.blocks.items():
            assert share.columns.shape == new[block].values.shape
        if kind == "numbers":
            np.testing.assert_allclose(found.score, answers, **SUM)
        elif kind == "labels":
            np.testing.assert_allclose(
                np.clip(found.score, -16, 16), np.clip(logit(answers[:, output]), -16, 16), atol=0.1
            )
        again = loaded.contributions(new, output)
        for block, share in found.blocks.items():
            np.testing.assert_allclose(again.blocks[block].columns, share.columns, **SUM)


@pytest.mark.parametrize("name", ["linear", "boosting", "kernel"])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_what_the_answer_hangs_on_adds_most_and_with_its_sign(name, kind):
    blocks = blocks_of(300)
    goal = goal_of(kind, blocks)
    if kind == "classes":
        goal = Goal("classes", (np.nan_to_num(blocks["size"].values[:, 0]) > 0).astype(int), 2)
    found = fitted(name, blocks, goal).contributions(blocks, 1 if kind == "classes" else 0)
    size = found.blocks["size"].columns
    strength = {key: np.abs(share.columns).mean(axis=0).max() for key, share in found.blocks.items()}
    assert np.abs(size).mean(axis=0).argmax() == 0
    assert strength["size"] > 3 * strength.get("note/words", 0.0)  # which kernels do not read
    known = np.abs(np.nan_to_num(blocks["size"].values[:, 0])) > 0.7
    agree = np.sign(size[known, 0]) == np.sign(blocks["size"].values[known, 0])
    assert agree.mean() > 0.95


@pytest.mark.parametrize("name", ["linear", "boosting", "kernel", "forest"])
def test_numbers_that_are_learned_as_logarithms_add_up_in_their_own_unit(name):
    blocks = blocks_of()
    values = np.expm1(np.clip(goal_of("numbers", blocks).values, 0, None) * 3)
    learner = fitted(name, blocks, Goal("numbers", values, 1, transform="log"))
    found = learner.contributions(blocks)
    np.testing.assert_allclose(found.score, learner.predict(blocks), **SUM)
    total = found.base + sum(block.total for block in found.blocks.values())
    np.testing.assert_allclose(total, found.score, **SUM)


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_a_missing_input_adds_as_a_whole(name, kind):
    blocks = blocks_of()
    learner, lacking = fitted(name, blocks, goal_of(kind, blocks)), removed(blocks_of(5), "note/words")
    found = learner.contributions(lacking)
    if "note/words" in found.blocks:
        assert not found.blocks["note/words"].columns.any()
    total = found.base + sum(block.total for block in found.blocks.values())
    np.testing.assert_allclose(total, found.score, **SUM)


def test_directions_of_words_are_shared_out_to_the_words_that_a_row_has():
    random = np.random.default_rng(0)
    words = (random.random((400, 80)) < 0.1).astype(np.float32)
    words[:, 3] = random.random(400) < 0.5
    block = Block(Sparse.of(words), np.ones(400, bool), Columns(tuple(map(str, range(80))), "sparse"))
    goal = Goal("classes", words[:, 3].astype(int), 2)
    found = fitted("boosting", {"note": block}, goal).contributions({"note": block}, 1)
    columns = found.blocks["note"].columns
    assert not columns[words == 0].any()
    held = words[:, 3] > 0
    assert (columns[held].argmax(axis=1) == 3).mean() > 0.9
    np.testing.assert_allclose(
        found.base + columns.sum(axis=1) + found.blocks["note"].whole, found.score, **SUM
    )


def test_a_class_that_the_rows_lack_has_a_score_without_contributions():
    blocks = blocks_of()
    found = fitted("linear", blocks, goal_of("classes", blocks)).contributions(blocks, 3)
    assert not found.blocks and (found.score == found.base).all() and (found.score < -3).all()


def test_the_mean_of_several_models_adds_up_too():
    blocks = blocks_of()
    goal = goal_of("numbers", blocks)
    learners = [fitted(name, blocks, goal) for name in ("linear", "boosting", "kernel")]
    mean = mean_of([learner.contributions(blocks) for learner in learners], [0.2, 0.1, 0.1])
    answer = sum(w * each.predict(blocks) for w, each in zip((0.5, 0.25, 0.25), learners, strict=True))
    np.testing.assert_allclose(mean.score, answer, **SUM)
    total = mean.base + sum(block.total for block in mean.blocks.values())
    np.testing.assert_allclose(total, mean.score, **SUM)


def test_a_learner_without_a_method_says_so():
    class Other(LEARNERS["linear"]):
        method = ""

    blocks = blocks_of()
    other: Learner = Other().fit(blocks, goal_of("numbers", blocks), seed=0)
    with pytest.raises(RunError, match="contributions are not known"):
        other.contributions(blocks)
