"""The content of ``metrics.json``, and the schema of its keys that are read later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polymodal.errors import RunError, one_line
from polymodal.training.portfolio_results import Portfolio
from polymodal.utils.records import OPTIONAL, JsonObject, Record, key

Metrics: TypeAlias = dict[str, float]
"""Values by the name of the metric."""


@dataclass(frozen=True, kw_only=True)
class StartRecord(Record):
    """The warm start of a fit.

    Attributes:
        folder: The run that it started from.
        loaded: Parts whose weights were loaded.
        new: Parts with new weights.
        dropped: Parts of the run that were not loaded, with the reason.
    """

    folder: str = field(metadata=key("from"))
    loaded: list[str]
    new: list[str]
    dropped: list[str]


@dataclass(frozen=True, kw_only=True)
class Training(Record):
    """The speed of a training; values are None in runs of versions that did not record them.

    Attributes:
        seconds: Its duration.
        threads: CPU threads.
        rows_per_second: Training rows per second.
        epochs: Trained for, also before it was resumed.
    """

    seconds: float | None = None
    threads: int | None = None
    rows_per_second: float | None = None
    epochs: float | None = None


@dataclass(frozen=True, kw_only=True)
class LanguageTraining(Record):
    """The same of the last stage of a language model; ``tokens_per_second`` counts training tokens."""

    seconds: float | None = None
    threads: int | None = None
    tokens_per_second: float | None = None
    epochs: float | None = None
    rows_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class StageResults(Record):
    """One stage of the training of a language model; ``best`` has loss and number of its best epoch."""

    seconds: float | None = None
    threads: int | None = None
    tokens_per_second: float | None = None
    epochs: float | None = None
    best: Metrics = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PredictionResults(Record):
    """The results of a fit of heads, or of a pre-training.

    Attributes:
        test: Metrics of the test rows by target.
        space: Of a pre-training: whether the inputs share one space.
        pairs: Of a pre-training: by split the number of rows that have both inputs of a pair.
        retrieval: Of a pre-training: by pair of inputs a :class:`~polymodal.evaluation.metrics.Retrieval`.
        validation: Metrics of the best epoch, and its number ``epoch``.
        train: Of the training.
        losses: First and last mean of each part of the training loss.
        parameters: Of the whole model.
        rows: By split, and the number ``rejected`` where rows may be skipped.
        notes: What was done that one may want to know.
        calibration: By target what was chosen on the validation rows.
        warnings: Of the check, the calibration and the pages.
        data: SHA-256 of the files of tables by split; of a table in memory, as ``memory``.
        versions: Of the libraries.
        sample_weight: The column of weights.
        start: The warm start.
        candidates: The models that were tried, where there were several.
        history: The log of the training.
        pages: Whether report and model card are ``pending``, ``written`` or ``failed``.
    """

    test: dict[str, Metrics] = field(default_factory=dict)
    space: bool | None = field(default=None, metadata=OPTIONAL)
    pairs: dict[str, dict[str, int]] | None = field(default=None, metadata=OPTIONAL)
    retrieval: Mapping[str, Mapping[str, Any]] | None = field(default=None, metadata=OPTIONAL)
    validation: Metrics | None = None
    train: Training = Training()
    losses: dict[str, list[float]] = field(default_factory=dict)
    parameters: int | None = None
    rows: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    calibration: dict[str, JsonObject] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    sample_weight: str | None = field(default=None, metadata=OPTIONAL)
    start: StartRecord | None = field(default=None, metadata=OPTIONAL)
    candidates: Portfolio | None = field(default=None, metadata=OPTIONAL)
    history: list[dict[str, Any]] = field(default_factory=list)
    pages: str | None = None


@dataclass(frozen=True, kw_only=True)
class LanguageResults(Record):
    """The results of a fit of text generation; see :class:`PredictionResults` for the other fields.

    Attributes:
        test: Metrics of the test rows by the column of answers.
        without: Metrics by the input that is removed.
        present: Number of rows and metrics by the inputs that rows have.
        validation: Metrics of the validation rows, with loss and number of the best epoch.
        stages: By name, in order.
        tokens: Token counts of the training rows.
        history: The logs of the stages, each entry with its ``stage``.
    """

    test: dict[str, Metrics] = field(default_factory=dict)
    without: dict[str, Metrics] = field(default_factory=dict)
    present: dict[str, Metrics] = field(default_factory=dict)
    validation: Metrics | None = None
    train: LanguageTraining = LanguageTraining()
    parameters: int | None = None
    stages: dict[str, StageResults] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    tokens: JsonObject = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    start: StartRecord | None = field(default=None, metadata=OPTIONAL)
    history: list[dict[str, Any]] = field(default_factory=list)
    pages: str | None = None


FitResults: TypeAlias = PredictionResults | LanguageResults
"""The content of ``metrics.json``."""


class _Part(BaseModel):
    """Other keys are allowed; a key that is not there has the default."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Trained(_Part):
    seconds: float | None = None
    rows_per_second: float | None = None
    epochs: float | None = None
    threads: int | None = Field(None, ge=1, le=4096)


class _Best(_Part):
    epoch: float | None = None


class _Entry(_Part):
    """One line of the log of training."""

    epoch: float

    @model_validator(mode="after")
    def _losses(self) -> _Entry:
        for name, value in (self.model_extra or {}).items():
            if (name == "loss" or name.startswith("eval_")) and not isinstance(value, int | float):
                raise ValueError(f"'{name}' is {value!r}, expected a number")
        return self


class Recorded(_Part):
    """The keys of ``metrics.json`` that are read later; runs of earlier versions lack some."""

    test: dict[str, dict[str, Any]] = {}
    validation: _Best | None = None
    train: _Trained = _Trained()
    parameters: int | None = None
    rows: dict[str, int] = {}
    notes: list[str] = []
    warnings: list[str] = []
    versions: dict[str, str] = {}
    history: list[_Entry] = []
    sample_weight: str | None = None


def check_recorded(path: Path, content: Any) -> FitResults:
    """The content of a ``metrics.json``, if it has the shape that a fit writes; other keys are ignored.

    Raises:
        RunError: If it has not.
    """
    if not isinstance(content, dict):
        raise RunError(f"{path}: holds no JSON object. Fit again")
    try:
        Recorded.model_validate(content)
    except ValidationError as error:
        wrong = error.errors()[0]
        location, value = ".".join(map(str, wrong["loc"])), one_line(repr(wrong["input"]), 80)
        reason = f"'{location}' is {value}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}"
        raise RunError(f"{path}: was not written by a fit ({reason}). Fit again") from None
    kind: type[FitResults] = LanguageResults if "without" in content else PredictionResults
    try:
        return kind.from_dict(content)
    except ValueError as error:
        raise RunError(f"{path}: was not written by a fit ({error}). Fit again") from None
