"""The rows of a request, each on its own: one that is bad fails alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from polymodal.serving.limits import Limits
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.served_run import ServedRun
from polymodal.serving.values import Given, count_media

T = TypeVar("T")


def check_size(served: ServedRun, rows: Sequence[Mapping[str, Any]], limits: Limits) -> None:
    """Refuse more rows or media than a request may hold.

    Raises:
        Refusal: Naming the limit (422).
    """
    if len(rows) > limits.rows:
        raise Refusal(422, f"{len(rows):,} rows, expected at most {limits.rows:,} in a request", param="rows")
    kinds = {each.name for each in served.inputs.values() if each.accept}
    media = sum(count_media(row[name]) for row in rows for name in kinds.intersection(row))
    if media > limits.media_per_request:
        most = limits.media_per_request
        raise Refusal(422, f"{media:,} media, expected at most {most:,} in a request", param="rows")


async def answer_items(
    served: ServedRun,
    rows: Sequence[Mapping[str, Any]],
    given: Given,
    compute: Callable[[Sequence[dict[str, Any]]], Awaitable[list[T | ItemProblem]]],
) -> list[T | ItemProblem]:
    """What ``compute`` returns for the rows that hold what they should; the problem of each other row.

    Raises:
        Refusal: If no row has an answer (422).
    """
    cells = [served.cells(row, given, number) for number, row in enumerate(rows, start=1)]
    good = [row for row, problem in cells if problem is None]
    computed = iter(await compute(good))
    results: list[T | ItemProblem] = []
    for number, (_, problem) in enumerate(cells, start=1):
        result = problem if problem is not None else next(computed)
        results.append(replace(result, row=number) if isinstance(result, ItemProblem) else result)
    problems = [result for result in results if isinstance(result, ItemProblem)]
    if len(problems) == len(results):
        raise Refusal(422, _summary(problems), problems)
    return results


def _summary(problems: Sequence[ItemProblem]) -> str:
    first = f"row {problems[0].row}: {problems[0].message}"
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"
