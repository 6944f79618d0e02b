"""scikit-learn's form of a fit: a classifier and a regressor for cross-validation, pipelines and searches."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar, Self
from weakref import finalize

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from polymodal.config.shorthands import SettingsLike, all_settings
from polymodal.errors import PolymodalError
from polymodal.fitting import fit

TARGET, WEIGHT = "target", "sample_weight"
FOLDER = "run"
FEWEST = 2
"""Rows of a fit."""


class _Estimator(BaseEstimator):
    """What classifier and regressor have in common: rows to a table, a fit into a temporary folder."""

    task: ClassVar[str]

    def __init__(
        self,
        *,
        preset: str = "fast",
        validation: float = 0.1,
        time_limit: float | str | None = None,
        device: str | None = None,
        settings: SettingsLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.preset, self.validation, self.time_limit = preset, validation, time_limit
        self.device, self.settings, self.random_state = device, settings, random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """A missing input is a value; a target is needed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def _fit(self, X: Any, y: np.ndarray, sample_weight: Any) -> Self:
        """Fit to validated targets: texts of classes, or float64."""
        frame, names = self._frame(X, reset=True), {TARGET: y}
        check_consistent_length(frame, y)
        if sample_weight is not None:
            names[WEIGHT] = _weights(sample_weight, frame)
        self._target = _free(TARGET, frame)
        columns = {_free(name, frame): values for name, values in names.items()}
        table = frame.assign(**columns).reset_index(drop=True)
        weight = None if sample_weight is None else _free(WEIGHT, frame)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._make_folder()
        try:
            self.run_ = fit(
                table, target=self._target, output=self._run_folder, preset=self.preset,
                time_limit=self.time_limit, sample_weight=weight, device=self.device, seed=seed,
                settings=self._all_settings(X, frame), quiet=not self.verbose,
            )  # fmt: skip
        except PolymodalError as error:  # scikit-learn expects this type for data that cannot be used
            raise ValueError(str(error)) from error
        self.run_.fitted_to = None
        return self

    @property
    def _run_folder(self) -> Path:
        return Path(self._folder) / FOLDER

    def _make_folder(self) -> None:
        """A new folder, which ends with the estimator; that of an earlier fit ends now."""
        if (remove := getattr(self, "_remove", None)) is not None:
            remove()
        self._folder = mkdtemp(prefix="polymodal-")
        self._remove = finalize(self, rmtree, self._folder, ignore_errors=True)

    def _all_settings(self, X: Any, frame: pd.DataFrame) -> list[str]:
        """No test rows, no pages, an array's columns are numbers; the user's settings are the last."""
        settings: dict[str, Any] = {
            "data": {"validation": self.validation, "test": 0.0, "split": None},
            "report": {"write": False, "predictions": False},
            "targets": {self._target: {"task": self.task}},
        }
        if not isinstance(X, pd.DataFrame):
            settings["inputs"] = {name: {"modality": "number"} for name in frame.columns}
        given = self.settings or {}
        if not isinstance(given, dict):
            raise ValueError(f"settings is {given!r}, expected a dict such as {{'train.epochs': 3}}")
        return [*all_settings(settings, {}, fit), *all_settings(given, {}, fit)]

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """The rows as a DataFrame; texts, files and categories come in one, arrays are of numbers."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if reset and len(X) < FEWEST:
                raise ValueError(
                    f"Found {len(X)} sample(s), n_samples={len(X)}, at least {FEWEST} are needed"
                )
            return X.set_axis([str(name) for name in X.columns], axis="columns")
        fewest = FEWEST if reset else 1
        options = {"ensure_all_finite": "allow-nan", "ensure_min_samples": fewest, "reset": reset}
        array = validate_data(self, X, **options)
        return pd.DataFrame(array, columns=[f"x{number}" for number in range(array.shape[1])])

    def _predicted(self, X: Any, *, probabilities: bool = False) -> pd.DataFrame:
        check_is_fitted(self, "run_")
        frame = self._frame(X, reset=False)
        try:
            return self.run_.predict(frame, probabilities=probabilities, quiet=not self.verbose)
        except PolymodalError as error:
            raise ValueError(str(error)) from error

    def __getstate__(self) -> dict[str, Any]:
        """The run as the bytes of its folder, zipped: a pickle of it holds no code of ours or of torch."""
        state = dict(super().__getstate__())
        for name in ("_folder", "_remove"):
            state.pop(name, None)
        if "run_" in state:
            state["_zipped"] = _zipped(state.pop("run_").folder)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        zipped = state.pop("_zipped", None)
        super().__setstate__(state)
        if zipped is not None:
            from polymodal.run import load_run  # imports torch

            self._make_folder()
            with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
                archive.extractall(self._run_folder)
            self.run_ = load_run(self._run_folder, device=self.device)


class PolymodalClassifier(ClassifierMixin, _Estimator):
    """A classifier over tables with texts, pictures, recordings, categories, numbers and missing cells.

    A share of the rows is held out in :meth:`fit`, by which the blend of models is chosen and calibrated.

    Args:
        preset: ``fast`` (plain models), ``good`` (and the neural model) or ``best``; see
            :func:`polymodal.fit`.
        validation: Share of the rows that is held out.
        time_limit: Seconds, or a text such as ``10m``.
        device: ``cpu``, ``cuda`` or ``mps``.
        settings: Such as ``{"train.epochs": 3}``, over everything else.
        random_state: Seed of all draws.
        verbose: Print progress and notes.

    Attributes:
        classes_: ``(classes,)`` those of the training rows, sorted.
        n_features_in_: Number of columns.
        feature_names_in_: Their names, where they are texts.
        run_: The :class:`polymodal.Run`: ``run_.evaluate``, ``run_.explain``, ``run_.save``.
    """

    task = "classification"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to rows.

        Args:
            X: A DataFrame, or ``(rows, features)`` numbers; NaN is a missing value.
            y: ``(rows,)`` classes.
            sample_weight: ``(rows,)`` how much each row counts.

        Raises:
            ValueError: If the rows cannot be used, in one line each.
        """
        y = _targets(self, X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < FEWEST:
            raise ValueError("y holds 1 class, expected two classes or more")
        return self._fit(X, codes.astype(str), sample_weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities ``(rows, classes)`` float64, in the order of :attr:`classes_`."""
        frame = self._predicted(X, probabilities=True)
        columns = [f"{self._target}_probability_{code}" for code in range(len(self.classes_))]
        values = np.column_stack([frame.get(name, pd.Series(0.0, frame.index)) for name in columns])
        values = values.astype(np.float64)
        return values / values.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each row: ``(rows,)``."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]


class PolymodalRegressor(RegressorMixin, _Estimator):
    """A regressor over the same tables; arguments and attributes as :class:`PolymodalClassifier`'s."""

    task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to rows.

        Args:
            X: A DataFrame, or ``(rows, features)`` numbers; NaN is a missing value.
            y: ``(rows,)`` numbers.
            sample_weight: ``(rows,)`` how much each row counts.

        Raises:
            ValueError: If the rows cannot be used, in one line each.
        """
        return self._fit(X, _targets(self, X, y, numeric=True), sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions ``(rows,)`` float64, in the unit of ``y``."""
        return self._predicted(X)[self._target].to_numpy(np.float64)


def _targets(estimator: _Estimator, X: Any, y: Any, *, numeric: bool = False) -> np.ndarray:
    """``y`` as ``(rows,)``, checked beside ``X`` as scikit-learn does."""
    if isinstance(X, pd.DataFrame):
        X = np.zeros((len(X), 1))
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    from sklearn.utils import check_X_y

    options: dict[str, Any] = {"ensure_all_finite": "allow-nan", "y_numeric": numeric}
    _, values = check_X_y(X, column_or_1d(y, warn=True), ensure_min_samples=FEWEST, **options)
    return values.astype(np.float64) if numeric else values


def _weights(given: Any, frame: pd.DataFrame) -> np.ndarray:
    """``(rows,)`` float64.

    Raises:
        ValueError: If they are of another number, negative, or all 0.
    """
    weights = _check_sample_weight(given, np.zeros((len(frame), 1)), dtype=np.float64)
    if (weights < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def _free(name: str, frame: pd.DataFrame) -> str:
    """``name``, or with underscores behind it where a column has it already."""
    while name in frame.columns:
        name += "_"
    return name


def _zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder))
    return content.getvalue()
