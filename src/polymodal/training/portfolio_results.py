"""The part of ``metrics.json`` about the candidates of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field

from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.utils.records import OPTIONAL, Record


@dataclass(frozen=True, kw_only=True)
class Standing(Record):
    """One model and one target on one split.

    Attributes:
        score: The score of the target with its 95 % interval; None where no row has an answer.
        metrics: All metrics.
    """

    score: Estimate | None
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ModelFigures(Record):
    """One model, fitted to the training rows alone.

    Attributes:
        weights: By target, its share in the blend; 0 where it is not used.
        losses: By target, the mean loss on the validation rows that the blend was chosen by; None without.
        validation: By target, on the validation rows.
        test: By target, on the test rows.
        seconds: Of its fit.
    """

    weights: dict[str, float]
    losses: dict[str, float | None]
    validation: dict[str, Standing]
    test: dict[str, Standing]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Portfolio(Record):
    """The candidates of a fit, as ``metrics.json`` has them.

    Attributes:
        scores: By target, the name of its score.
        models: By name, in the order in which they were tried.
        blend: By target and split, the blend; on the validation rows its weights were chosen, so that it is
            a little too good there.
        losses: By target, the mean loss of the blend on the validation rows; empty where they were too few.
        reasons: By target, why it is blended like this.
        left_out: By candidate, why it was not fitted.
        fitted_again: Candidates whose models in the blend were then fitted to training and validation rows.
            Metrics of runs of before lack it.
    """

    scores: dict[str, str]
    models: dict[str, ModelFigures]
    blend: dict[str, dict[str, Standing]]
    losses: dict[str, float]
    reasons: dict[str, str]
    left_out: dict[str, str]
    fitted_again: list[str] = field(default_factory=list, metadata=OPTIONAL)
