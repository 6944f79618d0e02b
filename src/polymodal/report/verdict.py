"""The verdict on a target, in words: what its figures say, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polymodal.evaluation.statistics.bootstrap import FEWEST_GROUPS
from polymodal.report.number_text import (
    NAMES,
    covers_zero,
    difference,
    is_above,
    is_below,
    listed,
    number,
    span,
    whole,
)

WIDE = 0.1
"""An interval of more than this, in accuracy or R², asks for more rows."""


def verdict(
    worth: Mapping[str, Any],
    emap: Mapping[str, Any] | None = None,
    compared: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the figures of one target come to.

    Args:
        worth: See :func:`polymodal.importance.importance.input_importance`; one target's.
        emap: See :func:`polymodal.importance.emap.emap`; the same target's.
        compared: See :func:`polymodal.error_analysis.subgroups.subgroups`; the same target's.

    Returns:
        ``fusing`` (``wins``, ``even``, ``loses`` or ``single``), ``nothing``, ``redundant`` and ``harmful``
        (names of inputs), ``sentences`` and ``next``, what to do.
    """
    groups = sort_inputs(worth)
    fusing = _fusing(worth)
    sentences = [how_good(worth), *_gain(worth, fusing), *_inputs(worth, groups), *_together(worth, emap)]
    sentences += _weak_groups(worth["score"], compared)
    if fusing in ("even", "loses"):
        sentences[:2] = sentences[1::-1]
    if worth["groups"] < FEWEST_GROUPS:
        what = "groups of rows" if worth["groups"] < worth["rows"] else "rows"
        sentences.append(
            f"Only {worth['groups']} {what} speak here: fewer than {FEWEST_GROUPS}, so the intervals are "
            "narrower than they should be, and the figures may be far off."
        )
    return {"fusing": fusing, **groups, "sentences": sentences, "next": _next(worth, fusing, groups)}


def sort_inputs(worth: Mapping[str, Any]) -> dict[str, list[str]]:
    """The inputs that add nothing, those whose news the others bring too, and those that do harm."""
    sorted_: dict[str, list[str]] = {"nothing": [], "redundant": [], "harmful": []}
    for name, figures in worth["inputs"].items():
        if len(worth["inputs"]) < 2:
            break
        if is_below(figures["lost_without"]):
            sorted_["harmful"].append(name)
        elif covers_zero(figures["lost_without"]):
            adds = is_above(figures["shapley"]) and figures["alone"]["value"] is not None
            sorted_["redundant" if adds and _stands_alone(worth, name) else "nothing"].append(name)
    return sorted_


def _stands_alone(worth: Mapping[str, Any], name: str) -> bool:
    """Whether an input by itself is clearly better than nothing at all."""
    none, alone = worth["none"]["high"], worth["inputs"][name]["alone"]["low"]
    return none is None or (alone is not None and alone > none)


def _weakest(worth: Mapping[str, Any], names: Sequence[str]) -> str:
    """The input whose share of the score is the smallest."""
    return min(names, key=lambda name: worth["inputs"][name]["shapley"]["value"] or 0.0)


def _fusing(worth: Mapping[str, Any]) -> str:
    if len(worth["inputs"]) < 2:
        return "single"
    return "wins" if is_above(worth["gain"]) else "loses" if is_below(worth["gain"]) else "even"


def how_good(worth: Mapping[str, Any]) -> str:
    """The score of all inputs, on how many rows, and how sure that is."""
    score, name = worth["score"], NAMES[worth["score"]]
    rows = f"{worth['rows']:,} rows"
    if worth["groups"] < worth["rows"]:
        rows += f" in {worth['groups']:,} groups ({worth['grouped_by']})"
    inputs = "The one input reaches" if len(worth["inputs"]) == 1 else "All inputs together reach"
    at_all = (
        f" With no input at all it would be {number(score, worth['none']['value'])}."
        if "none" in worth
        else ""
    )
    return (
        f"{inputs} {_article(name)} {name} of {number(score, worth['all']['value'])} "
        f"(95 % interval {span(score, worth['all'])}) on {rows}.{at_all}"
    )


def _article(name: str) -> str:
    return "an" if name[0] in "aeiouR" else "a"


def _gain(worth: Mapping[str, Any], fusing: str) -> list[str]:
    score, best = worth["score"], worth["best_single"]
    if fusing == "single":
        return ["There is nothing to fuse: the run reads one input."]
    alone = f"‘{best}’ alone, {number(score, worth['inputs'][best]['alone']['value'])}"
    by = difference(score, worth["gain"])
    if fusing == "wins":
        return [f"Fusing wins: it gains {by} over the best single input, {alone}. That is more than chance."]
    if fusing == "loses":
        return [f"Fusing loses: the best single input, {alone}, is better than all of them by that: {by}."]
    return [f"Fusing does not beat the best single input, {alone}: the difference of {by} may be chance."]


