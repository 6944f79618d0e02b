"""Explanations as one tidy table, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from polymodal.attribution.attributed_parts import InputMap, Part
from polymodal.attribution.explain import Explanation
from polymodal.attribution.plain_parts import PlainMap
from polymodal.data.targets import TargetReader
from polymodal.data.values.label_types import plain
from polymodal.plain.explaining import others_in

GRADIENTS = "integrated gradients"
MOST_PARTS = 10
"""Parts of an input in JSON, those that add most; the table has all."""
COLUMNS: dict[str, str] = {
    "row": "int64", "target": "str", "answer": "str", "confidence": "float64", "input": "str",
    "modality": "str", "item": "Int64", "part": "str", "text": "str", "start": "float64", "end": "float64",
    "left": "float64", "top": "float64", "right": "float64", "bottom": "float64", "share": "float64",
    "attribution": "float64", "unit": "str", "error": "float64", "relative_error": "float64",
    "steps": "int64", "flagged": "bool", "method": "str", "weight": "float64", "note": "str",
}  # fmt: skip
"""Columns and their types; see :func:`explanation_frame`."""


def explanation_frame(explained: Iterable[Explanation]) -> pd.DataFrame:
    """One row per row × target × input × part.

    Returns:
        ``row`` (from 1), ``target``, ``answer``, ``confidence``, ``input``, ``modality``; ``item`` of the
        cell from 1; ``part``: ``input`` (the whole), ``word``, ``cell``, ``box``, ``frame``, ``span``,
        ``step``, ``feature`` (a column of what plain models compute), or ``missing``; its ``text``;
        ``start`` and ``end`` (letters from 0, seconds, or steps and frames from 1); ``left``, ``top``,
        ``right`` and ``bottom`` of a box, shares of the picture that the encoder sees; ``share`` of a whole
        input: its Shapley value in probability or the target's unit; ``attribution`` in ``unit`` by
        ``method``, where the parts of an input add up to its whole, and ``weight``: the share in the answer
        of the models that it is of (a blend has lines of its neural model, then of its plain ones); and of
        the prediction ``error``, ``relative_error``, ``steps`` and ``flagged``, and a ``note``.
    """
    lines = [line for entry in explained for line in _lines(entry)]
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype(COLUMNS)


def _lines(entry: Explanation) -> Iterator[dict[str, Any]]:
    answer, attribution = entry.said, entry.found
    same = {
        "row": entry.row, "target": answer.target, "answer": _spoken(answer.answer), "text": "", "note": "",
        "confidence": answer.confidence, "unit": answer.unit, "error": attribution.error,
        "steps": attribution.steps, "relative_error": attribution.relative, "flagged": attribution.flagged,
    }  # fmt: skip
    plain = entry.plain
    neural = {"method": GRADIENTS, "weight": entry.weight} if entry.weight else {"method": ""}
    for name, part in entry.inputs.items():
        named = same | {"input": name, "modality": part.modality} | neural
        yield named | {
            "part": "input", "share": part.share, "attribution": part.attribution,
            "note": "; ".join(filter(None, (answer.note, part.note))),
        }  # fmt: skip
        for piece in part.parts:
            yield named | _piece(piece)
    if plain is not None:
        yield from _plain_lines(same, plain)
    for name in entry.missing:
        lacking = same | {"input": name, "modality": "", "part": "missing", "method": ""}
        if plain and name in plain.missing:
            lacking |= {"attribution": plain.missing[name], "method": plain.method, "weight": plain.weight}
        yield lacking | {"note": "the row lacks it: no map"}


def _plain_lines(same: Mapping[str, Any], found: PlainMap) -> Iterator[dict[str, Any]]:
    for name, part in found.inputs.items():
        named = {**same, "input": name, "modality": part.modality}
        named |= {"method": found.method, "weight": found.weight}
        yield named | {"part": "input", "attribution": part.attribution, "note": found.note}
        for piece in part.parts:
            yield named | _piece(piece)


def _piece(part: Part) -> dict[str, Any]:
    sides = ("left", "top", "right", "bottom")
    own = {"part": part.kind, "item": part.item, "text": part.text, "start": part.start, "end": part.end}
    box = dict(zip(sides, part.box, strict=True)) if part.box else {}
    return own | box | {"attribution": part.attribution}


def summary(entry: Explanation, targets: Mapping[str, TargetReader] | None = None) -> dict[str, Any]:
    """One explanation as JSON: the prediction, the completeness error, the attribution of each input by the
    neural model, which has ``weight`` of the answer, and the contributions in the plain models of a blend.

    Args:
        entry: The explanation.
        targets: Readers of the targets, for the type of labels; without them labels are texts.
    """
    predicted, attribution = entry.said, entry.found
    answer = predicted.answer
    if targets and isinstance(answer, str):
        answer = plain(targets[predicted.target].value_of.get(answer, answer))
    return {
        "row": entry.row,
        "target": predicted.target,
        "answer": answer,
        "confidence": predicted.confidence,
        "unit": predicted.unit,
        "value": _finite(attribution.value),
        "base": _finite(attribution.base),
        "error": _finite(attribution.error),
        "relative_error": _finite(attribution.relative),
        "steps": attribution.steps,
        "flagged": attribution.flagged,
        "note": predicted.note,
        "weight": entry.weight,
        "inputs": {name: _input(part) for name, part in entry.inputs.items()},
        "missing": list(entry.missing),
        "plain": None if entry.plain is None else _plain(entry.plain),
    }


def _plain(found: PlainMap) -> dict[str, Any]:
    """The plain models of a blend as JSON: what is explained of each, and the parts that add most."""
    return {
        "weight": found.weight,
        "score": _finite(found.score),
        "base": _finite(found.base),
        "models": [
            {
                "name": model.name, "weight": model.weight, "method": model.method or None,
                "score": model.score, "base": model.base,
            }
            for model in found.models
        ],
        "inputs": {
            name: {
                "contribution": _finite(part.attribution),
                "parts": [_filled(piece) for piece in _strongest(part, MOST_PARTS)],
            }
            for name, part in found.inputs.items()
        },
        "missing": {name: _finite(value) for name, value in found.missing.items()},
    }  # fmt: skip


def _input(part: InputMap) -> dict[str, Any]:
    strongest = _strongest(part, len(part.parts))
    strongest.sort(key=lambda piece: others_in(piece.text) > 0)  # a sum is no part
    content: dict[str, Any] = {
        "share": _finite(part.share),
        "attribution": _finite(part.attribution),
        "note": part.note,
    }
    if strongest:
        content["strongest"] = _filled(strongest[0])
    return content


def _strongest(part: InputMap, most: int) -> list[Part]:
    """The parts with the largest attributions, the largest first."""
    return sorted(part.parts, key=lambda piece: -abs(piece.attribution))[:most]


def _filled(piece: Part) -> dict[str, Any]:
    return {key: value for key, value in _piece(piece).items() if value not in (None, "")}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _spoken(answer: str | float) -> str:
    return answer if isinstance(answer, str) else f"{answer:.6g}"
