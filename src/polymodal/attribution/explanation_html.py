"""Explanations as HTML: embedded heat maps, marked words, bars."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image
from scipy.ndimage import gaussian_filter

from polymodal.attribution.attributed_parts import CELL, FEATURE, Drawing, InputMap, Part
from polymodal.attribution.explain import Explanation
from polymodal.attribution.plain_parts import PlainMap
from polymodal.evaluation.number_text import number, plain, points
from polymodal.plain.explaining import OTHERS, others_in

FOR, AGAINST = np.array([217.0, 130.0, 43.0]), np.array([61.0, 125.0, 216.0])
"""Orange for positive attributions, blue for negative ones."""
TALLEST, WIDEST = 200, 420
"""Pixels of a drawing."""
BLUR = 0.02
"""Standard deviation of the smoothing of a drawn heat map, as a share of its longer side."""
MOST_CELLS, MOST_FEATURES = 20, 8


def row_content(entry: Explanation) -> dict[str, Any]:
    """The values of the template for one explanation."""
    maps = list(entry.inputs.values())
    scale = max([abs(part.share) for part in maps] or [0.0])
    return {
        "entry": entry,
        "answer": spoken_answer(entry),
        "shares": [bar(part.name, part.share, scale, spoken_share(part.share, entry)) for part in maps],
        "sum": sum_in_words(entry),
        "cells": table_bars(maps),
        "inside": _shared_note(maps),
        "maps": [(part, [drawn(drawing) for drawing in part.drawings]) for part in maps],
        "plain": None if entry.plain is None else plain_content(entry.plain),
    }


def plain_content(found: PlainMap) -> dict[str, Any]:
    """The values of the template for the contributions in the plain models of a blend."""
    maps = list(found.inputs.values())
    missing = [(f"{name} (missing)", value) for name, value in found.missing.items() if value]
    scale = max([abs(value) for _, value in missing] or [0.0])
    return {
        "note": found.note,
        "missing": [bar(name, value, scale, plain(value, sign=True)) for name, value in missing],
        "cells": table_bars(maps),
        "maps": [(p.name, [drawn(d) for d in p.drawings], feature_bars(p)) for p in maps],
        "score": found.score,
        "base": found.base,
    }


def feature_bars(part: InputMap) -> list[dict[str, Any]]:
    """Bars of the columns of one input that add most, and one of the sum of all others."""
    pieces = [(p.text, p.attribution) for p in part.parts if p.kind == FEATURE]
    pieces.sort(key=lambda piece: (others_in(piece[0]) > 0, -abs(piece[1])))  # a sum is no column
    if rest := pieces[MOST_FEATURES:]:
        count = sum(others_in(text) or 1 for text, _ in rest)
        pieces = [*pieces[:MOST_FEATURES], (f"{count} {OTHERS}", sum(value for _, value in rest))]
    scale = max((abs(value) for _, value in pieces), default=0.0)
    return [bar(text, value, scale, plain(value, sign=True)) for text, value in pieces]


def _shared_note(maps: Sequence[InputMap]) -> str:
    """The note that all inputs have, which is shown once; empty where they have none or differ."""
    notes = {part.note for part in maps}
    return notes.pop() if len(notes) == 1 else ""


def spoken_answer(entry: Explanation) -> str:
    """The prediction as text: a class, or a number in the target's unit."""
    answer = entry.said.answer
    return answer if isinstance(answer, str) else plain(answer, unit=entry.target_unit)


def spoken_share(share: float, entry: Explanation) -> str:
    """A share with its sign: percentage points of probability, or the target's own unit."""
    if entry.said.unit:
        return points("accuracy", share, sign=True)
    return plain(share, sign=True, unit=entry.target_unit)


def sum_in_words(entry: Explanation) -> str:
    """The prediction as the sum of its base value and the shares: ``base value 12 + shares 30 = 42``."""
    added = sum(part.share for part in entry.inputs.values())
    value = entry.said.answer if entry.said.confidence is None else entry.said.confidence
    if isinstance(value, str):
        return ""

    def shown(number_: float) -> str:
        return number("accuracy", number_) if entry.said.unit else plain(number_, unit=entry.target_unit)

    base, whole = shown(value - added), shown(value)
    return f"{base} without any input (base value), {spoken_share(added, entry)} by all inputs: {whole}"


