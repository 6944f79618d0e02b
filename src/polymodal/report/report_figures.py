"""The content of ``report.json``: the sections of each target, and how the run was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from polymodal.evaluation.metrics.calibration import IntervalCoverage, TemperatureEffect
from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.importance.emap import Interaction
from polymodal.importance.importance import InputImportance, OverallScore
from polymodal.report.provenance import Provenance
from polymodal.report.verdict import Verdict
from polymodal.robustness.missing_cells import MissingCurves
from polymodal.robustness.noise import NoiseCurves
from polymodal.training.portfolio_results import Portfolio
from polymodal.utils.records import EMPTY, OPTIONAL, Record, key
from polymodal.utils.version import __version__

FORMAT = 1
"""Version of the form of ``report.json``."""


@dataclass(frozen=True, kw_only=True)
class Robustness(Record):
    """Robustness of one target; None where it was not measured.

    Attributes:
        missing: To missing cells.
        noise: To corrupted cells.
    """

    missing: MissingCurves | None = field(default=None, metadata=EMPTY)
    noise: NoiseCurves | None = field(default=None, metadata=EMPTY)


@dataclass(frozen=True, kw_only=True)
class RetrainedSubset(Record):
    """The score of models that were trained with a subset of the inputs.

    Attributes:
        inputs: The subset.
        by_seed: The score with each seed.
        mean: Over seeds; None without a score.
        deviation: The standard deviation of a sample of seeds; None of one.
        masked: The score of the reported model with this subset.
    """

    inputs: list[str]
    by_seed: list[float] = field(metadata=key("values"))
    mean: float | None
    deviation: float | None
    masked: Estimate


@dataclass(frozen=True, kw_only=True)
class Agreement(Record):
    """Whether removing inputs and training without them rank the subsets alike, all but the whole.

    Attributes:
        same: Whether the order is the same; None where a score is not defined, as the next.
        tau: Kendall's rank correlation (1938; its tau-b, from -1 to 1).
    """

    same: bool | None
    tau: float | None


@dataclass(frozen=True, kw_only=True)
class Retrained(Record):
    """Scores of models that were trained with fewer inputs.

    Attributes:
        score: Name of the metric.
        seeds: Number of fits per subset.
        subsets: The scores.
        agreement: With the scores of the reported model.
    """

    score: str
    seeds: int
    subsets: list[RetrainedSubset]
    agreement: Agreement


@dataclass(frozen=True, kw_only=True)
class TargetReport(Record):
    """The report on one target.

    Attributes:
        task: Name of the task.
        metrics: Every metric.
        worth: Input importance.
        emap: Interactions by input; empty where they were not measured.
        emap_rows: Number of rows of ``emap``.
        retrained: Models trained with fewer inputs; None where there are none.
        robustness: To missing and corrupted cells.
        calibration: Of probabilities or intervals; None where the head has neither.
        failures: The error analysis.
        verdict: The figures in words.
        unit: Of numbers, in words; empty where it is not known.
    """

    task: str
    metrics: dict[str, float]
    worth: InputImportance | OverallScore
    emap: dict[str, Interaction] = field(default_factory=dict)
    emap_rows: int = 0
    retrained: Retrained | None = field(default=None, metadata=EMPTY)
    robustness: Robustness = field(default_factory=Robustness)
    calibration: TemperatureEffect | IntervalCoverage | None = field(metadata=EMPTY)
    failures: dict[str, Any]
    verdict: Verdict
    unit: str = field(default="", metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Report(Record):
    """The content of ``report.json``.

    Attributes:
        format: Version of this form.
        polymodal: Version of the package.
        made: Date, ISO 8601.
        run: Name of the run.
        what: The rows, in words.
        rows: Their number.
        inputs: Modality by input.
        sample_weight: The column of sample weights; None if the table lacks it, "" if none was declared.
        candidates: The models that were tried; None where it was one.
        left_out: A line for each part that was left out, and how to get it.
        targets: The report by target.
        making: Provenance.
    """

    format: int = FORMAT
    polymodal: str = __version__
    made: str
    run: str
    what: str
    rows: int
    inputs: dict[str, str]
    sample_weight: str | None = field(default="", metadata=OPTIONAL)
    candidates: Portfolio | None = field(default=None, metadata=OPTIONAL)
    left_out: list[str] = field(default_factory=list, metadata=OPTIONAL)
    targets: dict[str, TargetReport]
    making: Provenance
