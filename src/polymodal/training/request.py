"""What a fit is requested to do: one object from the API through all pipelines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from polymodal.errors import ConfigError, did_you_mean
from polymodal.utils.deadline import Deadline, read_limit

Target = str | Sequence[str] | None
"""A column to learn, or several."""


THOROUGH = "best"
PRESETS: Mapping[str, tuple[str, ...]] = {
    "fast": ("train.candidates=[plain]",),
    "good": ("train.candidates=null", "train.encoders=auto"),
    THOROUGH: ("train.candidates=null", "train.encoders=tuned"),
}
"""The settings of each preset; other settings go over them. Null: plain models and the neural model."""


@dataclass(frozen=True)
class FitRequest:
    """A fit, a pre-training or a check, as it was requested.

    Attributes:
        source: A table (path, DataFrame, dataset, list of dicts) or the path of a declaration (YAML).
        targets: Columns to learn, beside those declared.
        inputs: The only columns to read; by default all that can be read.
        output: The run folder; ``runs/<name of the table>`` by default.
        preset: Which models are tried, a name of :data:`PRESETS`, over what is declared; None for what is
            declared, and ``good`` beside it where it can be.
        settings: Such as ``train.epochs=3``, over everything else.
        sample_weight: Column of row weights, as ``data.sample_weight``.
        start: A run to fine-tune from, over the one declared.
        objectives: To learn by, beside those declared.
        prompt: Template over columns of the question, for answers in words.
        answer: Template over columns of the answer.
        pretraining: Learn without targets, by objectives. None: if objectives are declared and no target.
        fusions: To be fitted in the place of the one declared; its options go to those that have them.
        folds: Number of folds of a cross-validation; None for the one split of a plain fit.
        seeds: Number of seeds, counted from ``train.seed``; None for a single fit.
        trials: Number of trials of a hyperparameter search; None for no search.
        time_limit: Seconds, a text such as ``10m``, or a deadline that is running already; None for what is
            declared.
        begun: Without a running deadline, when the request was made.
        resume: Continue an interrupted run in ``output``.
        overwrite: Replace a finished run in ``output``.
        quiet: Show no progress.
    """

    source: Any
    _: KW_ONLY
    targets: Sequence[str] = ()
    inputs: Sequence[str] = ()
    output: str | Path | None = None
    preset: str | None = None
    settings: Sequence[str] = ()
    sample_weight: str | None = None
    start: str | Path | None = None
    objectives: Sequence[str] = ()
    prompt: str | None = None
    answer: str | None = None
    pretraining: bool | None = False
    fusions: Sequence[str] = ()
    folds: int | None = None
    seeds: int | None = None
    trials: int | None = None
    time_limit: float | str | Deadline | None = None
    begun: Deadline = field(default_factory=Deadline.start, repr=False)
    resume: bool = False
    overwrite: bool = False
    quiet: bool = True

    @property
    def folder(self) -> Path:
        """Where the run, or the runs, are written."""
        if self.output:
            return Path(self.output)
        is_path = isinstance(self.source, (str, Path))
        return Path("runs") / (Path(self.source).stem if is_path else "run")

    @property
    def all_settings(self) -> list[str]:
        """``settings``, and the arguments that are shorthands of settings.

        Raises:
            ConfigError: If there is no such preset, or the time limit is none.
        """
        if self.preset is not None and self.preset not in PRESETS:
            raise ConfigError(f"there is no preset '{self.preset}'. {did_you_mean(self.preset, PRESETS)}")
        column = (
            [] if self.sample_weight is None else [f"data.sample_weight={json.dumps(self.sample_weight)}"]
        )
        folds = [] if self.folds is None else [f"data.folds={self.folds}"]
        limit = [] if self.time_limit is None else [f"train.time_limit={self._seconds(self.time_limit)!r}"]
        return [*PRESETS.get(self.preset or "", ()), *self.settings, *column, *folds, *limit]

    def deadline(self, limit: float | None) -> Deadline:
        """The deadline of the whole fit, counted from the request; ``limit`` in seconds as it is declared."""
        given = self.time_limit
        return (given if isinstance(given, Deadline) else self.begun).limited(limit)

    @staticmethod
    def _seconds(limit: float | str | Deadline) -> float:
        """The seconds of a limit.

        Raises:
            ConfigError: If it is none.
        """
        try:
            return limit.limit if isinstance(limit, Deadline) else read_limit(limit)
        except ValueError as error:
            raise ConfigError(f"time_limit: {error}") from None


def target_names(target: Target) -> list[str]:
    """The names of target columns; a DataFrame may have numbers for names, which a table writes as digits."""
    if target is None:
        return []
    if hasattr(target, "to_frame") and hasattr(target, "iloc"):
        name = getattr(target, "name", None) or "y"
        fix = f"Put it into the table: table.assign({name}=…), target='{name}'"
        raise ConfigError(f"target is a Series of cells, expected the name of a column. {fix}")
    columns = [target] if isinstance(target, str) or not isinstance(target, Iterable) else target
    return [str(name) for name in columns]


def input_names(inputs: str | Sequence[str]) -> list[str]:
    """The names of input columns; one may be given without a list."""
    return [inputs] if isinstance(inputs, str) else list(inputs)
