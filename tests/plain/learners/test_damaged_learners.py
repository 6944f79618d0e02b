"""Files of learners that a fit does not write, and blocks that do not fit: one line each."""

import json
import shutil
from functools import cache

import numpy as np
import pytest

from polymodal.errors import RunError
from polymodal.plain.learners import LEARNERS
from tests.support.plain_learners import blocks_of, fitted, goal_of

pytestmark = pytest.mark.usefixtures("few_trees")


def changed_arrays(path, **arrays):
    with np.load(path) as content:
        known = {name: content[name] for name in content.files}
    with path.open("wb") as file:
        np.savez(file, **known | arrays)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """By name the folder of a learner, which is fitted once."""

    @cache
    def saved(name):
        blocks, folder = blocks_of(40), tmp_path_factory.mktemp(name) / "learner"
        fitted(name, blocks, goal_of("classes", blocks)).save(folder)
        LEARNERS[name].load(folder)
        return folder

    return saved


@pytest.mark.parametrize(
    ("name", "file", "arrays"),
    [
        ("linear", "fitted", {"classes0": np.arange(9)}),
        ("linear", "fitted", {"classes0": np.array([0, 1, -1])}),
        ("linear", "fitted", {"prior0": np.ones(3)}),
        ("linear", "fitted", {"numbers0": np.full(4, np.nan)}),
        ("linear", "part0", {"coefficients": np.ones((3, 3))}),
        ("linear", ".", {"block0/centre": np.ones(9)}),
        ("linear", ".", {"block0/centre": np.full(4, 1e300)}),
        ("linear", ".", {"block0/scale": np.full(4, 1e-300)}),
        ("linear", ".", {"block1/codes": np.array([[9, 1]])}),
        ("kernel", "part0", {"vectors": np.ones((5, 2))}),
        ("kernel", "part0", {"duals": np.ones((5, 2))}),
        ("kernel", "part0", {"biases": np.ones(7)}),
        ("boosting", ".", {"basis2": np.ones((12, 2))}),
    ],
)
def test_arrays_of_a_wrong_shape_are_refused(name, file, arrays, whole, tmp_path):
    shutil.copytree(whole(name), tmp_path / "learner")
    changed_arrays(tmp_path / "learner" / file / "arrays.npz", **arrays)
    with pytest.raises(RunError, match="no plain model"):
        LEARNERS[name].load(tmp_path / "learner")


def test_scales_of_another_kind_of_block_are_one_line():
    blocks = blocks_of()
    learner = fitted("boosting", blocks, goal_of("numbers", blocks))
    learner.reduction.scales["note/words"] = np.ones((2, 12))
    with pytest.raises(RunError, match="of another kind"):
        learner.predict(blocks)


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        *(
            ("linear", "fitted", change, "no plain model")
            for change in ({"kind": "foo"}, {"outputs": 0}, {"models": []}, {"kind": "numbers"})
        ),
        *(
            ("kernel", "part0", change, "out of range")
            for change in ({"gamma": -1.0}, {"gamma": 1e999}, {"slope": 0.0})
        ),
    ],
)
def test_settings_that_no_fit_writes_are_refused(name, file, change, message, whole, tmp_path):
    shutil.copytree(whole(name), tmp_path, dirs_exist_ok=True)
    path = tmp_path / file / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunError, match=message):
        LEARNERS[name].load(tmp_path)
