"""The name of a value, independent of the table format: normalized Unicode, truth values, numbers, dates."""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np

TRUTH = {"true": "True", "True": "True", "TRUE": "True", "false": "False", "False": "False", "FALSE": "False"}
"""Truth values as JSON, Python and spreadsheets write them, and their names."""

# Zero-width space, word joiner, byte order mark, soft hyphen, marks of direction: invisible.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
# Between two letters of Persian or Hindi, or two emoji, a joiner belongs to the spelling; elsewhere not.
_JOINERS = re.compile("(?<![\u0300-\U0010ffff])[\u200c\u200d]|[\u200c\u200d](?![\u0300-\U0010ffff])")
FLOAT64_DIGITS = 15
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
LARGEST = 300
"""Digits of the largest float; a larger decimal is not written out."""
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_POWER = re.compile(r"[+-]?\d(\.\d+)?e\+\d{2,3}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")


def clean(text: str) -> str:
    """``text`` in Unicode's composed form (NFC), without characters of no width and without outer blanks."""
    if text.isascii():
        return text.strip()
    text = _INVISIBLE.sub("", text)
    if "\u200c" in text or "\u200d" in text:
        text = _JOINERS.sub("", text)
    return unicodedata.normalize("NFC", text).strip()


def is_number_spelling(text: str) -> bool:
    """Whether a clean text is a whole number as floats are written: ``1.0``, ``1e+16``."""
    if text[-1:] != "0" and "e+" not in text:  # most texts are excluded by this
        return False
    return bool(_WHOLE.fullmatch(text) or _POWER.fullmatch(text))


def value_in(text: str) -> str:
    """The name of the value that a clean text spells; other texts are their own names.

    ``true`` and ``TRUE`` give ``True``, ``1.0`` gives ``1``, ``2024-01-31 00:00:00`` gives ``2024-01-31``.
    """
    first = text[:1]
    if first in ("t", "T", "f", "F"):
        return TRUTH.get(text, text)
    if not (first.isdigit() or first in ("+", "-")) or len(text) > 40:
        return text
    if is_number_spelling(text):
        whole = _WHOLE.fullmatch(text)
        return (whole.group(1) if whole.group(1) != "-0" else "0") if whole else _power(text)
    return _date(text) if text[4:5] == "-" and _DATE.fullmatch(text) else text


def _power(text: str) -> str:
    number = float(text)
    return str(int(number)) if number.is_integer() else text


def _date(text: str) -> str:
    try:
        return date_name(datetime.datetime.fromisoformat(text.replace(",", ".")))
    except ValueError:  # no such day
        return text


def date_name(moment: datetime.datetime) -> str:
    """A moment in ISO's form; the date alone at midnight where no time zone is given."""
    if moment.tzinfo is None and moment.time() == datetime.time():
        return moment.date().isoformat()
    return moment.isoformat()


def as_text_of(cell: Any) -> str:
    """A number, date or time as a text that reads back as the same."""
    if isinstance(cell, (int, float, Decimal)):
        return str(cell)
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(" ")
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return as_label(cell)


def as_label(value: Any) -> str:
    """The name of a class or category: the same from a CSV, a DataFrame, dicts, JSON and Parquet.

    Empty cells (None, NaN, blank text) give ``""``. ``1``, ``1.0`` and ``"1.0"`` give ``"1"``, ``true`` and
    ``TRUE`` ``"True"``, midnight of a day the day; other texts are unchanged (``"1.10"`` is no ``"1.1"``).
    """
    return value_in(clean(value)) if isinstance(value, str) else _plain_label(value)


def as_written(value: Any) -> str:
    """The spelling of a cell: of a text after :func:`clean`, of other values their label."""
    return clean(value) if isinstance(value, str) else _plain_label(value)


def _plain_label(value: Any) -> str:
    if isinstance(value, np.generic):
        value = _plain(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, datetime.datetime):
        # pandas' own type has nanoseconds, which no other format has
        return date_name(value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value)
    if isinstance(value, int | float | Decimal):
        return _number_label(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bytes):  # texts of Parquet files without the string type
        return value_in(clean(value.decode(errors="backslashreplace")))
    return value_in(clean(str(value)))


def _plain(value: np.generic) -> Any:
    """A NumPy value as a Python value; a float32 by its own shortest spelling."""
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]").item()
    if isinstance(value, (np.float16, np.float32)):
        return float(str(value))
    return value.item()


def _number_label(value: float | Decimal) -> str:
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    if isinstance(value, Decimal):
        near = repr(float(value))
        if abs(value.adjusted()) > LARGEST or Decimal(near) != value:
            return str(value.normalize())
        return value_in(near)
    return str(int(value)) if value == int(value) else _float_label(value)


def _float_label(value: float) -> str:
    """The shortest spelling; of a former float32 by the digits of float32.

    A table, a list or JSON may have widened it: 0.1 is then 0.10000000149011612.
    """
    text = repr(value)
    if len(text) <= FLOAT64_DIGITS or not abs(value) < LARGEST_FLOAT32:
        return text
    short = np.float32(value)
    if float(short) != value:
        return text
    digits = text.partition("e")[0].replace(".", "").lstrip("-0")
    return text if len(digits) < FLOAT64_DIGITS else str(short)
