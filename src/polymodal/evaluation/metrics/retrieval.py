"""How well one input's vectors find those of another: recall, median rank, mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from polymodal.evaluation.statistics.bootstrap import Bootstrap

AT = (1, 5, 10)
AT_ONCE = 2**24
"""Similarities that are in memory together."""
MOST_QUERIES = 20_000
"""Of more, so many are drawn by the seed: they say as much, and each is compared with every candidate."""


def retrieval(
    queries: np.ndarray,
    candidates: np.ndarray,
    query_contents: np.ndarray,
    candidate_contents: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Rank all candidates for every query by cosine similarity, and say how far up the right ones stand.

    Right is what has the query's content: rows that share a caption or a picture are right for each other,
    and not mistakes. A wrong candidate that is as similar as the right one stands before it, so that equal
    vectors are worth nothing. Queries without a right candidate are left out.

    Args:
        queries: ``(queries, width)``.
        candidates: ``(candidates, width)``.
        query_contents: ``(queries,)``, what each stands for.
        candidate_contents: ``(candidates,)``, of the same kind.
        groups: ``(queries,)`` what hangs together; by default queries of one content do.
        seed: Of the resamples.

    Returns:
        ``queries`` that count, ``candidates``, ``groups``; ``recall_at_1``, ``recall_at_5`` and
        ``recall_at_10`` (the share of queries with a right candidate among the first), ``median_rank`` of
        the first right one, and ``map`` (mean average precision; Manning, Raghavan & Schütze 2008, section
        8.4), an estimate each; and ``chance``, the expected recall of candidates in random order.

    Raises:
        ValueError: If the shapes do not belong together, or no query has a right candidate.
    """
    _check(queries, candidates, query_contents, candidate_contents)
    contents = np.unique(np.concatenate([query_contents, candidate_contents]), return_inverse=True)[1]
    own, others = contents[: len(queries)], contents[len(queries) :]
    order = np.argsort(others, kind="stable")
    places = np.split(order, np.searchsorted(others[order], np.arange(1, contents.max() + 1)))
    right = [places[content] for content in own]
    return ranked(queries, candidates, right, own if groups is None else np.asarray(groups), seed=seed)


def ranked(
    queries: np.ndarray,
    candidates: np.ndarray,
    right: Sequence[np.ndarray],
    groups: np.ndarray,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """The same where each query's ``right`` candidates are named by their places, perhaps none.

    Raises:
        ValueError: If no query has a right candidate.
    """
    kept = np.flatnonzero([len(places) for places in right])
    if not len(kept):
        raise ValueError("no query has a candidate of its content")
    if len(kept) > MOST_QUERIES:
        kept = np.sort(np.random.default_rng(seed).choice(kept, MOST_QUERIES, replace=False))
    wanted = [right[int(place)] for place in kept]
    ranks, precision = _ranks(_unit(queries[kept]), _unit(candidates), wanted)
    bootstrap = Bootstrap(groups[kept], seed=seed)
    found: dict[str, Any] = {
        "queries": len(kept), "candidates": len(candidates), "groups": bootstrap.count,
    }  # fmt: skip
    for place in AT:
        found[f"recall_at_{place}"] = _mean((ranks <= place).astype(float), bootstrap)
    found["median_rank"] = bootstrap.estimate(np.median(ranks), _medians(ranks, bootstrap))
    found["map"] = _mean(precision, bootstrap)
    counts = np.array([len(places) for places in wanted])
    found["chance"] = {
        f"recall_at_{place}": float(np.mean(_by_chance(counts, len(candidates), place))) for place in AT
    }
    return found


def both_ways(
    first: np.ndarray,
    second: np.ndarray,
    first_contents: np.ndarray,
    second_contents: np.ndarray,
    *,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """:func:`retrieval` of the second by the first, and of the first by the second; rows belong together.

    What stands in several rows is one query and one candidate, with the vector of its first row, and right
    for it is whatever stands beside it in any row: five captions of a picture are all right for it. Queries
    that share a right candidate, be it by way of others, are drawn together.

    Args:
        first: ``(rows, width)``.
        second: ``(rows, width)``.
        first_contents: ``(rows,)``.
        second_contents: ``(rows,)``.
        seed: Of the resamples.

    Raises:
        ValueError: If the shapes do not belong together, or there are no rows.
    """
    _check(first, second, first_contents, second_contents)
    places, own = np.unique(first_contents, return_index=True, return_inverse=True)[1:]
    places_beside, beside = np.unique(second_contents, return_index=True, return_inverse=True)[1:]
    pairs = np.unique(np.stack([own, beside], axis=1), axis=0)
    size = len(places) + len(places_beside)
    edges = np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1] + len(places))
    groups = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1]
    there, back = _beside(pairs, len(places)), _beside(pairs[:, ::-1], len(places_beside))
    return (
        ranked(first[places], second[places_beside], there, groups[: len(places)], seed=seed),
        ranked(second[places_beside], first[places], back, groups[len(places) :], seed=seed),
    )


def _beside(pairs: np.ndarray, count: int) -> list[np.ndarray]:
    """For each of ``count`` contents those that stand beside it; ``pairs`` ``(pairs, 2)``."""
    ordered = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return np.split(ordered[:, 1], np.searchsorted(ordered[:, 0], np.arange(1, count)))


def _check(queries: Any, candidates: Any, own: Any, others: Any) -> None:
    if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
        raise ValueError(f"expected vectors of one width, got {queries.shape} and {candidates.shape}")
    if (len(own), len(others)) != (len(queries), len(candidates)):
        raise ValueError(f"expected a content a vector, got {len(own)} and {len(others)}")


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def _ranks(
    queries: np.ndarray, candidates: np.ndarray, right: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each query the place of its first right candidate, from 1, and its average precision."""
    ranks, precision = np.empty(len(queries)), np.empty(len(queries))
    block = max(1, AT_ONCE // len(candidates))
    for start in range(0, len(queries), block):
        similar = queries[start : start + block] @ candidates.T
        for number, line in enumerate(similar, start=start):
            found, wrong = -np.sort(-line[right[number]]), np.delete(line, right[number])
            if len(found) == 1:  # counting takes a tenth of the time that sorting takes
                before = np.array([np.count_nonzero(wrong >= found)])
            else:
                before = len(wrong) - np.searchsorted(np.sort(wrong), found, side="left")
            order = np.arange(1, len(found) + 1)
            ranks[number], precision[number] = before[0] + 1, np.mean(order / (order + before))
    return ranks, precision


def _mean(values: np.ndarray, bootstrap: Bootstrap) -> dict[str, float | None]:
    sums = bootstrap.resample(np.stack([values, np.ones_like(values)], axis=1))
    return bootstrap.estimate(values.mean(), sums[:, 0] / sums[:, 1])


def _medians(ranks: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """``(samples,)`` medians of resampled queries: the smallest rank that half of them do not exceed."""
    order = np.argsort(ranks, kind="stable")
    drawn = bootstrap.weights[:, bootstrap.codes[order]].cumsum(axis=1)
    return ranks[order][(drawn >= drawn[:, -1:] / 2).argmax(axis=1)]


def _by_chance(right: np.ndarray, candidates: int, place: int) -> np.ndarray:
    """The chance that one of ``right`` is among ``place`` of all drawn without replacement."""
    lost = np.ones(len(right))
    for drawn in range(min(place, candidates)):
        lost *= np.clip(candidates - right - drawn, 0, None) / (candidates - drawn)
    return 1 - lost
