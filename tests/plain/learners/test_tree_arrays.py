"""Trees of LightGBM as arrays answer as LightGBM does: missing values, zeros, categories, objectives."""

import lightgbm
import numpy as np
import pytest

from polymodal.plain.learners.tree_arrays import Trees

FOREST = {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1, "feature_fraction_bynode": 0.5}
CASES = {
    "numbers": {"objective": "regression"},
    "forest": {"objective": "regression"} | FOREST,
    "two": {"objective": "binary"},
    "three": {"objective": "multiclass", "num_class": 3},
    "zeros": {"objective": "regression", "zero_as_missing": True},
}


def rows(count, seed, most=60):
    """Numbers, one of them often zero and one never missing, and two columns of categories."""
    random = np.random.default_rng(seed)
    made = random.normal(size=(count, 5))
    made[:, 1], made[:, 4] = random.integers(0, most, count), random.integers(0, most // 8, count)
    made[random.random(count) < 0.5, 2] = 0
    made[random.random(made.shape) < 0.15] = np.nan
    made[:, 3] = random.normal(size=count)
    return made


def booster(options):
    made = rows(400, 0)
    answers = np.nan_to_num(made[:, 0]) + 2 * np.isin(made[:, 1], [3, 5, 7, 40, 50]) + (made[:, 4] % 3 == 0)
    if options["objective"] != "regression":
        answers = np.digitize(answers, [0, 1.5]) % options.get("num_class", 2)
    more = {"verbosity": -1, "min_data_per_group": 5, "cat_smooth": 1.0, "num_threads": 1}
    data = lightgbm.Dataset(made, answers, categorical_feature=[1, 4])
    return lightgbm.train(options | more, data, 20)


@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_lightgbm(name, monkeypatch):
    model = booster(CASES[name])
    trees, asked = Trees.of_text(model.model_to_string()), rows(200, 1, 150)
    asked[:3], asked[3:6, 0], asked[6:9, 0], asked[9:12, 2], asked[12:15, 1] = 0, np.inf, -np.inf, 1e-36, -1
    expected = model.predict(asked)
    np.testing.assert_allclose(trees.predict(asked), expected, rtol=0, atol=1e-12)
    monkeypatch.setattr("polymodal.plain.learners.tree_arrays.AT_ONCE", 1)
    np.testing.assert_allclose(trees.predict(asked[:9]), expected[:9], rtol=0, atol=1e-12)
    assert len(trees.predict(asked[:0])) == 0 and len(trees.words) > 1


def test_a_tree_of_one_leaf_is_a_constant():
    data = lightgbm.Dataset(np.zeros((30, 2)), np.full(30, 4.0))
    model = lightgbm.train({"verbosity": -1, "objective": "regression"}, data, 3)
    asked = np.ones((2, 2))
    np.testing.assert_allclose(Trees.of_text(model.model_to_string()).predict(asked), model.predict(asked))
