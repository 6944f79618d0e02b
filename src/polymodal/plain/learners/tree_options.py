"""Options of LightGBM by the size of a table."""

from __future__ import annotations

import numpy as np

from polymodal.plain.learners.goal import Goal
from polymodal.utils.records import Settings

FEWEST_ROWS = 10
"""With fewer rows none are held out, and each tree is fitted to all."""
FEW_COLUMNS = 4
"""A tree sees at least so many columns: what two give together is found by trees that see both."""
MANY_COLUMNS = 128
"""Above it a tree sees fewer of the columns, in fewer bins: its time is that of their histograms."""
MIDDLE = 2000
"""From so many rows trees have 31 leaves, below 15."""
SMALL = 2_000_000
"""Cells of a matrix up to which one thread is faster than several, which wait for each other."""


def options_by_size(goal: Goal, seed: int, threads: int | None, columns: int) -> Settings:
    """Options of LightGBM by the size of the table.

    Few rows: small trees, each of a part of the rows and columns, so that single rows decide little.
    """
    rows, classes = len(goal), goal.outputs if goal.kind != "numbers" else 1
    share = 0.7 if columns <= MANY_COLUMNS else 0.3
    options: Settings = {
        "objective": "regression" if goal.kind == "numbers" else "multiclass" if classes > 2 else "binary",
        "num_leaves": 15 if rows < MIDDLE else 31,
        "min_data_in_leaf": int(np.clip(rows // 50, 3, 20)),
        "min_data_per_group": int(np.clip(rows // 20, 5, 10)),
        "feature_fraction": min(1.0, max(share, FEW_COLUMNS / max(columns, 1))),
        "bagging_fraction": 0.8 if rows >= FEWEST_ROWS else 1.0,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads_for(threads, rows * columns),
        "verbosity": -1,
    }
    if goal.kind == "numbers":  # by default categories of fewer than 10 rows are no part of a split
        options |= {"metric": ["l2", "l1"], "cat_smooth": 2.0, "cat_l2": 15.0}
    return options | ({"num_class": classes} if classes > 2 else {})


def threads_for(wanted: int | None, cells: int) -> int:
    """Threads of LightGBM; 0: as many as it likes."""
    return wanted or (1 if cells <= SMALL else 0)
