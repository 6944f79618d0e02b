"""The verdict on a target: its figures in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polymodal.error_analysis.subgroups import SubgroupFigures
from polymodal.errors import option, worded
from polymodal.evaluation.number_text import (
    NAMES,
    difference,
    is_above,
    listed,
    number,
    settling,
    span,
    whole,
)
from polymodal.evaluation.statistics.bootstrap import FEWEST_GROUPS, Estimate
from polymodal.evaluation.statistics.judgement import judge
from polymodal.importance.emap import Interaction
from polymodal.importance.importance import InputImportance, OverallScore
from polymodal.utils.records import OPTIONAL, Record

WIDE = 0.1
"""A wider interval than this, in accuracy or R², needs more rows."""


@dataclass(frozen=True, kw_only=True)
class Verdict(Record):
    """The figures of one target in words.

    Attributes:
        fusing: ``wins``, ``even`` or ``loses`` against the best single input; ``single`` with one input,
            ``unknown`` where its media could not be read.
        nothing: Inputs that add nothing that matters; None where unknown, as the next two.
        redundant: Inputs that are good alone, and whose information the others have as well.
        harmful: Inputs whose removal improves the score.
        unclear: Inputs of which these rows are too few, and about how many would do; None: unknown.
        sentences: The result, the most important first.
        next: What to do next.
    """

    fusing: str
    nothing: list[str] | None = field(default=None, metadata=OPTIONAL)
    redundant: list[str] | None = field(default=None, metadata=OPTIONAL)
    harmful: list[str] | None = field(default=None, metadata=OPTIONAL)
    unclear: dict[str, int | None] | None = field(default=None, metadata=OPTIONAL)
    sentences: list[str]
    next: list[str]


@dataclass(frozen=True)
class SortedInputs:
    """Inputs without a benefit, by the kind of evidence.

    Attributes:
        nothing: Those that add nothing that matters.
        redundant: Those that are good alone, and whose information the others have as well.
        harmful: Those whose removal improves the score.
        unclear: Those of which the rows are too few, and about how many would do.
    """

    nothing: list[str] = field(default_factory=list)
    redundant: list[str] = field(default_factory=list)
    harmful: list[str] = field(default_factory=list)
    unclear: dict[str, int | None] = field(default_factory=dict)


def verdict(
    worth: InputImportance,
    emap: Mapping[str, Interaction] | None = None,
    compared: SubgroupFigures | None = None,
) -> Verdict:
    """The figures of one target in words.

    Args:
        worth: The importance of its inputs.
        emap: The interactions of its inputs, by input.
        compared: Its subgroups, see :func:`polymodal.error_analysis.subgroups.subgroups`.
    """
    groups = sort_inputs(worth)
    fusing = _fusing(worth)
    sentences = [how_good(worth), *_gain(worth, fusing), *_inputs(worth, groups), *_together(worth, emap)]
    sentences += _weak_groups(worth.score, compared)
    if fusing in ("even", "loses"):
        sentences[:2] = sentences[1::-1]
    if worth.groups < FEWEST_GROUPS:
        what = "groups of rows" if worth.groups < worth.rows else "rows"
        sentences.append(
            f"Only {worth.groups} {what} speak here: fewer than {FEWEST_GROUPS}, so the intervals are "
            "narrower than they should be, and the figures may be far off."
        )
    return Verdict(
        fusing=fusing,
        nothing=groups.nothing,
        redundant=groups.redundant,
        harmful=groups.harmful,
        unclear=groups.unclear,
        sentences=sentences,
        next=_next(worth, fusing, groups),
    )


def sort_inputs(worth: InputImportance) -> SortedInputs:
    """The inputs without a benefit, each by :func:`~polymodal.evaluation.statistics.judgement.judge`."""
    groups = SortedInputs()
    for name, figures in worth.inputs.items():
        if len(worth.inputs) < 2:
            break
        judged = judge(figures.lost_without, worth.rows)
        if judged.kind == "harmful":
            groups.harmful.append(name)
        elif judged.kind == "redundant":
            adds = is_above(figures.shapley) and figures.alone.value is not None
            (groups.redundant if adds and _is_good_alone(worth, name) else groups.nothing).append(name)
        elif judged.kind == "unclear" and figures.lost_without.value is not None:
            groups.unclear[name] = judged.rows
    return groups


def _is_good_alone(worth: InputImportance, name: str) -> bool:
    """Whether an input alone is clearly better than none."""
    none, alone = worth.none.high, worth.inputs[name].alone.low
    return none is None or (alone is not None and alone > none)


def _weakest(worth: InputImportance, names: Sequence[str]) -> str:
    """The input whose share of the score is the smallest."""
    return min(names, key=lambda name: worth.inputs[name].shapley.value or 0.0)


def _fusing(worth: InputImportance) -> str:
    if len(worth.inputs) < 2:
        return "single"
    return {"adds": "wins", "harmful": "loses"}.get(judge(worth.gain, worth.rows).kind, "even")


def how_good(worth: InputImportance | OverallScore) -> str:
    """The score with all inputs, its interval and the number of rows."""
    score, name = worth.score, NAMES[worth.score]
    rows = f"{worth['rows']:,} rows"
    if worth.groups < worth.rows:
        rows += f" in {worth['groups']:,} groups ({worth['grouped_by']})"
    inputs = "The one input reaches" if len(worth.inputs) == 1 else "All inputs together reach"
    at_all = (
        f" With no input at all it would be {number(score, worth['none']['value'])}."
        if isinstance(worth, InputImportance)
        else ""
    )
    return (
        f"{inputs} {_article(name)} {name} of {number(score, worth['all']['value'])} "
        f"(95 % interval {span(score, worth['all'])}) on {rows}.{at_all}"
    )


def _article(name: str) -> str:
    return "an" if name[0] in "aeiouR" else "a"


def _gain(worth: InputImportance, fusing: str) -> list[str]:
    score, best = worth.score, worth.best_single
    if fusing == "single":
        return ["There is nothing to fuse: the run reads one input."]
    alone = f"‘{best}’ alone, {number(score, worth['inputs'][best]['alone']['value'])}"
    by = difference(score, worth.gain)
    if fusing == "wins":
        return [f"Fusing wins: it gains {by} over the best single input, {alone}. That is more than chance."]
    if fusing == "loses":
        return [f"Fusing loses: the best single input, {alone}, is better than all of them by that: {by}."]
    judged = judge(worth.gain, worth.rows)
    if worth.gain.value is None:
        return ["Whether fusing beats the best single input is not defined on these rows."]
    if judged.kind == "redundant":
        return [f"Fusing does not beat the best single input, {alone}: it gains {by}, which hardly matters."]
    settle = f"; {settling(judged)}" if judged.rows else ""
    return [
        f"Whether fusing beats the best single input, {alone}, is unclear with so few rows: "
        f"it gains {by}{settle}."
    ]


def _inputs(worth: InputImportance, groups: SortedInputs) -> list[str]:
    """Sentences on the inputs without a benefit."""
    score, inputs, sentences = worth.score, worth.inputs, []
    nothing, redundant = groups.nothing, groups.redundant
    if len(nothing) == 1:
        figures = inputs[nothing[0]]
        sentences.append(
            f"‘{nothing[0]}’ adds nothing that matters: left out it costs "
            f"{difference(score, figures['lost_without'])}, alone it gives {whole(score, figures['alone'])}."
        )
    elif nothing:
        sentences.append(f"{listed(nothing)} each add nothing that matters: {_costs(worth, nothing)}.")
    if redundant:
        are = "is" if len(redundant) == 1 else "are each"
        sentences.append(
            f"{listed(redundant)} {are} good alone and free to leave out, for the others say the same: "
            f"{_costs(worth, redundant)}."
        )
    if groups.unclear:
        names = list(groups.unclear)
        most = max((rows for rows in groups.unclear.values() if rows), default=None)
        settle = f" About {most:,} rows would settle it." if most else ""
        each = "adds something" if len(names) == 1 else "each add something"
        sentences.append(
            f"Whether {listed(names)} {each} is unclear with so few rows: {_costs(worth, names)}.{settle}"
        )
    free, lost = worth.free.inputs, worth.free.lost_without_all
    if len(free) > 1 and lost is not None:
        judged = judge(lost, worth.rows)
        beside = {
            "adds": "", "harmful": ": they do harm together", "redundant": ", which hardly matters",
            "unclear": ", which may be chance",
        }[judged.kind]  # fmt: skip
        gained = (lost.value or 0) < 0
        by = (
            f"it gains {difference(score, _negated(lost))}"
            if gained
            else f"it costs {difference(score, lost)}"
        )
        sentences.append(f"Without {listed(free)} at once {by}{beside}.")
    for name in groups.harmful:
        better = difference(score, _negated(inputs[name].lost_without))
        sentences.append(f"‘{name}’ does harm: leaving it out raises the score by {better}.")
    return sentences


def _negated(cost: Estimate) -> Estimate:
    """A cost as a gain."""
    value, low, high = (None if part is None else -part for part in (cost.value, cost.high, cost.low))
    return Estimate(value=value, low=low, high=high)


def _weak_groups(score: str, compared: SubgroupFigures | None) -> list[str]:
    """The subgroups with a significantly lower score."""
    if not compared:
        return []
    weak = [
        f"‘{column.column}’ is {entry.value} ({difference(score, entry.gap, sign=True)})"
        for column in compared.columns
        for entry in column.subgroups
        if entry.flagged and entry.gap is not None and (entry.gap.value or 0.0) < 0
    ]
    return [f"It does worse, and not by chance, where {part}." for part in weak]


def _costs(worth: InputImportance, names: Sequence[str]) -> str:
    """What the removal of each of ``names`` costs."""
    by = [f"{difference(worth['score'], worth['inputs'][n]['lost_without'])} without ‘{n}’" for n in names]
    return f"it costs {', '.join(by)}"


def _together(worth: InputImportance, emap: Mapping[str, Interaction] | None) -> list[str]:
    """Whether the score needs inputs to interact."""
    needing = [name for name, entry in (emap or {}).items() if is_above(entry.interaction)]
    if not needing or emap is None:
        return []
    most = max(needing, key=lambda name: emap[name].interaction.value or 0.0)
    by = difference(worth.score, emap[most].interaction)
    return [f"{by} of that hang on reading ‘{most}’ together with the rest: a sum of both would not do."]


def _next(worth: InputImportance, fusing: str, groups: SortedInputs) -> list[str]:
    """What to do next."""
    steps = []
    best, useless = worth.best_single, [*groups.nothing, *groups.harmful]
    settled = judge(worth.gain, worth.rows).kind != "unclear"
    if fusing == "loses" or (fusing == "even" and settled):
        steps.append(f"Fit ‘{best}’ alone ({_only([best])}): simpler, and as far as these rows tell as good.")
    elif useless or groups.redundant:
        together = worth.free.lost_without_all
        all_free = set(useless) == set(worth.free.inputs) and together is not None and not is_above(together)
        at_once = useless and (len(useless) == 1 or all_free)
        free = useless if at_once else [_weakest(worth, useless or groups.redundant)]
        kept = [name for name in worth.inputs if name not in free]
        steps.append(f"Fit without {listed(free)} ({_only(kept)}) and compare.")
    width = (worth.all.high or 0) - (worth.all.low or 0)
    if worth.groups < FEWEST_GROUPS or width > WIDE or groups.unclear:
        why = "these rows are too few for some inputs" if groups.unclear else "the interval is wide"
        steps.append(f"Gather more test rows, or cross-validate ({option('folds', 5)}): {why}.")
    scarce = [name for name, share in worth.present.items() if share < 0.5]
    if scarce:
        steps.append(f"{listed(scarce)} stand in fewer than half of the rows: more of them may add more.")
    more = option("fusions", "all")
    return steps or [f"Nothing calls for a change: compare fusions ({more}) if more is wanted."]


def _only(inputs: Sequence[str]) -> str:
    """The option, or argument, that fits these inputs alone."""
    return worded(f"--inputs {','.join(inputs)}", f"inputs={list(inputs)!r}")