def table_bars(maps: Iterable[InputMap]) -> list[dict[str, Any]]:
    """Bars of all inputs of one value per cell, the strongest first."""
    cells = [(part.name, piece) for part in maps for piece in part.parts if piece.kind == CELL]
    cells.sort(key=lambda named: -abs(named[1].attribution))
    scale = abs(cells[0][1].attribution) if cells else 0.0
    return [
        bar(f"{name} = {piece.text}", piece.attribution, scale, plain(piece.attribution, sign=True))
        for name, piece in cells[:MOST_CELLS]
    ]


def bar(name: str, value: float, scale: float, text: str) -> dict[str, Any]:
    """A bar from the middle: its width in percent of the half, and to which side."""
    width = 100 * min(1.0, abs(value) / scale) if scale else 0.0
    return {"name": name, "width": round(width, 1), "side": "for" if value >= 0 else "against", "text": text}


def drawn(drawing: Drawing) -> dict[str, Any]:
    """A drawing as ``kind`` and ``content``: marked text, or data URIs of the picture and of its heat map."""
    if drawing.kind == "text":
        return {"kind": "text", "content": marked(drawing.text, drawing.parts), "axis": ""}
    assert drawing.under is not None and drawing.heat is not None
    size = shown_size(drawing.heat.shape[1], max(drawing.heat.shape[0], drawing.under.shape[0]), drawing.tall)
    under = Image.fromarray(drawing.under).resize(size, Image.Resampling.NEAREST)
    return {
        "kind": "heat",
        "plain": uri(under),
        "content": uri(heated(under, drawing.heat)),
        "axis": drawing.axis,
    }


def shown_size(width: int, height: int, tall: float) -> tuple[int, int]:
    """Width and height in pixels; see :attr:`Drawing.tall`."""
    if not tall:
        return WIDEST, min(TALLEST, max(24, height * 3))
    scale = min(2 * WIDEST / width, tall * TALLEST / height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def heated(under: Image.Image, heat: np.ndarray) -> Image.Image:
    """A heat map ``(height, width)`` over a pale grey version of a picture."""
    smooth = gaussian_filter(heat, BLUR * max(heat.shape)) if min(heat.shape) > 8 else heat
    scale = np.quantile(np.abs(smooth), 0.995) or np.abs(smooth).max() or 1.0
    laid = Image.fromarray((smooth / scale).clip(-1, 1).astype(np.float32))
    strength = np.asarray(laid.resize(under.size, Image.Resampling.BILINEAR))[..., np.newaxis]
    grey = 96 + np.asarray(under.convert("L"), dtype=float)[..., np.newaxis] * 0.55
    colour = np.where(strength > 0, FOR, AGAINST)
    share = 0.9 * np.abs(strength) ** 0.7
    return Image.fromarray((grey * (1 - share) + colour * share).clip(0, 255).astype(np.uint8))


def uri(picture: Image.Image) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def marked(text: str, parts: Iterable[Part]) -> Markup:
    """The text with words coloured by their attribution; parts that were not read are pale."""
    words = list(parts)
    scale = max([abs(word.attribution) for word in words] or [0.0]) or 1.0
    shown, end = Markup(""), 0
    for word in words:
        if word.start is None or word.end is None:  # the tokenizer has no offsets
            shown += _word(word.text, word.attribution, scale) + " "
            end = len(text)
            continue
        start, behind = int(word.start), int(word.end)
        shown += escape(text[end:start]) + _word(text[start:behind], word.attribution, scale)
        end = behind
    rest = text[end:].strip()
    if not re.search(r"\w", rest):  # a full stop, which is not what was left unread
        return shown + escape(text[end:])
    return shown + (Markup(' <span class="truncated">{}</span>').format(rest) if rest else "")


def _word(text: str, attribution: float, scale: float) -> Markup:
    side = "for" if attribution >= 0 else "against"
    strength = round(70 * abs(attribution) / scale)
    return Markup('<span class="w" title="{}" style="--s:{}%;--c:var(--{})">{}</span>').format(
        plain(attribution, sign=True), strength, side, text
    )


def spoken_confidence(entry: Explanation) -> str:
    """The confidence as text, ``97.2 %``; empty for a number."""
    return "" if entry.said.confidence is None else number("accuracy", entry.said.confidence)
