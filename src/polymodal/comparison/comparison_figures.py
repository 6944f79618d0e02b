"""The content of ``compare.json``: runs, leaderboards and pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.utils.records import Record


@dataclass(frozen=True, kw_only=True)
class RunCost(Record):
    """The cost of a run; None where ``metrics.json`` does not hold it.

    Attributes:
        parameters: Number of parameters.
        seconds: Of training.
        rows_per_second: In training.
    """

    parameters: int | None
    seconds: float | None
    rows_per_second: float | None


@dataclass(frozen=True, kw_only=True)
class RankedRun(Record):
    """A run in the leaderboard of a target.

    Attributes:
        run: Its name.
        score: Its score on the common test rows.
        behind: The best run's score less its own.
        as_good: Whether the best run does not beat it.
    """

    run: str
    score: Estimate
    behind: Estimate
    as_good: bool


@dataclass(frozen=True, kw_only=True)
class RunPair(Record):
    """A paired comparison of two runs.

    Attributes:
        better: The run with the higher score.
        worse: The other run.
        difference: Of their scores, on the same rows.
        certainty: The share of resamples in which the better run is ahead, a tie counting half; from 0 to 1.
        p: Of the paired test; None where a score is not defined.
        corrected: ``p`` corrected for all pairs (Holm 1979).
        beats: Whether the difference is significant: its interval excludes zero and ``corrected`` is at most
            :data:`polymodal.comparison.ranking.LEVEL`.
    """

    better: str
    worse: str
    difference: Estimate
    certainty: float | None
    p: float | None
    corrected: float | None = None
    beats: bool = False


@dataclass(frozen=True, kw_only=True)
class ComparedRun(Record):
    """A run of a comparison.

    Attributes:
        folder: Its path.
        fusion: Name of the fusion; None with one input, and without a neural model.
        inputs: The columns it reads.
        cost: Of its training.
    """

    folder: str
    fusion: str | None
    inputs: list[str]
    cost: RunCost


@dataclass(frozen=True, kw_only=True)
class ComparedTarget(Record):
    """The comparison on one target.

    Attributes:
        task: Family of the task.
        score: Name of the metric.
        rows: Number of rows that every run predicted.
        groups: Number of clusters that were resampled.
        grouped_by: In words, by what rows were clustered; empty where every row is its own cluster.
        unanswered: Number of rows with a ground truth that not all runs predicted.
        runs: The leaderboard, the best run first.
        pairs: Every pair of runs.
        cheapest: The cheapest run of those that the best does not beat; None without scores.
        sentences: The result in words.
    """

    task: str
    score: str
    rows: int
    groups: int
    grouped_by: str
    unanswered: int
    runs: list[RankedRun]
    pairs: list[RunPair]
    cheapest: str | None = None
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ComparisonFigures(Record):
    """The content of ``compare.json``.

    Attributes:
        format: Version of this form.
        polymodal: Version of the package.
        made: Date, ISO 8601.
        rows: Number of common test rows.
        notes: Remarks on rows and targets that were skipped.
        runs: The runs by name.
        targets: The comparison by target.
    """

    format: int
    polymodal: str
    made: str
    rows: int
    notes: list[str]
    runs: dict[str, ComparedRun]
    targets: dict[str, ComparedTarget]
