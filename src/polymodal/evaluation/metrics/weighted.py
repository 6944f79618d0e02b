"""Weighted statistics: a row of weight 2 counts as two such rows. Only the ratios of the weights matter."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata

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
    edges = torch.linspace(0, 1, CALIBRATION_BINS + 1).numpy()  # as torchmetrics has them
    index = np.searchsorted(edges, confidence, side="right").clip(1, CALIBRATION_BINS)
    gap = np.bincount(index, weights * (right - confidence))
    return float(np.abs(gap).sum() / weights.sum())


def rank_correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Spearman's coefficient of weighted rows: Pearson's of the weighted middle ranks."""
    ranks = np.stack([middle_ranks(first, weights), middle_ranks(second, weights)])
    covariance = np.cov(ranks, aweights=weights, ddof=0)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def middle_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mid-ranks: for each value the weight of all smaller ones plus half the weight of its ties."""
    index = rankdata(values, method="dense").astype(int) - 1
    own = np.bincount(index, weights)
    return (np.cumsum(own) - own / 2)[index]
