"""Vectors of the items of a request, which may be compared with each other and with those of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polymodal import api
from polymodal.serving.problems import ItemProblem
from polymodal.serving.served_run import ServedRun


async def item_vectors(
    served: ServedRun, rows: Sequence[Mapping[str, Any]]
) -> list[np.ndarray | ItemProblem]:
    """The vectors ``(width,)`` of rows of cells, in their order; the problem of a row that cannot be read.

    Where the inputs of the run lie in a shared space, a row has the mean of the unit vectors of its inputs,
    of length 1: what :meth:`Run.encode` returns. Of any other run it is the vector of the fused row, as
    :meth:`Run.embed` returns it.

    Args:
        served: The run.
        rows: By input, as :meth:`ServedRun.cells` returns them.

    Raises:
        Refusal: If the run has no vectors (422).
        QueueFull: If too many rows wait.
    """
    served.require("embed")
    if not served.shares_space:
        fused = await served.embed(rows)
        return [_array(vector, number) for number, vector in enumerate(fused, start=1)]
    return await _in_space(served, rows)


async def _in_space(served: ServedRun, rows: Sequence[Mapping[str, Any]]) -> list[np.ndarray | ItemProblem]:
    """By row the mean of the unit vectors of its inputs."""
    each: list[list[np.ndarray]] = [[] for _ in rows]
    problems: dict[int, ItemProblem] = {}
    for name in served.inputs:
        having = [index for index, row in enumerate(rows) if row.get(name) is not None]
        vectors = await served.embed([{name: rows[index][name]} for index in having], name) if having else []
        for index, vector in zip(having, vectors, strict=True):
            made = _array(vector, index + 1)
            if isinstance(made, ItemProblem):
                problems.setdefault(index, made)
            else:
                each[index].append(made)
    return [
        problems[index] if index in problems else _mean(vectors, index + 1)
        for index, vectors in enumerate(each)
    ]


def _array(vector: Sequence[float] | ItemProblem | None, row: int) -> np.ndarray | ItemProblem:
    if isinstance(vector, ItemProblem):
        return ItemProblem(vector.message, row, vector.input)
    return _nothing(row) if vector is None else np.asarray(vector, dtype=np.float32)


def _mean(vectors: Sequence[np.ndarray], row: int) -> np.ndarray | ItemProblem:
    if not vectors:
        return _nothing(row)
    stacked = np.stack(vectors)[:, np.newaxis]
    return api.unit(api.mean_of_units(stacked, np.ones(stacked.shape[:2], dtype=bool)))[0]


def _nothing(row: int) -> ItemProblem:
    return ItemProblem("a row whose inputs are all empty, expected one that is filled", row)
