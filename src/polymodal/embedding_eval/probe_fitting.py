"""Linear models on frozen vectors, held back as much as the validation rows ask for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from polymodal.utils.progress import progress

PENALTIES = (1e4, 1e3, 1e2, 10.0, 1.0, 1e-1, 1e-2)
"""Weights of the squared coefficients beside the error, summed over rows; from much held back to little."""
STEPS = 1000
TINY = 1e-12

Rows = tuple[np.ndarray, np.ndarray]
"""Vectors ``(rows, width)`` and answers ``(rows,)``."""


def fit_classes(train: Rows, validation: Rows, quiet: bool = True) -> tuple[Any, dict[str, Any]]:
    """Logistic regression, and what was chosen: ``C``, its validation accuracy, whether it converged.

    Equal accuracies, of which few validation rows give many, are told apart by how sure the right ones were.
    """

    def score(model: Any, vectors: np.ndarray, true: np.ndarray) -> tuple[float, float]:
        sure, said = model.predict_proba(vectors), model.classes_[:, None] == true  # (classes, rows)
        known = said.any(axis=0)
        right = sure[known, said.argmax(axis=0)[known]]
        likely = np.log(right.clip(min=TINY)).mean() if known.any() else 0.0
        return float(np.mean(model.predict(vectors) == true)), float(likely)

    model, penalty, best = _best(
        lambda penalty: LogisticRegression(C=1 / penalty, max_iter=STEPS), score, train, validation, quiet
    )
    converged = bool(model[-1].n_iter_.max() < STEPS)
    return model, {"C": 1 / penalty, "validation_accuracy": best[0], "converged": converged}


def fit_numbers(train: Rows, validation: Rows, quiet: bool = True) -> tuple[Any, dict[str, Any]]:
    """Ridge regression, and what was chosen: ``alpha``, and its validation error."""

    def score(model: Any, vectors: np.ndarray, true: np.ndarray) -> tuple[float, ...]:
        return (-float(np.sqrt(np.mean((model.predict(vectors) - true) ** 2))),)

    model, penalty, best = _best(lambda penalty: Ridge(alpha=penalty), score, train, validation, quiet)
    return model, {"alpha": penalty, "validation_rmse": -best[0]}


def _best(
    make: Callable[[float], Any],
    score: Callable[[Any, np.ndarray, np.ndarray], tuple[float, ...]],
    train: Rows,
    validation: Rows,
    quiet: bool,
) -> tuple[Any, float, tuple[float, ...]]:
    """The model with the best score on ``validation``, its penalty and the score."""
    best: tuple[Any, float, tuple[float, ...]] | None = None
    penalties: Iterable[float] = PENALTIES
    for penalty in penalties if quiet else progress(penalties, "fitting the probe", len(PENALTIES)):
        model = make_pipeline(StandardScaler(), make(penalty))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # told by what is returned
            model.fit(train[0].astype(np.float64), train[1])
        found = score(model, validation[0].astype(np.float64), validation[1])
        if best is None or found > best[2]:
            best = model, penalty, found
    assert best is not None
    return best
