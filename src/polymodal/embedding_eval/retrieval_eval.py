"""Retrieval of every input by every other, of a run with a shared space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from polymodal.data.tables.table import read_table
from polymodal.embedding_eval.content_ids import contents
from polymodal.embedding_eval.probe_inputs import chosen_inputs, require_space
from polymodal.embedding_eval.probe_table import Reading
from polymodal.errors import DataError, Problem, RunError
from polymodal.evaluation.metrics.retrieval import Retrieval, both_ways
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.progress import progress

ARROW = " → "
FEWEST = 2
"""Rows that have both inputs: one row alone has no wrong candidate."""


def measure_retrieval(
    run: PredictionRun, source: Any, *, inputs: Sequence[str] = (), **reading: Any
) -> dict[str, Retrieval]:
    """Every input as a query among all cells of every other, in both directions.

    The right cells are those in one row with the query's content; a content of several rows is one query and
    one candidate. A pair of inputs that fewer than two rows have is skipped.

    Args:
        run: Shares a space.
        source: A table.
        inputs: Of the run, two or more; by default all.
        reading: See :class:`Reading`.

    Returns:
        By ``photo → note``, inputs in declared order.

    Raises:
        RunError: If the run shares no space, or has no input of ``inputs``.
        DataError: If the table or a cell of it cannot be read.
        PolymodalError: If a vector is not of finite numbers.
    """
    require_space(run, "retrieval")
    names = chosen_inputs(run, inputs)
    if len(names) < 2:
        raise RunError(f"{run.folder}: retrieval takes two inputs, and there is but '{names[0]}'")
    request = Reading(**reading)
    table = request.table(run, source)
    vectors = request.vectors(run, table)
    pairs = [pair for pair in combinations(names, 2) if _both(vectors.has, pair).sum() >= FEWEST]
    used = [name for name in names if any(name in pair for pair in pairs)]
    known = {name: contents(run, table, name, vectors.has[name], request.quiet) for name in used}
    result: dict[str, Retrieval] = {}
    for first, second in pairs if request.quiet else progress(pairs, "ranking", len(pairs)):
        rows = np.flatnonzero(_both(vectors.has, (first, second)))
        values = [part[name][rows] for part in (vectors.inputs, known) for name in (first, second)]
        ways = both_ways(*values, seed=request.seed)
        for name, way in zip((f"{first}{ARROW}{second}", f"{second}{ARROW}{first}"), ways, strict=True):
            result[name] = replace(way, rows=len(rows))
    return result


def required_retrieval(run: PredictionRun, source: Any, **options: Any) -> dict[str, Retrieval]:
    """Retrieval of every input by every other (:func:`measure_retrieval`), of at least one pair.

    Raises:
        DataError: If no two inputs have two rows in common.
    """
    table = read_table(source)
    result = measure_retrieval(run, table, **options)
    if not result:
        what = "no two inputs stand together in two rows"
        raise DataError(Problem(file=table.name, found=what, expected="rows that have both of a pair"))
    return result


def _both(has: dict[str, np.ndarray], pair: tuple[str, str]) -> np.ndarray:
    return has[pair[0]] & has[pair[1]]
