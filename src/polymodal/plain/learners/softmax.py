"""Scores to probabilities."""

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """``(rows, classes)`` probabilities."""
    parts = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Their logarithms."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
