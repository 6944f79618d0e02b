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

from polymodal.training.progress import progress

PENALTIES = (1e4, 1e3, 1e2, 10.0, 1.0, 1e-1, 1e-2)
"""Weights of the squared coefficients beside the error, summed over rows; from much held back to little."""
STEPS = 1000

Rows = tuple[np.ndarray, np.ndarray]
"""Vectors ``(rows, width)`` and answers ``(rows,)``."""


def fit_classes(train: Rows, validation: Rows, quiet: bool = True) -> tuple[Any, dict[str, Any]]:
    """Logistic regression, and what was chosen: ``C``, its validation accuracy, whether it converged."""
    model, penalty, score = _best(
        lambda penalty: LogisticRegression(C=1 / penalty, max_iter=STEPS),
        lambda said, true: float(np.mean(said == true)),
        train, validation, quiet,
    )  # fmt: skip
    converged = bool(model[-1].n_iter_.max() < STEPS)
    return model, {"C": 1 / penalty, "validation_accuracy": score, "converged": converged}


def fit_numbers(train: Rows, validation: Rows, quiet: bool = True) -> tuple[Any, dict[str, Any]]:
    """Ridge regression, and what was chosen: ``alpha``, and its validation error."""
    model, penalty, score = _best(
        lambda penalty: Ridge(alpha=penalty),
        lambda said, true: -float(np.sqrt(np.mean((said - true) ** 2))),
        train, validation, quiet,
    )  # fmt: skip
    return model, {"alpha": penalty, "validation_rmse": -score}


def _best(
    make: Callable[[float], Any],
    score: Callable[[np.ndarray, np.ndarray], float],
    train: Rows,
    validation: Rows,
    quiet: bool,
) -> tuple[Any, float, float]:
    """The model with the best score on ``validation``, of equals the one that is held back most."""
    best: tuple[Any, float, float] | None = None
    penalties: Iterable[float] = PENALTIES
    for penalty in penalties if quiet else progress(penalties, "fitting the probe", len(PENALTIES)):
        model = make_pipeline(StandardScaler(), make(penalty))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # told by what is returned
            model.fit(train[0].astype(np.float64), train[1])
        found = score(model.predict(validation[0].astype(np.float64)), validation[1])
        if best is None or found > best[2]:
            best = model, penalty, found
    assert best is not None
    return best
