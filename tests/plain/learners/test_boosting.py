"""What boosted trees, and forests of the same library, find in a table."""

from __future__ import annotations

import numpy as np
import pytest

from polymodal.plain.blocks import Block, Columns
from polymodal.plain.learners import LEARNERS, Goal
from tests.support.plain_learners import blocks_of, fitted, goal_of, removed

pytestmark = pytest.mark.usefixtures("few_trees")


def test_boosting_leaves_words_out_where_they_say_little(tmp_path):
    blocks = blocks_of()
    words = blocks["note/words"].values
    goals = {True: goal_of("numbers", blocks), False: Goal("numbers", words.toarray()[:, 0] * 9.0, 1)}
    for narrow, goal in goals.items():
        learner = fitted("boosting", blocks, goal)
        assert learner.chosen[0].narrow is narrow
        learner.save(tmp_path / str(narrow))
        answers = LEARNERS["boosting"].load(tmp_path / str(narrow)).predict(blocks)
        np.testing.assert_allclose(answers, learner.predict(blocks), rtol=1e-6)
        without = learner.predict(removed(blocks, "note/words"))
        assert np.array_equal(without, learner.predict(blocks)) is narrow


def test_boosting_finds_what_only_two_of_two_columns_give():
    """Trees that each see one of them find nothing."""
    random = np.random.default_rng(0)
    values = random.uniform(0, 4, size=(600, 2)).astype(np.float32)
    blocks = {
        name: Block(values[:, [index]], np.ones(600, bool), Columns((name,), "number"))
        for index, name in enumerate("xy")
    }
    classes = np.floor(values).astype(int).sum(axis=1) % 2
    answers = fitted("boosting", blocks, Goal("classes", classes, 2)).predict(blocks)
    assert (answers.argmax(axis=1) == classes).mean() > 0.8


def test_a_forest_of_few_columns_chooses_among_them():
    """Splits of a column that is drawn blindly waste most of the rows on noise."""
    random = np.random.default_rng(0)
    values = random.uniform(-2, 2, size=(600, 3)).astype(np.float32)
    blocks = {"x": Block(values, np.ones(600, bool), Columns(tuple("abc"), "number"))}
    truth = np.sin(2 * values[:, 0]) + np.abs(values[:, 1])
    seen, new = np.arange(600) < 400, np.arange(600) >= 400
    learner = fitted("forest", {"x": blocks["x"].rows(seen)}, Goal("numbers", truth[seen], 1))
    errors = learner.predict({"x": blocks["x"].rows(new)}) - truth[new]
    assert 1 - (errors**2).mean() / truth[new].var() > 0.95


def test_boosting_splits_by_categories_of_few_rows():
    random = np.random.default_rng(0)
    codes = np.repeat(np.arange(60), 8)[random.permutation(480)][:, None].astype(np.float32)
    blocks = {"shop": Block(codes, np.ones(480, bool), Columns(("shop",), "category", 60))}
    truth = random.normal(size=60)[codes[:, 0].astype(int)]
    seen, new = np.arange(480) < 360, np.arange(480) >= 360
    learner = fitted("boosting", {"shop": blocks["shop"].rows(seen)}, Goal("numbers", truth[seen], 1))
    errors = learner.predict({"shop": blocks["shop"].rows(new)}) - truth[new]
    assert 1 - (errors**2).mean() / truth[new].var() > 0.7
