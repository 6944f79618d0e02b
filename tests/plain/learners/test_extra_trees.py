"""Extremely randomized trees of many classes."""

import numpy as np
import pytest

from polymodal.errors import RunError
from polymodal.plain.blocks import Block, Blocks, Columns
from polymodal.plain.learners import LEARNERS, ExtraTreesLearner, Goal, extra_trees
from polymodal.plain.model import PlainModel
from polymodal.plain.storage import read_state, write_state

SIDE, ROWS = 11, 900


def blocks_of(seed: int = 0) -> tuple[Blocks, np.ndarray]:
    """Locations, and the cell of a grid that each is in; some rows lack a third number."""
    random = np.random.default_rng(seed)
    values = random.uniform(0, SIDE, size=(ROWS, 3)).astype(np.float32)
    cells = np.floor(values[:, 0]).astype(int) * SIDE + np.floor(values[:, 1]).astype(int)
    values[random.random(ROWS) < 0.1, 2] = np.nan
    return {"at": Block(values, np.ones(ROWS, bool), Columns(tuple("xyz"), "number"))}, cells


@pytest.fixture(scope="module")
def learner() -> ExtraTreesLearner:
    blocks, cells = blocks_of()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extra_trees, "TREES", 20)
        return ExtraTreesLearner().fit(blocks, Goal("classes", cells, SIDE**2 + 2), seed=0, threads=1)


def test_cells_of_a_grid_are_found_saved_and_read_again(learner, tmp_path):
    blocks, cells = blocks_of(1)
    found = learner.predict(blocks)
    assert (found.argmax(axis=1) == cells).mean() > 0.6
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    assert found.min() > 0  # two classes have no rows
    learner.save(tmp_path / "learner")
    again = LEARNERS["extra_trees"].load(tmp_path / "learner")
    np.testing.assert_allclose(again.predict(blocks), found, atol=1e-12)
    one = {"at": blocks["at"].rows(np.array([5]))}
    np.testing.assert_allclose(again.predict(one)[0], found[5], atol=1e-12)
    assert {path.suffix for path in tmp_path.rglob("*.*") if path.is_file()} == {".json", ".npz"}


@pytest.mark.parametrize("name", ["left", "feature", "edges", "classes", "roots", "prior", "shares"])
def test_damaged_nodes_are_one_line(learner, name, tmp_path):
    learner.save(tmp_path / "learner")
    part = tmp_path / "learner" / "part0"
    settings, arrays = read_state(part)
    changed = np.zeros_like(arrays[name]) if name in ("left", "edges") else arrays[name][:-1]
    changed = arrays[name] + 10**6 if name in ("feature", "classes", "roots") else changed
    write_state(part, settings, arrays | {name: changed})
    with pytest.raises(RunError, match="no plain model"):
        ExtraTreesLearner.load(tmp_path / "learner")


def test_trees_of_many_rows_have_fewer_leaves(learner, monkeypatch):
    assert extra_trees._leaves(900, SIDE**2 + 2, 20) is None
    for rows, classes in [(50_000, 101), (49_999, 101), (200_000, 200), (200_000, 2000), (10**7, 5000)]:
        trees = extra_trees._trees(rows)
        leaves = extra_trees._leaves(rows, classes, trees) or rows
        assert trees * (2 * leaves - 1) <= extra_trees.MOST_NODES
        assert (2 * leaves - 1) * classes <= extra_trees.MOST_VALUES
        assert trees * rows <= extra_trees.MOST_ENTRIES
    blocks, cells = blocks_of()
    goal = Goal("classes", cells, SIDE**2 + 2)
    monkeypatch.setattr(extra_trees, "MOST_NODES", 8000)  # fewer than 20 trees that are fully grown have
    model = ExtraTreesLearner().fit(blocks, goal, seed=0, threads=1).fitted.parts[0].model
    full = learner.fitted.parts[0].model
    assert len(full.feature) > 8000 >= len(model.feature) > 4000
    assert len(model.roots) == len(full.roots) == 20
    assert model.feature.dtype == model.classes.dtype == model.edges.dtype == model.left.dtype == np.int32
    assert model.shares.dtype == np.float32 and model.threshold.dtype == np.float64


def test_arrays_of_earlier_versions_are_read(learner, tmp_path):
    learner.save(tmp_path / "learner")
    part = tmp_path / "learner" / "part0"
    settings, arrays = read_state(part)
    wide = {
        name: array.astype(np.int64 if array.dtype.kind == "i" else float) for name, array in arrays.items()
    }
    write_state(part, settings, wide)
    blocks, _ = blocks_of(1)
    np.testing.assert_array_equal(
        ExtraTreesLearner.load(tmp_path / "learner").predict(blocks), learner.predict(blocks)
    )


def test_only_goals_of_many_classes_have_them():
    assert ExtraTreesLearner.suits("classes", 101) and ExtraTreesLearner.suits("ordered", 500)
    assert not ExtraTreesLearner.suits("classes", 100) and not ExtraTreesLearner.suits("numbers", 1)
    model = PlainModel({})
    assert model._names(Goal("classes", np.zeros(9, int), 2)) == ("boosting", "kernel", "linear")
    assert "extra_trees" in model._names(Goal("classes", np.zeros(9, int), 200))
    assert "no columns" in ExtraTreesLearner().can_fit(Goal("classes", np.zeros(9, int), 200), {})
