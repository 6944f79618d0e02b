"""The scikit-learn estimators: tables with missing cells and texts, pipelines, pickles, estimator checks."""

import gc
import pickle
import warnings
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import polymodal as pm
from polymodal.config.overrides import apply_settings
from polymodal.plain.learners import LEARNERS
from polymodal.plain.model import PlainModel


@pytest.fixture(autouse=True)
def linear_alone():
    """Of the plain models one: the checks fit some two hundred times."""
    with mock.patch.object(PlainModel, "kinds", {"linear": LEARNERS["linear"]}):
        yield


def make_table(rows=60):
    random = np.random.default_rng(0)
    note = np.where(random.random(rows) < 0.5, "a bright garden", "a dark cellar")
    rooms = random.integers(1, 8, rows).astype(float)
    rooms[::9] = np.nan
    table = pd.DataFrame({"rooms": rooms, "note": note})
    bright = np.char.find(note.astype(str), "bright") >= 0
    return table, np.where(bright, "up", "down"), np.where(bright, 10.0, 0.0) + np.nan_to_num(rooms, nan=4)


def test_a_classifier_reads_texts_and_missing_cells():
    X, y, _ = make_table()
    model = pm.PolymodalClassifier(random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["down", "up"] and model.n_features_in_ == 2
    assert model.feature_names_in_.tolist() == ["rooms", "note"]
    shares = model.predict_proba(X)
    assert shares.shape == (60, 2) and np.allclose(shares.sum(axis=1), 1)
    assert model.score(X, y) == 1 and (model.predict(X) == model.classes_[shares.argmax(axis=1)]).all()
    assert model.run_.evaluate(X.assign(target=(y == "up").astype(int).astype(str)), quiet=True)


def test_a_regressor_takes_weights_and_pickles():
    X, _, y = make_table()
    model = pm.PolymodalRegressor(random_state=0).fit(X, y, sample_weight=np.linspace(0.5, 1, len(y)))
    assert model.score(X, y) > 0.9
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-6)
    assert clone(model).get_params() == model.get_params()
    folder = model.run_.folder
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del model
        gc.collect()
    assert not folder.exists() and again.run_.folder.exists()


def test_cross_validation_and_pipelines():
    X, y, _ = make_table()
    assert cross_val_score(pm.PolymodalClassifier(random_state=0), X, y, cv=2).mean() > 0.9
    numbers = np.random.default_rng(0).normal(size=(40, 3))
    pipeline = make_pipeline(StandardScaler(), pm.PolymodalRegressor(random_state=0))
    assert pipeline.fit(numbers, numbers[:, 0]).score(numbers, numbers[:, 0]) > 0.9


def test_sections_of_settings_go_over_those_of_the_estimator_key_by_key():
    given = {"data": {"validation": 0.25}, "data.seed": 3, "inputs": {"x": {"modality": "category"}}}
    estimator = pm.PolymodalClassifier(settings=given)
    estimator._target = "target"
    values = {}
    apply_settings(values, estimator._all_settings(np.zeros((4, 2)), pd.DataFrame({"x": [], "y": []})))
    assert values["data"] == {"validation": 0.25, "test": 0.0, "split": None, "seed": 3}
    assert values["inputs"] == {"x": {"modality": "category"}, "y": {"modality": "number"}}
    assert values["targets"] == {"target": {"task": "classification"}} and not values["report"]["write"]


def test_what_is_wrong_is_one_line():
    X, y, _ = make_table(20)
    with pytest.raises(ValueError, match="1 class"):
        pm.PolymodalClassifier().fit(X, ["a"] * 20)
    with pytest.raises(ValueError, match="there is no preset 'fats'"):
        pm.PolymodalClassifier(preset="fats").fit(X, y)
    with pytest.raises(ValueError, match="expected a dict"):
        pm.PolymodalClassifier(settings="train.epochs=3").fit(X, y)


HELD_OUT = "a share of the rows is held out, so that a row twice is not a row of twice the weight"
FAILING: dict[str, str] = {
    "check_sample_weight_equivalence_on_dense_data": HELD_OUT,
}
"""Checks that are expected to fail, with the reason."""


@pytest.mark.slow
@parametrize_with_checks(
    [pm.PolymodalClassifier(random_state=0), pm.PolymodalRegressor(random_state=0)],
    expected_failed_checks=lambda estimator: FAILING,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
