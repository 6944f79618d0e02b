"""Detection of the number format of a column, and of ambiguities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from polymodal.data.values.column_values import Cells, is_textual, look, parse_numbers
from polymodal.data.values.number_formats import (
    NumberFormat,
    Written,
    is_currency,
    is_known_unit,
    is_plain,
    is_rate,
    split_cell,
)

if TYPE_CHECKING:
    import pyarrow as pa

SHARE = 0.9  # of the cells have to have one format
FIRST = 100  # cells of which most have to look like amounts, or the others are not read
MOST_UNITS = 5
FEWEST = 5  # cells from which signs can be ambiguous
SIGNS = ((",", "."), (" ", "."), ("'", "."), ("", "."), (".", ","), (" ", ","), ("'", ","), ("", ","))
"""Thousands and decimal signs, by preference."""
_DOTS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,3}", re.ASCII)
_PHONE_DIGITS = 9


@dataclass(frozen=True)
class Amounts:
    """The format of a column whose cells look like amounts.

    Attributes:
        format: The sample of the format; None where the cells do not agree, or are written plainly.
        count: Cells that fit.
        plain: Cells that are plain numbers.
        doubt: Another meaning of the cells, or why there is no single format; ``""`` where it is certain.
        other: The sample of the format that reads the cells in the other way; ``""`` where it is certain.
    """

    format: str | None
    count: int
    plain: int
    doubt: str = ""
    other: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether the format reads cells that are no plain numbers."""
        return self.count > self.plain


def find_format(values: pa.ChunkedArray) -> str | None:
    """The format of a column's numbers; None where they are written plainly or are none."""
    if not is_textual(values.type) or not len(parse_numbers(values)[1]):
        return None
    result = find_amounts(look(values))
    return result.format if result and result.is_needed else None


def find_amounts(cells: Cells) -> Amounts | None:
    """The format of a column of texts, without marks of missing values, if they look like amounts."""
    pairs = list(_without_missing(cells))
    if sum(split_cell(text) is not None for text, _ in pairs[:FIRST]) < SHARE / 2 * len(pairs[:FIRST]):
        return None
    total = sum(count for _, count in pairs)
    parts = [(written, count) for text, count in pairs if (written := split_cell(text)) is not None]
    if not parts or sum(count for _, count in parts) < SHARE * total or _are_phones(parts):
        return None
    parts = _with_units(parts)
    unit = _unit(parts, total)
    plain = sum(count for text, count in pairs if is_plain(text))
    if unit is None or isinstance(unit, str):
        return Amounts(None, 0, plain, unit) if unit else None
    kept = [(part, count) for part, count in parts if _affix(part) in (unit, ("", ""))]
    return _signs(kept, total, plain, unit)


def _with_units(parts: Sequence[tuple[Written, int]]) -> list[tuple[Written, int]]:
    """The parts; an ``m`` or ``b`` in all of them is a unit instead of millions."""
    marks = {part.multiple for part, _ in parts}
    if marks not in ({"m"}, {"b"}, {"B"}) or any(part.prefix or part.suffix for part, _ in parts):
        return list(parts)
    unit = marks.pop()
    return [
        (replace(part, suffix=unit.lower(), multiple="", factor=1.0, shown=("", unit)), count)
        for part, count in parts
    ]


def _without_missing(cells: Cells) -> Iterable[tuple[str, int]]:
    import pyarrow as pa

    texts = [str(value) for value in cells.distinct]
    numbers, bad = parse_numbers(pa.chunked_array([pa.array(texts, pa.large_string())]))
    missing = np.isnan(numbers)
    missing[bad] = False
    for text, count, nothing in zip(texts, cells.counts, missing, strict=True):
        if not nothing:
            yield text, int(count)


def _affix(part: Written) -> tuple[str, str]:
    return part.prefix, part.suffix


def _are_phones(parts: Sequence[tuple[Written, int]]) -> bool:
    """Whether groups of digits are all of one length and too long for amounts: ``555 123 4567``."""
    spaced = [part.body for part, _ in parts if " " in part.body]
    lengths = {len(body.replace(" ", "")) for body in spaced}
    return len(spaced) > len(parts) / 2 and len(lengths) == 1 and min(lengths) >= _PHONE_DIGITS


def _unit(parts: Sequence[tuple[Written, int]], total: int) -> tuple[str, str] | str | None:
    """The common prefix and suffix; the ambiguity where known units differ; None where words do."""
    counts: Counter[tuple[str, str]] = Counter()
    for part, count in parts:
        counts[_affix(part)] += count
    bare = counts.pop(("", ""), 0)
    zeros = sum(count for part, count in parts if _affix(part) == ("", "") and not part.body.strip("0.,"))
    if not counts:
        return "", ""
    unit, having = counts.most_common(1)[0]
    if having >= SHARE * (total - zeros):
        return unit
    if bare >= SHARE * total:
        return "", ""
    if len(counts) > MOST_UNITS or not all(is_known_unit(*affix) for affix in counts):
        return None
    shown = [f"'{' '.join(filter(None, affix))}' in {count}" for affix, count in counts.most_common(3)]
    shown += [f"no unit in {bare}"] * bool(bare)
    return f"amounts of different units ({', '.join(shown)} of {total} cells)"


