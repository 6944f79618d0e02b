"""Retrieval of one input's vectors by those of another: recall, median rank, mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate
from polymodal.utils.records import OPTIONAL, Record

AT = (1, 5, 10)
AT_ONCE = 2**24
"""Similarities that are in memory together."""
MOST_QUERIES = 20_000
"""The size of the sample of more queries, each of which is compared with every candidate."""


@dataclass(frozen=True, kw_only=True)
class Recalls(Record):
    """The share of queries with a right candidate among the first, from 0 to 1.

    Attributes:
        recall_at_1: Among the first.
        recall_at_5: Among the first 5.
        recall_at_10: Among the first 10.
    """

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float


@dataclass(frozen=True, kw_only=True)
class Retrieval(Record):
    """Retrieval of candidates by queries.

    Attributes:
        rows: Number of rows that have both inputs; None where the vectors are of no table.
        queries: Number of queries with a right candidate.
        candidates: Number of candidates.
        groups: Number of clusters that were resampled.
        recall_at_1: The share of queries whose first candidate is right.
        recall_at_5: The share of queries with a right candidate among the first 5.
        recall_at_10: The same among the first 10.
        median_rank: The median rank of the first right candidate, from 1.
        map: Mean average precision (Manning, Raghavan & Schütze 2008, section 8.4).
        chance: The expected recall of candidates in random order.
    """

    rows: int | None = field(default=None, metadata=OPTIONAL)
    queries: int
    candidates: int
    groups: int
    recall_at_1: Estimate
    recall_at_5: Estimate
    recall_at_10: Estimate
    median_rank: Estimate
    map: Estimate
    chance: Recalls


def retrieval(
    queries: np.ndarray,
    candidates: np.ndarray,
    query_contents: np.ndarray,
    candidate_contents: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Retrieval:
    """Rank all candidates for every query by cosine similarity, and measure the ranks of the right ones.

    A candidate is right if it has the query's content: rows that share a caption or an image are right for
    each other. A wrong candidate that is as similar as the right one is ranked before it, so that equal
    vectors score no better than chance. Queries without a right candidate are skipped.

    Args:
        queries: ``(queries, width)``.
        candidates: ``(candidates, width)``.
        query_contents: ``(queries,)`` content ids.
        candidate_contents: ``(candidates,)`` content ids, of the same kind.
        groups: ``(queries,)`` cluster ids; by default queries of one content form a cluster.
        seed: Of the resamples.

    Raises:
        ValueError: If the shapes do not fit together, or no query has a right candidate.
    """
    _check(queries, candidates, query_contents, candidate_contents)
    contents = np.unique(np.concatenate([query_contents, candidate_contents]), return_inverse=True)[1]
    own, others = contents[: len(queries)], contents[len(queries) :]
    order = np.argsort(others, kind="stable")
    indices = np.split(order, np.searchsorted(others[order], np.arange(1, contents.max() + 1)))
    right = [indices[content] for content in own]
    return ranked(queries, candidates, right, own if groups is None else np.asarray(groups), seed=seed)


def ranked(
    queries: np.ndarray,
    candidates: np.ndarray,
    right: Sequence[np.ndarray],
    groups: np.ndarray,
    *,
    seed: int = 0,
) -> Retrieval:
    """As :func:`retrieval`, with the indices of each query's ``right`` candidates, perhaps none.

    Raises:
        ValueError: If no query has a right candidate.
    """
    kept = np.flatnonzero([len(indices) for indices in right])
    if not len(kept):
        raise ValueError("no query has a candidate of its content")
    if len(kept) > MOST_QUERIES:
        kept = np.sort(np.random.default_rng(seed).choice(kept, MOST_QUERIES, replace=False))
    wanted = [right[int(index)] for index in kept]
    ranks, precision = _ranks(_unit(queries[kept]), _unit(candidates), wanted)
    bootstrap = Bootstrap(groups[kept], seed=seed)
    counts = np.array([len(indices) for indices in wanted])
    recalls = [_mean((ranks <= first).astype(float), bootstrap) for first in AT]
    chances = [float(np.mean(_by_chance(counts, len(candidates), first))) for first in AT]
    return Retrieval(
        queries=len(kept),
        candidates=len(candidates),
        groups=bootstrap.count,
        recall_at_1=recalls[0],
        recall_at_5=recalls[1],
        recall_at_10=recalls[2],
        median_rank=bootstrap.estimate(np.median(ranks), _medians(ranks, bootstrap)),
        map=_mean(precision, bootstrap),
        chance=Recalls(recall_at_1=chances[0], recall_at_5=chances[1], recall_at_10=chances[2]),
    )


def both_ways(
    first: np.ndarray,
    second: np.ndarray,
    first_contents: np.ndarray,
    second_contents: np.ndarray,
    *,
    seed: int = 0,
) -> tuple[Retrieval, Retrieval]:
    """:func:`retrieval` of the second by the first, and of the first by the second, of paired rows.

    A content of several rows is one query and one candidate, with the vector of its first row, and its right
    candidates are those paired with it in any row: five captions of an image are all right for it. Queries
    that share a right candidate, directly or through others, form a cluster.

    Args:
        first: ``(rows, width)``.
        second: ``(rows, width)``.
        first_contents: ``(rows,)``.
        second_contents: ``(rows,)``.
        seed: Of the resamples.

    Raises:
        ValueError: If the shapes do not fit together, or there are no rows.
    """
    _check(first, second, first_contents, second_contents)
    indices, own = np.unique(first_contents, return_index=True, return_inverse=True)[1:]
    indices_beside, beside = np.unique(second_contents, return_index=True, return_inverse=True)[1:]
    pairs = np.unique(np.stack([own, beside], axis=1), axis=0)
    size = len(indices) + len(indices_beside)
    edges = np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1] + len(indices))
    groups = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1]
    there, back = _beside(pairs, len(indices)), _beside(pairs[:, ::-1], len(indices_beside))
    return (
        ranked(first[indices], second[indices_beside], there, groups[: len(indices)], seed=seed),
        ranked(second[indices_beside], first[indices], back, groups[len(indices) :], seed=seed),
    )


def _beside(pairs: np.ndarray, count: int) -> list[np.ndarray]:
    """For each of ``count`` contents those paired with it; ``pairs`` ``(pairs, 2)``."""
    ordered = pairs[np.argsort(pairs[:, 0], kind="stable")]
    return np.split(ordered[:, 1], np.searchsorted(ordered[:, 0], np.arange(1, count)))


def _check(queries: np.ndarray, candidates: np.ndarray, own: np.ndarray, others: np.ndarray) -> None:
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
    """By query the rank of its first right candidate, from 1, and its average precision."""
    ranks, precision = np.empty(len(queries)), np.empty(len(queries))
    block = max(1, AT_ONCE // len(candidates))
    for start in range(0, len(queries), block):
        similar = queries[start : start + block] @ candidates.T
        for number, line in enumerate(similar, start=start):
            right_scores, wrong = -np.sort(-line[right[number]]), np.delete(line, right[number])
            if len(right_scores) == 1:  # counting takes a tenth of the time that sorting takes
                before = np.array([np.count_nonzero(wrong >= right_scores)])
            else:
                before = len(wrong) - np.searchsorted(np.sort(wrong), right_scores, side="left")
            order = np.arange(1, len(right_scores) + 1)
            ranks[number], precision[number] = before[0] + 1, np.mean(order / (order + before))
    return ranks, precision


def _mean(values: np.ndarray, bootstrap: Bootstrap) -> Estimate:
    sums = bootstrap.resample(np.stack([values, np.ones_like(values)], axis=1))
    return bootstrap.estimate(values.mean(), sums[:, 0] / sums[:, 1])


def _medians(ranks: np.ndarray, bootstrap: Bootstrap) -> np.ndarray:
    """``(samples,)`` medians of resampled queries: the smallest rank that half of them do not exceed."""
    order = np.argsort(ranks, kind="stable")
    drawn = bootstrap.weights[:, bootstrap.codes[order]].cumsum(axis=1)
    return ranks[order][(drawn >= drawn[:, -1:] / 2).argmax(axis=1)]


def _by_chance(right: np.ndarray, candidates: int, first: int) -> np.ndarray:
    """The chance that one of ``right`` is among the ``first`` of all drawn without replacement."""
    lost = np.ones(len(right))
    for drawn in range(min(first, candidates)):
        lost *= np.clip(candidates - right - drawn, 0, None) / (candidates - drawn)
    return 1 - lost
