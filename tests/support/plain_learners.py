"""Small blocks of features and goals for plain learners, and learners fitted to them."""

from __future__ import annotations

from typing import Any

import numpy as np

from polymodal.plain.blocks import Block, Blocks, Columns
from polymodal.plain.learners import LEARNERS, Goal
from polymodal.plain.sparse import Sparse

ROWS = 90
NAMES = ("linear", "boosting", "kernel")
KINDS = ("classes", "ordered", "labels", "numbers")
EACH = [*((name, kind) for name in NAMES for kind in KINDS), ("forest", "numbers")]


def blocks_of(rows: int = ROWS, seed: int = 0) -> Blocks:
    """Numbers with missing values, a category, and words; some rows lack an input."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 4)).astype(np.float32)
    numbers[random.random(numbers.shape) < 0.1] = np.nan
    present = random.random(rows) > 0.15
    numbers[~present] = np.nan
    codes = random.integers(0, 3, size=(rows, 1)).astype(np.float32)
    codes[::7] = np.nan
    words = random.random((rows, 12)) * (random.random((rows, 12)) < 0.3)
    words[~present[::-1]] = 0
    return {
        "size": Block(numbers, present, Columns(tuple("abcd"), "number")),
        "kind": Block(codes, ~np.isnan(codes[:, 0]), Columns(("kind",), "category", 3)),
        "note/words": Block(
            Sparse.of(words.astype(np.float32)), present[::-1], Columns(tuple("abcdefghijkl"), "sparse")
        ),
    }


def goal_of(kind: str, blocks: Blocks) -> Goal:
    """Answers that depend on the first number and the category."""
    signal = np.nan_to_num(blocks["size"].values[:, 0]) + np.nan_to_num(blocks["kind"].values[:, 0])
    if kind == "numbers":
        return Goal("numbers", signal.astype(float), 1)
    if kind == "labels":
        return Goal("labels", np.stack([signal > 0, signal > 1, signal > 99], axis=1).astype(float), 3)
    return Goal(kind, np.digitize(signal, [0.3, 1.3]), 4)  # the last class has no rows


def fitted(name: str, blocks: Blocks, goal: Goal, **options: Any) -> Any:
    """A learner of some name."""
    return LEARNERS[name]().fit(blocks, goal, seed=0, threads=1, **options)


def removed(blocks: Blocks, name: str) -> Blocks:
    """The blocks, one input of which is missing in all rows."""
    block = blocks[name]
    nothing = np.zeros(len(block), dtype=bool)
    empty = np.full(block.values.shape, np.nan, np.float32)
    values = Sparse.zeros(block.values.shape) if block.columns.kind == "sparse" else empty
    return blocks | {name: Block(values, nothing, block.columns)}
