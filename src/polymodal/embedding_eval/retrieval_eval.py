"""How well each input of a run that shares a space finds every other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.tables.table import read_table
from polymodal.embedding_eval.content_ids import contents
from polymodal.embedding_eval.embedded_inputs import chosen_inputs, require_space
from polymodal.embedding_eval.probe_table import Reading
from polymodal.errors import DataError, Problem, RunError
from polymodal.evaluation.metrics.retrieval import both_ways
from polymodal.utils.progress import progress

if TYPE_CHECKING:
    from polymodal.run import Run

ARROW = " → "
FEWEST = 2
"""Rows that have both inputs: of one there is nothing to be mistaken for."""


def measure_retrieval(
    run: Run, source: Any, *, inputs: Sequence[str] = (), **reading: Any
) -> dict[str, dict[str, Any]]:
    """Every input as a query among all cells of every other, in both directions.

    Right are the cells that stand beside the query's content in a row; what stands in several rows is one
    query and one candidate. A pair of inputs that fewer than two rows have is left out.

    Args:
        run: Shares a space.
        source: A table.
        inputs: Of the run, two or more; by default all.
        reading: See :class:`Reading`.

    Returns:
        By ``photo → note``, inputs in declared order: what
        :func:`polymodal.evaluation.metrics.retrieval.retrieval`
        gives, and ``rows`` that have both; as JSON has it.

    Raises:
        RunError: If the run shares no space, or one of ``inputs`` is none of its own.
        DataError: If the table or a cell of it cannot be read.
        PolymodalError: If a vector is not of finite numbers.
    """
    require_space(run, "retrieval")
    names = chosen_inputs(run, inputs)
    if len(names) < 2:
        raise RunError(f"{run.folder}: retrieval takes two inputs, and there is but '{names[0]}'")
    asked = Reading(**reading)
    table = asked.table(run, source)
    vectors = asked.vectors(run, table)
    pairs = [pair for pair in combinations(names, 2) if _both(vectors.has, pair).sum() >= FEWEST]
    used = [name for name in names if any(name in pair for pair in pairs)]
    known = {name: contents(run, table, name, vectors.has[name], asked.quiet) for name in used}
    found: dict[str, dict[str, Any]] = {}
    for first, second in pairs if asked.quiet else progress(pairs, "ranking", len(pairs)):
        rows = np.flatnonzero(_both(vectors.has, (first, second)))
        values = [part[name][rows] for part in (vectors.inputs, known) for name in (first, second)]
        ways = both_ways(*values, seed=asked.seed)
        for name, way in zip((f"{first}{ARROW}{second}", f"{second}{ARROW}{first}"), ways, strict=True):
            found[name] = {"rows": len(rows), **way}
    return found


def required_retrieval(run: Run, source: Any, **asked: Any) -> dict[str, dict[str, Any]]:
    """The same, where there has to be something to measure.

    Raises:
        DataError: If no two inputs stand together in two rows.
    """
    table = read_table(source)
    found = measure_retrieval(run, table, **asked)
    if not found:
        what = "no two inputs stand together in two rows"
        raise DataError(Problem(file=table.name, found=what, expected="rows that have both of a pair"))
    return found


def _both(has: dict[str, np.ndarray], pair: tuple[str, str]) -> np.ndarray:
    return has[pair[0]] & has[pair[1]]
