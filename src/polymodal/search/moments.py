"""Dates and times as an index keeps them and a condition compares them: in ISO 8601.

Days are ``2024-03-01``, moments ``2024-03-01 05:00:00`` (or with a ``T``), times ``05:00:00``. A day among
moments is its midnight. Moments with an offset from UTC are kept in UTC. In this form the
order of texts is that of time, so that a filter can compare them as texts.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

DATE, ZONED, TIME = KINDS = ("date", "zoned", "time")
"""Kinds of columns: days and moments, moments with an offset from UTC, and times of a day."""
FORMS = {
    DATE: "a date such as '2024-03-01' or '2024-03-01 05:00:00'",
    ZONED: "a moment with its offset from UTC, such as '2024-03-01 05:00:00+01:00'",
    TIME: "a time such as '05:00:00'",
}
"""By kind: the expected value of a condition, for messages."""
LIKE = {DATE: "____-__-__%", ZONED: "____-__-__%+00:00", TIME: "__:__%"}
"""By kind: a pattern of its texts, for a filter; other texts are not comparable."""
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
_ISO = {
    DATE: re.compile(rf"{_DAY}([T ]{_CLOCK})?"),
    ZONED: re.compile(rf"{_DAY}[T ]{_CLOCK}(Z|[+-]\d\d:?\d\d)"),
    TIME: re.compile(_CLOCK),
}


def moment_text(cell: Any) -> str:
    """A date, moment or time as ISO 8601."""
    if not isinstance(cell, datetime.datetime):
        return cell.isoformat()
    return (cell if cell.tzinfo is None else cell.astimezone(datetime.UTC)).isoformat(" ")


def iso_text(text: str, kind: str) -> str | None:
    """A text of a kind in the stored form; None where it is not of that kind."""
    text = text.strip()
    if not _ISO[kind].fullmatch(text):
        return None
    try:
        if kind == TIME:
            return moment_text(datetime.time.fromisoformat(text))
        if len(text) == len("2024-03-01"):
            return moment_text(datetime.date.fromisoformat(text))
        return moment_text(datetime.datetime.fromisoformat(text))
    except ValueError:  # such as the 30th of February
        return None


def kind_of_texts(texts: Iterable[str]) -> str | None:
    """The common kind of texts, as in a CSV; None where there are several kinds, or none."""
    texts = list(texts)
    for kind in KINDS:
        if texts and all(iso_text(text, kind) is not None for text in texts):
            return kind
    return None


def compared(column: str, sign: str, literal: str, kind: str) -> str:
    """The filter that compares a column of texts with a moment in its form.

    Args:
        column: Its name in the filter.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        literal: Of :func:`iso_text`.
        kind: Of the column.
    """
    day = literal.removesuffix(" 00:00:00") if kind == DATE else literal
    if kind != DATE or len(day) > len("2024-03-01"):
        test = f"{column} {sign} '{day}'"
    else:  # a day and its midnight are the same, though one text is longer
        same = f"{column} IN ('{day}', '{day} 00:00:00')"
        test = {
            "=": same, "!=": f"NOT ({same})", "<": f"{column} < '{day}'", ">=": f"{column} >= '{day}'",
            "<=": f"({column} < '{day}' OR {same})", ">": f"({column} > '{day}' AND NOT ({same}))",
        }[sign]  # fmt: skip
    return f"({test})" if sign in ("=", "!=") else f"({test} AND {column} LIKE '{LIKE[kind]}')"
