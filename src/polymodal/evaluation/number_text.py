"""Figures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polymodal.data.schema.column_summary import brief
from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.evaluation.statistics.judgement import Judgement

SHARES = (
    "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "exact_match", "vqa_accuracy", "rouge_l",
    "1 - wer", "1 - cer",
)  # fmt: skip


class _Names(dict[str, str]):
    """Names of scores; an unknown one, of another package, is its own name."""

    def __missing__(self, name: str) -> str:
        return name.replace("_", " ")


NAMES = _Names({
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1",
    "micro_f1": "micro F1", "r2": "R²", "r2_log": "R² of the logarithm", "mae": "mean absolute error",
    "medae": "median absolute error", "rmse": "root mean squared error", "mape": "mean error in percent",
    "spearman": "rank correlation (Spearman)", "auroc": "area under the ROC curve",
    "map": "mean average precision", "brier": "Brier score", "ece": "calibration error (ECE)",
    "quadratic_kappa": "weighted kappa (quadratic)", "rank_mae": "mean error in ranks",
    "coverage": "coverage of the intervals", "interval_width": "mean width of the intervals",
    "exact_match": "all labels right", "hamming_loss": "share of wrong labels", "log_loss": "log loss",
})  # fmt: skip
MINUS = "−"
IN_UNIT = ("mae", "medae", "rmse", "interval_width")
"""Metrics in the target's unit."""
IN_PERCENT = (*SHARES, "mape", "coverage", "ece", "hamming_loss")
"""Metrics that are shown in percent."""


def name(score: str) -> str:
    """The name of a score in words: ``balanced accuracy``."""
    return NAMES[score]


def number(score: str, value: float | None) -> str:
    """A value of a score: ``98.7 %`` or ``0.86``."""
    if value is None:
        return "–"
    return percent(value, 1) if score in SHARES else fixed(value, 3)


def fixed(value: float, digits: int, *, sign: bool = False) -> str:
    """A number with so many digits behind the point; what is rounded to zero has no sign."""
    text = f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"
    return text.replace("-", MINUS) if any(digit in text for digit in "123456789") else text.lstrip("+-")


def metric(name: str, value: float | None, unit: str = "") -> str:
    """A value of any metric: ``57,317 €``, ``72.5 %`` or ``0.932``; one of an unknown scale has four digits.

    Args:
        name: Of the metric, maybe after that of its target and a point.
        value: None where it is not defined.
        unit: Of the target.
    """
    name = name.rpartition(".")[2]
    if value is None:
        return "–"
    if name in IN_PERCENT:
        return percent(value, 1)
    if name in IN_UNIT or name not in NAMES:
        return plain(value, unit=unit if name in IN_UNIT else "")
    return fixed(value, 3)


def percent(share: float, digits: int = 0) -> str:
    """A share as ``72 %``."""
    return f"{fixed(100 * share, digits)} %"


def span(score: str, estimate: Estimate) -> str:
    """The interval of a score: ``98.2 to 99.1 %``."""
    if estimate.low is None:
        return "no interval"
    low, high = number(score, estimate.low), number(score, estimate.high)
    return f"{low.removesuffix(' %')} to {high}"


def whole(score: str, estimate: Estimate) -> str:
    """A score and its interval: ``98.7 % (98.2 to 99.1 %)``."""
    return f"{number(score, estimate['value'])} ({span(score, estimate)})"


def difference(score: str, estimate: Estimate, *, sign: bool = False) -> str:
    """A difference and its interval: ``2.1 points (1.5 to 2.7)``, or in the unit of the score."""
    if estimate.value is None:
        return "not defined"
    scale, unit, digits = (100, " points", 1) if score in SHARES else (1, "", 3)

    def shown(value: float | None) -> str:
        if value is None:
            return "–"
        return fixed(scale * value, digits, sign=sign)

    interval = f"{shown(estimate['low'])} to {shown(estimate['high'])}"
    return f"{shown(estimate['value'])}{unit} ({interval})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    quoted = [f"‘{name}’" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def is_above(estimate: Estimate) -> bool:
    """Whether the whole interval lies above zero."""
    return estimate.low is not None and estimate.low > 0


def settling(judged: Judgement) -> str:
    """How many rows would settle it: ``about 2,400 rows would settle it``; else empty."""
    return f"about {judged.rows:,} rows would settle it" if judged.rows else ""


def points(score: str, value: float | None, *, sign: bool = False) -> str:
    """A difference without its interval: ``2.1 points``."""
    return difference(score, Estimate(value=value), sign=sign).partition(" (")[0]


def point_span(score: str, estimate: Estimate, *, sign: bool = False) -> str:
    """The interval of a difference: ``1.5 to 2.7``."""
    return difference(score, estimate, sign=sign).partition("(")[2].removesuffix(")")


def steps(curve: Sequence[Mapping[str, Any]]) -> str:
    """The strength at each level, and its unit: ``20, 10, 5 (signal to noise, dB)``."""
    return f"{', '.join(brief(step['strength']) for step in curve[1:])} ({curve[-1]['unit']})"


def plain(value: float | None, *, sign: bool = False, unit: str = "") -> str:
    """A number in the target's own unit: ``−312 €``."""
    if value is None:
        return "–"
    text = brief(value) if value else "0"
    text = (f"+{text}" if sign and value > 0 else text).replace("-", MINUS)
    return f"{text} {unit}" if unit else text


def spoken_seconds(seconds: float) -> str:
    """A duration: ``41 s``, ``6 min 12 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
