"""Linear learners: their penalty, and numbers as they are or drawn in."""

from __future__ import annotations

import numpy as np
import pytest

from polymodal.plain.blocks import Block, Columns
from polymodal.plain.learners import LEARNERS, Goal
from polymodal.plain.learners.linear import SPANS
from tests.support.plain_learners import blocks_of, fitted


def test_linear_agrees_with_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    values = random.normal(size=(200, 3)).astype(np.float32)
    classes = (values @ [1, -1, 0.5] + random.normal(size=200) > 0).astype(int)
    blocks = {"x": Block(values, np.ones(200, bool), Columns(tuple("abc"), "number"))}
    learner = fitted("linear", blocks, Goal("classes", classes, 2))
    penalty = learner.fitted.parts[0].model.penalty
    matrix = learner.join(blocks)
    reference = LogisticRegression(C=1 / (penalty * 200), max_iter=500).fit(matrix, classes)
    np.testing.assert_allclose(learner.predict(blocks), reference.predict_proba(matrix), atol=1e-4)


@pytest.mark.parametrize(("power", "span"), [(1, SPANS[1]), (0.2, SPANS[0])])
def test_a_line_is_fitted_through_numbers_as_they_are_or_drawn_in(power, span):
    """Scores of a long tail are drawn in where answers follow their root, and not where they are linear."""
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 2)).astype(np.float32)
    values[:, 0] = random.exponential(size=300) if power == 1 else np.exp(1.5 * values[:, 0])
    blocks = {"x": Block(values, np.ones(300, bool), Columns(("a", "b"), "number"))}
    truth = (values[:, 0].astype(float) * 4) ** power + values[:, 1]
    learner = fitted("linear", blocks, Goal("numbers", truth, 1))
    assert learner.span == span
    if span:
        usual = values[:, 0] < 3  # all but a few
        assert np.abs(learner.predict(blocks) - truth)[usual].max() < 0.1 * truth.std()
    again = LEARNERS["linear"]()
    again.settle(learner)
    again.fit(blocks, Goal("numbers", truth, 1), seed=0)
    np.testing.assert_allclose(again.predict(blocks), learner.predict(blocks))


def test_the_span_is_chosen_by_the_numbers_beside_words():
    blocks = blocks_of(200)
    numbers = blocks["size"].values[:, :1]
    truth = np.nan_to_num(numbers[:, 0]).astype(float) * 5 + blocks["note/words"].values.toarray()[:, 0]
    whole = blocks | {"note/counts": Block(numbers, blocks["size"].present, Columns(("n",), "number"))}
    goal = Goal("numbers", truth, 1)
    learner = fitted("linear", whole, goal)
    assert learner.span == fitted("linear", {"size": blocks["size"], "kind": blocks["kind"]}, goal).span > 0
    of_text = {name: block for name, block in whole.items() if name.startswith("note/")}
    assert fitted("linear", of_text, goal).span == 0