def _signs(
    parts: Sequence[tuple[Written, int]], total: int, plain: int, unit: tuple[str, str]
) -> Amounts | None:
    """The format whose signs fit most cells; of several that fit, the first of :data:`SIGNS`."""
    bodies: Counter[str] = Counter()
    for part, count in parts:
        bodies[part.body] += count
    fits = {signs: _fitting(bodies, *signs) for signs in SIGNS}
    is_money = any(is_currency(affix) for affix in unit)
    best = max(
        fits, key=lambda signs: (fits[signs], is_money and _is_thousands(bodies, signs), _uses(bodies, signs))
    )
    if fits[best] < SHARE * total:
        two = all(any(sign in body for body in bodies) for sign in ".,")
        reason = "numbers with different decimal signs, '.' and ','"
        return Amounts(None, fits[best], plain, reason) if two else None
    multiples = _multiples(parts)
    if multiples is None:
        return Amounts(None, fits[best], plain, "numbers with an 'm' or 'b' that may be a multiple or a unit")
    thousands, decimal = _shown_signs(bodies, best) if unit != ("", "") or best[0] else best
    shown = Counter(part.shown for part, _ in parts if _affix(part) == unit)
    written = NumberFormat(decimal, thousands, *shown.most_common(1)[0][0], multiples)
    doubt = _doubt(bodies, best, fits, unit)
    return Amounts(str(written), fits[best], plain, doubt, str(_exchanged(written)) if doubt else "")


def _exchanged(written: NumberFormat) -> NumberFormat:
    """The format in which the sign between thousands is the decimal one, or the other way round."""
    if written.thousands:
        return replace(written, thousands="", decimal=written.thousands)
    return replace(written, thousands=written.decimal or ".", decimal="")


def _fitting(bodies: Counter[str], thousands: str, decimal: str) -> int:
    written = NumberFormat(decimal, thousands)
    return sum(count for body, count in bodies.items() if written.number(body) is not None)


def _is_thousands(bodies: Counter[str], signs: tuple[str, str]) -> bool:
    """Whether all signs separate thousands: no money has a fraction of three digits."""
    thousands, decimal = signs
    return (
        bool(thousands)
        and any(thousands in body for body in bodies)
        and not any(decimal in body for body in bodies)
    )


def _uses(bodies: Counter[str], signs: tuple[str, str]) -> int:
    """A score of how well the signs explain the cells: those that occur, and no others."""
    thousands, decimal = signs
    used = sum(bool(sign) and any(sign in body for body in bodies) for sign in signs)
    idle = bool(thousands) and not any(thousands in body for body in bodies)
    return 2 * used - idle - (decimal == ",") * (not any("," in body for body in bodies))


def _shown_signs(bodies: Counter[str], signs: tuple[str, str]) -> tuple[str, str]:
    """The signs without a decimal one where all numbers are whole."""
    thousands, decimal = signs
    return thousands, decimal if any(decimal in body for body in bodies) else ""


def _multiples(parts: Sequence[tuple[Written, int]]) -> bool | None:
    """Whether ``k`` and the like multiply; None where a lone ``m`` or ``b`` might also be a unit."""
    seen = {part.multiple for part, _ in parts if part.multiple}
    if not seen:
        return False
    has_money = any(part.prefix or part.suffix for part, _ in parts)
    is_clear = {mark.lower() for mark in seen} - {"m", "b"} or len(seen) > 1 or seen == {"M"} or has_money
    return True if is_clear else None


def _doubt(
    bodies: Counter[str], best: tuple[str, str], fits: dict[tuple[str, str], int], unit: tuple[str, str]
) -> str:
    """The ambiguity where ``1,234`` may be a thousand or a fraction in this column."""
    thousands, decimal = best
    if any(is_currency(affix) for affix in unit) and not (
        any(is_rate(affix) for affix in unit) and all(thousands and thousands in body for body in bodies)
    ):
        return ""
    if best == ("", "."):
        return ambiguous_dots([*bodies])
    if thousands not in (",", ".") or any(decimal in body for body in bodies):
        return ""
    if fits["", thousands] < fits[best]:
        return ""
    example = next(body for body in bodies if thousands in body)
    return f"'{example}' is read with '{thousands}' between thousands; it might be the decimal sign"


def ambiguous_dots(texts: Sequence[str]) -> str:
    """The ambiguity where every dot of a column of texts might separate thousands: ``1.234``, ``950``."""
    dotted = [text for text in texts if "." in text]
    if len(dotted) < FEWEST:
        return ""
    if not all(_DOTS.fullmatch(text.strip()) or _WHOLE.fullmatch(text.strip()) for text in texts):
        return ""
    return f"'{dotted[0].strip()}' is read with '.' as the decimal sign; it might separate thousands"