def _inputs(worth: Mapping[str, Any], groups: Mapping[str, list[str]]) -> list[str]:
    """Which inputs do not earn their place."""
    score, inputs, sentences = worth["score"], worth["inputs"], []
    nothing, redundant = groups["nothing"], groups["redundant"]
    if len(nothing) == 1:
        figures = inputs[nothing[0]]
        sentences.append(
            f"‘{nothing[0]}’ adds nothing that can be told from chance: left out it costs "
            f"{difference(score, figures['lost_without'])}, alone it gives {whole(score, figures['alone'])}."
        )
    elif nothing:
        sentences.append(
            f"{listed(nothing)} each add nothing that can be told from chance: {_costs(worth, nothing)}."
        )
    if redundant:
        are = "is" if len(redundant) == 1 else "are each"
        sentences.append(
            f"{listed(redundant)} {are} good alone and free to leave out, for the others say the same: "
            f"{_costs(worth, redundant)}."
        )
    free, lost = worth["free"]["inputs"], worth["free"]["lost_without_all"]
    if len(free) > 1 and lost is not None:
        all_at_once = f"Without {listed(free)} at once it costs {difference(score, lost)}"
        chance = ", which may be chance" if covers_zero(lost) else ""
        gain = ": they do harm together" if is_below(lost) else ""
        sentences.append(f"{all_at_once}{chance or gain}.")
    for name in groups["harmful"]:
        better = difference(score, inputs[name]["lost_without"])
        sentences.append(f"‘{name}’ does harm: leaving it out changes the score by {better} for the better.")
    return sentences


def _weak_groups(score: str, compared: Mapping[str, Any] | None) -> list[str]:
    """The subgroups that it does worse on, by more than chance."""
    if not compared:
        return []
    weak = [
        f"‘{column['column']}’ is {entry['value']} ({difference(score, entry['gap'], sign=True)})"
        for column in compared["columns"]
        for entry in column["subgroups"]
        if entry["flagged"] and entry["gap"]["value"] < 0
    ]
    return [f"It does worse, and not by chance, where {part}." for part in weak]


def _costs(worth: Mapping[str, Any], names: Sequence[str]) -> str:
    """What each of ``names`` costs if it alone is left out."""
    by = [f"{difference(worth['score'], worth['inputs'][n]['lost_without'])} without ‘{n}’" for n in names]
    return f"it costs {', '.join(by)}"


def _together(worth: Mapping[str, Any], emap: Mapping[str, Any] | None) -> list[str]:
    """Whether the result needs inputs to interact."""
    needing = [name for name, entry in (emap or {}).items() if is_above(entry["interaction"])]
    if not needing or emap is None:
        return []
    most = max(needing, key=lambda name: emap[name]["interaction"]["value"])
    by = difference(worth["score"], emap[most]["interaction"])
    return [f"{by} of that hang on reading ‘{most}’ together with the rest: a sum of both would not do."]


def _next(worth: Mapping[str, Any], fusing: str, groups: Mapping[str, list[str]]) -> list[str]:
    """What to do about it."""
    steps = []
    best, useless = worth["best_single"], [*groups["nothing"], *groups["harmful"]]
    if fusing in ("even", "loses"):
        steps.append(f"Fit ‘{best}’ alone (--inputs {best}): simpler, and as far as these rows tell as good.")
    elif useless or groups["redundant"]:
        together = worth["free"]["lost_without_all"]
        at_once = useless and (len(useless) == 1 or (together is not None and not is_above(together)))
        free = useless if at_once else [_weakest(worth, useless or groups["redundant"])]
        kept = ",".join(name for name in worth["inputs"] if name not in free)
        steps.append(f"Fit without {listed(free)} (--inputs {kept}) and compare.")
    width = (worth["all"]["high"] or 0) - (worth["all"]["low"] or 0)
    if worth["groups"] < FEWEST_GROUPS or width > WIDE:
        steps.append("Gather more test rows, or cross-validate (--folds 5): the interval is wide.")
    scarce = [name for name, share in worth["present"].items() if share < 0.5]
    if scarce:
        steps.append(f"{listed(scarce)} stand in fewer than half of the rows: more of them may add more.")
    return steps or ["Nothing calls for a change: compare fusions (--fusions all) if more is wanted."]
