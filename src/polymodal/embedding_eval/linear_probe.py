"""Linear probe: a linear model fitted to frozen vectors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from polymodal.data.tables.table import Table
from polymodal.embedding_eval.probe_inputs import chosen_inputs
from polymodal.embedding_eval.probe_splits import NAMES, own_splits
from polymodal.embedding_eval.probe_table import Reading
from polymodal.embedding_eval.probe_targets import (
    Majority,
    Part,
    classes_of,
    find_task,
    is_classes,
    majority,
    part_of,
)
from polymodal.errors import DataError, Problem, RunError, option
from polymodal.evaluation.metrics.estimates import Estimates, class_estimates, number_estimates
from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.progress import progress
from polymodal.utils.records import OPTIONAL, Record, key

FEWEST = 2
PENALTIES = (1e4, 1e3, 1e2, 10.0, 1.0, 1e-1, 1e-2)
"""Weights of the squared coefficients beside the error, summed over rows; the strongest first."""
STEPS = 1000
TINY = 1e-12

Choose = Callable[[np.ndarray], np.ndarray]
"""The ground truth of the training rows → the indices of those that train."""
Rows = tuple[np.ndarray, np.ndarray]
"""Vectors ``(rows, width)`` and ground truth ``(rows,)``."""


@dataclass(frozen=True, kw_only=True)
class LogisticChoice(Record):
    """The logistic regression that was best on the validation rows.

    Attributes:
        inverse_penalty: ``C``, the inverse weight of the squared coefficients.
        validation_accuracy: On the validation rows.
        converged: Whether the fit converged.
    """

    inverse_penalty: float = field(metadata=key("C"))
    validation_accuracy: float
    converged: bool


@dataclass(frozen=True, kw_only=True)
class RidgeChoice(Record):
    """The ridge regression that was best on the validation rows.

    Attributes:
        alpha: The weight of the squared coefficients.
        validation_rmse: On the validation rows.
    """

    alpha: float
    validation_rmse: float


@dataclass(frozen=True, kw_only=True)
class MeanBaseline(Record):
    """The mean of the training rows as a baseline.

    Attributes:
        answer: The mean.
        r2: Of predicting it for every test row, as the next two.
        rmse: In the target's unit.
        mae: In the target's unit.
    """

    answer: float
    r2: float | None
    rmse: float | None
    mae: float | None


@dataclass(frozen=True, kw_only=True)
class LinearProbe(Record):
    """A linear probe, measured on the test rows.

    Attributes:
        target: The column.
        task: ``classification`` or ``regression``.
        input: Whose vectors were read; None for the fused ones.
        width: Of a vector.
        rows: Number of rows by split.
        left_out: Number of skipped rows by split and reason.
        classes: Their names; None for numbers.
        metrics: ``accuracy``, ``balanced_accuracy`` and ``macro_f1``, or ``r2``, ``rmse`` and ``mae``.
        majority: The most frequent class of the training rows; None for numbers.
        mean: The mean of the training rows; None for classes.
        chosen: The model that was best on the validation rows.
        groups: Number of clusters that were resampled.
        grouped_by: In words, by what rows were clustered.
    """

    target: str
    task: str
    input: str | None
    width: int
    rows: dict[str, int]
    left_out: dict[str, dict[str, int]]
    classes: list[str] | None = field(default=None, metadata=OPTIONAL)
    metrics: Estimates
    majority: Majority | None = field(default=None, metadata=OPTIONAL)
    mean: MeanBaseline | None = field(default=None, metadata=OPTIONAL)
    chosen: LogisticChoice | RidgeChoice
    groups: int
    grouped_by: str


def linear_probe(
    run: PredictionRun,
    source: Any,
    target: str,
    *,
    input: str | None = None,
    task: str | None = None,
    choose: Choose | None = None,
    **reading: Any,
) -> LinearProbe:
    """Fit a linear model on the run's vectors of the training rows, and measure it on the test rows.

    Logistic regression for classes, ridge regression for numbers, on standardized vectors; the penalty is
    chosen on the validation rows. The splits are those of :func:`own_splits`.

    Args:
        run: Whose vectors are read; not changed.
        source: A table with the target.
        target: A column of classes or numbers.
        input: Whose vectors to use; by default the fused ones.
        task: ``classification`` or ``regression``; by default as the run declares it, else guessed
            from the values.
        choose: Which of the labelled training rows train; by default all.
        reading: See :class:`Reading`; without ``split``.

    Raises:
        RunError: If the run has no such input, or the arguments do not fit it.
        DataError: If the table cannot be read, lacks the target, or a split has no row to use.
    """
    request = Reading(**reading)
    _require_probe(run, target, input, request)
    table = request.table(run, source)
    task = find_task(run, table, target, task)
    tables = own_splits(run, table)
    parts = {name: part_of(run, tables[name], name, target, task, input, request) for name in NAMES}
    if choose is not None:
        parts["train"] = parts["train"].select(choose(parts["train"].answers))
    if is_classes(task):
        _require_classes(table, target, parts["train"].answers)
    measure = _classes if is_classes(task) else _numbers
    test = parts["test"]
    bootstrap = Bootstrap(test.groups, seed=request.seed)
    fitted = measure(parts["train"], parts["validation"], test, bootstrap, request.quiet)
    return LinearProbe(
        target=target,
        task=task,
        input=input,
        width=test.vectors.shape[1],
        rows={name: len(part.answers) for name, part in parts.items()},
        left_out={name: part.left_out for name, part in parts.items()},
        classes=fitted.classes,
        metrics=fitted.metrics,
        majority=fitted.majority,
        mean=fitted.mean,
        chosen=fitted.chosen,
        groups=bootstrap.count,
        grouped_by=test.grouped_by,
    )


def _require_probe(run: PredictionRun, target: str, input: str | None, request: Reading) -> None:
    if request.split:
        raise RunError("a linear probe takes all splits of a table, not one")
    chosen_inputs(run, [input] if input else [])
    if target in (run.model.config.input_names if input is None else [input]):
        fix = f"Name one that does not with {option('input')}"
        raise RunError(f"{run.folder}: the vectors read '{target}' itself. {fix}")


def _require_classes(table: Table, target: str, answers: np.ndarray) -> None:
    if len(set(answers)) < FEWEST:
        reason = f"the class '{answers[0]}' in all {len(answers)} training rows"
        raise DataError(Problem(file=table.name, column=target, found=reason, expected="two classes or more"))


@dataclass(frozen=True)
class _Fitted:
    """What depends on the task; see :class:`LinearProbe`."""

    metrics: Estimates
    chosen: LogisticChoice | RidgeChoice
    classes: list[str] | None = None
    majority: Majority | None = None
    mean: MeanBaseline | None = None


def _classes(train: Part, validation: Part, test: Part, bootstrap: Bootstrap, quiet: bool) -> _Fitted:
    """A probe of classes; a class without training rows is never predicted, and its rows count as errors."""
    names = classes_of(np.concatenate([part.answers for part in (train, validation, test)]))
    index = {name: number for number, name in enumerate(names)}
    model, chosen = fit_classes(train.rows, validation.rows, quiet)
    predicted, true = (
        np.array([index[entry] for entry in part]) for part in (model.predict(test.vectors), test.answers)
    )
    common = majority(train.answers)
    return _Fitted(
        metrics=class_estimates(predicted, true, len(names), bootstrap),
        chosen=chosen,
        classes=names,
        majority=Majority(label=common, accuracy=float((test.answers == common).mean())),
    )


def _numbers(train: Part, validation: Part, test: Part, bootstrap: Bootstrap, quiet: bool) -> _Fitted:
    """A probe of numbers."""
    model, chosen = fit_numbers(train.rows, validation.rows, quiet)
    mean = float(train.answers.mean())
    plain = number_estimates(np.full(len(test.answers), mean), test.answers, bootstrap)
    return _Fitted(
        metrics=number_estimates(model.predict(test.vectors), test.answers, bootstrap),
        chosen=chosen,
        mean=MeanBaseline(answer=mean, **{name: entry.value for name, entry in plain.items()}),
    )


def fit_classes(train: Rows, validation: Rows, quiet: bool = True) -> tuple[Pipeline, LogisticChoice]:
    """Logistic regression with the penalty that is best on the validation rows.

    Ties in accuracy, which are frequent with few rows, are broken by the likelihood of the ground truth.
    """

    def score(model: Pipeline, vectors: np.ndarray, true: np.ndarray) -> tuple[float, float]:
        sure, matches = model.predict_proba(vectors), model.classes_[:, None] == true  # (classes, rows)
        known = matches.any(axis=0)
        right = sure[known, matches.argmax(axis=0)[known]]
        likely = np.log(right.clip(min=TINY)).mean() if known.any() else 0.0
        return float(np.mean(model.predict(vectors) == true)), float(likely)

    model, penalty, best = _best(
        lambda penalty: LogisticRegression(C=1 / penalty, max_iter=STEPS), score, train, validation, quiet
    )
    converged = bool(model[-1].n_iter_.max() < STEPS)
    choice = LogisticChoice(inverse_penalty=1 / penalty, validation_accuracy=best[0], converged=converged)
    return model, choice


def fit_numbers(train: Rows, validation: Rows, quiet: bool = True) -> tuple[Pipeline, RidgeChoice]:
    """Ridge regression with the penalty that is best on the validation rows."""

    def score(model: Pipeline, vectors: np.ndarray, true: np.ndarray) -> tuple[float, ...]:
        return (-float(np.sqrt(np.mean((model.predict(vectors) - true) ** 2))),)

    model, penalty, best = _best(lambda penalty: Ridge(alpha=penalty), score, train, validation, quiet)
    return model, RidgeChoice(alpha=penalty, validation_rmse=-best[0])


def _best(
    make: Callable[[float], Any],
    score: Callable[[Pipeline, np.ndarray, np.ndarray], tuple[float, ...]],
    train: Rows,
    validation: Rows,
    quiet: bool,
) -> tuple[Pipeline, float, tuple[float, ...]]:
    """The model with the best score on ``validation``, its penalty and the score."""
    best: tuple[Pipeline, float, tuple[float, ...]] | None = None
    penalties: Iterable[float] = PENALTIES
    for penalty in penalties if quiet else progress(penalties, "fitting the probe", len(PENALTIES)):
        model = make_pipeline(StandardScaler(), make(penalty))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the result has ``converged``
            model.fit(train[0].astype(np.float64), train[1])
        reached = score(model, validation[0].astype(np.float64), validation[1])
        if best is None or reached > best[2]:
            best = model, penalty, reached
    assert best is not None
    return best
