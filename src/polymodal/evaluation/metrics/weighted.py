"""Weighted statistics: a row of weight 2 counts as two such rows. Only the ratios of the weights matter."""

from __future__ import annotations

import numpy as np

CALIBRATION_BINS = 15


def effective_rows(weights: np.ndarray) -> float:
    """Effective sample size of weighted rows (Kish 1965): ``(Σ w)² / Σ w²``."""
    return float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean of ``values`` ``(rows,)``."""
    return float(np.average(values, weights=weights))


def median(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted median of ``values`` ``(rows,)``; between two halves of equal weight it is their middle.

    scikit-learn's compares sums of weights without room for rounding, and misses such middles.
    """
    order = np.argsort(values, kind="stable")
    held = np.cumsum(weights[order])
    half, room = held[-1] / 2, 1e-9 * held[-1]
    sides = np.searchsorted(held, [half - room, half + room])
    return float(values[order][np.minimum(sides, len(values) - 1)].mean())


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """The mean distance of accuracy and confidence over bins of equal width, by the weights in them.

    See Guo et al. 2017, equation 3.
    """
    edges = _edges(CALIBRATION_BINS)
    index = np.searchsorted(edges, confidence.astype(np.float32), side="right").clip(1, CALIBRATION_BINS)
    gap = np.bincount(index, weights * (right - confidence))
    return float(np.abs(gap).sum() / weights.sum())


def _edges(bins: int) -> np.ndarray:
    """The edges of bins from 0 to 1, ``(bins + 1,)`` float32, as ``torch.linspace`` rounds them."""
    step, rising = np.float64(np.float32(1 / bins)), np.arange(bins + 1)
    edges = np.where(rising < (bins + 1) // 2, step * rising, 1 - step * (bins - rising))
    return edges.astype(np.float32)


def areas(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The area under the ROC curve of each column ``(columns,)``.

    The share of pairs of a positive and a negative row in which the positive one has the larger score, ties
    counting half (Mann & Whitney 1947; Hanley & McNeil 1982): of all columns at once from their ranks.

    Args:
        scores: ``(rows, columns)``.
        positive: ``(rows, columns)`` bool; each column has rows of both kinds.
        weights: ``(rows,)`` sample weights.
    """
    if weights is not None:
        from sklearn.metrics import (
            roc_auc_score,
        )  # takes seconds, as scipy.stats does: commands start without

        columns = zip(positive.T, scores.T, strict=True)
        return np.array([roc_auc_score(true, score, sample_weight=weights) for true, score in columns])
    from scipy.stats import rankdata

    count = positive.sum(axis=0)
    sums = np.where(positive, rankdata(scores, axis=0), 0).sum(axis=0)
    return (sums - count * (count + 1) / 2) / (count * (len(scores) - count))


def rank_correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Spearman's coefficient of weighted rows: Pearson's of the weighted middle ranks."""
    ranks = np.stack([middle_ranks(first, weights), middle_ranks(second, weights)])
    covariance = np.cov(ranks, aweights=weights, ddof=0)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def middle_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mid-ranks: for each value the weight of all smaller ones plus half the weight of its ties."""
    from scipy.stats import rankdata

    index = rankdata(values, method="dense").astype(int) - 1
    own = np.bincount(index, weights)
    return (np.cumsum(own) - own / 2)[index]
