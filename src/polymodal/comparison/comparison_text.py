"""A comparison in words: the best run, whether the difference is significant, and the cheapest equal run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymodal.comparison.comparison_figures import ComparedTarget, RankedRun, RunCost
from polymodal.evaluation.number_text import NAMES, difference, listed, number, settling, span, spoken_seconds
from polymodal.evaluation.statistics.bootstrap import FEWEST_GROUPS
from polymodal.evaluation.statistics.judgement import judge

SHOWN = 6
"""Runs that a sentence names; of more it gives the number."""


def cheapest(ranked: Sequence[RankedRun], costs: Mapping[str, RunCost]) -> str | None:
    """Of the runs that the best does not beat, the one with fewest parameters, then the shortest training.

    Parameters first: they are the same on every machine.
    """

    def cost(run: str) -> tuple[float, float]:
        parameters, seconds = costs[run].parameters, costs[run].seconds
        return (
            float("inf") if parameters is None else parameters,
            float("inf") if seconds is None else seconds,
        )

    return min((entry.run for entry in ranked if entry.as_good), key=cost, default=None)


def sentences(target: ComparedTarget, costs: Mapping[str, RunCost]) -> list[str]:
    """The figures of a target in sentences, the most important first."""
    best = target.runs[0]
    if best.score.value is None:
        return ["No run has a score on these rows: none answered, or all true values are equal."]
    lines = [_best(target), _chance(target)]
    if sum(entry.as_good for entry in target.runs) > 1:
        lines.append(_cheapest(target, costs))
    if target.groups < FEWEST_GROUPS:
        lines.append(
            f"With fewer than {FEWEST_GROUPS} rows, or groups of rows, the intervals are too narrow."
        )
    if target.unanswered:
        lines.append(f"{target['unanswered']:,} rows are left out that not all runs answered.")
    lines.append(
        f"The best of {len(target['runs'])} was found on these very rows, so its score flatters, and more "
        "so the more runs there are: choose by the validation rows, or confirm on new ones."
    )
    return lines


def _best(target: ComparedTarget) -> str:
    best, score = target.runs[0], target.score
    level = [entry.run for entry in target.runs if entry.score.value == best.score.value]
    on = f"{target['rows']:,} test rows"
    if target.groups < target.rows:
        on += f" in {target['groups']:,} groups ({target['grouped_by']})"
    has = (
        f"{NAMES[score]} {number(score, best['score']['value'])} (95 % interval {span(score, best['score'])})"
    )
    if len(level) > 1:
        return f"{_some(level)} are level at the top: {has} on {on}."
    return f"‘{best['run']}’ is best: {has} on {on}."


def _chance(target: ComparedTarget) -> str:
    """Whether the best run beats the others."""
    score = target.score
    even = [entry.run for entry in target.runs[1:] if entry.as_good]
    worse = [entry.run for entry in target.runs[1:] if not entry.as_good]
    corrected = ", corrected for all pairs" if len(target.runs) > 2 else ""
    if not even:
        every = {1: "the other run", 2: "both others"}.get(len(worse), f"every other run, all {len(worse)}")
        by = f": by {difference(score, target['runs'][1]['behind'])}" if len(worse) == 1 else ""
        return f"It beats {every}{by}. That is more than chance{corrected}."
    if len(even) == 1:
        lead = next(entry.behind for entry in target.runs[1:] if entry.as_good)
        judged = judge(lead, target.rows)
        settle = f" ({settling(judged)})" if judged.rows else ""
        by = (
            f"the difference of {difference(score, lead)} may be chance{settle}"
            if lead.value
            else "the scores are equal"
        )
        rest = f"‘{even[0]}’ is as good as far as these rows tell: {by}"
    else:
        rest = f"{_some(even)} are each as good as far as these rows tell: the differences may be chance"
    if not worse:
        return f"It beats no other by more than chance{corrected}. {rest[0].upper()}{rest[1:]}."
    return f"It beats {_some(worse)} by more than chance{corrected}; {rest}."


def _cheapest(target: ComparedTarget, costs: Mapping[str, RunCost]) -> str:
    best = target.runs[0].run
    name = target.cheapest or best
    if name == best:
        return f"It is also the cheapest of those that are as good: {_cost(costs[name])}."
    entry = next(entry for entry in target.runs if entry.run == name)
    behind = difference(target.score, entry.behind)
    return (
        f"The cheapest that is not worse as far as these rows tell is ‘{name}’: {_cost(costs[name])}, where "
        f"‘{best}’ has {_cost(costs[best])}; it is behind by {behind}."
    )


def _cost(cost: RunCost) -> str:
    parameters, seconds = cost.parameters, cost.seconds
    parts = [] if not parameters else [f"{parameters:,} parameters"]
    parts += [] if seconds is None else [f"trained in {spoken_seconds(seconds)}"]
    return ", ".join(parts) or "unknown cost"


def _some(runs: Sequence[str]) -> str:
    return listed(runs) if len(runs) <= SHOWN else f"{len(runs)} runs"
