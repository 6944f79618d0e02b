"""Dates, moments and times of a day as seconds since 1970, and the order of day and month in a column.

A date is written ``2024-12-31``, ``31.12.2024``, ``12/31/2024``, ``31 December 2024``, ``Dec 31, 2024`` or
``2024年12月31日``, with or without a time and an offset from UTC. A moment with an offset is converted to
UTC, one without is taken as written. A time of a day alone is a moment of the first of January 1970.

The order of day and month is that of the whole column, for ``03/04/2024`` alone may be either. It is named by
the last day of 2024 as the column writes it: ``31/12/2024`` or ``12/31/2024``.
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.cells import MediaError, describe
from polymodal.data.values.column_values import EMPTY_NUMBERS, Cells, as_label, is_textual, look
from polymodal.data.values.number_formats import clean

if TYPE_CHECKING:
    import pyarrow as pa

DAY_FIRST, MONTH_FIRST = "31/12/2024", "12/31/2024"
"""The two orders of day and month, as the setting ``format`` names them."""
SAMPLE = datetime.datetime(2024, 12, 31)
EPOCH = datetime.datetime(1970, 1, 1)
DAY = 86_400.0
"""Seconds of a day."""
CENTURY = 69
"""Years of two digits from here on are of the last century, as POSIX reads them."""
FEWEST_DAYS = 20
"""Different first numbers of dates from which they are days: as years, a column would span as many."""
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"),
        start=1,
    )
    for name in names.split()
}
_WEEKDAY = r"(?:[a-zäö]{2,10}\.?,?\s+)?"
_NAME = r"(?P<name>[a-zä]{3,10})\.?"
_DAYS = (
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
    r"(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second>\d{1,2})[-/.](?P<year>\d{4}|\d{2})",
    r"(?P<year>\d{4})年(?P<month>\d{1,2})月(?P<day>\d{1,2})日",
    rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[\s-]{_NAME},?[\s-](?P<year>\d{{4}}|\d{{2}})",
    rf"{_WEEKDAY}{_NAME}\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s(?P<year>\d{{4}})",
)
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?(?:\s*(?P<zone>z|utc|gmt|[+-]\d{2}(?::?\d{2})?))?"
)
_FORMS = [re.compile(rf"{day}(?:[t\s,]+{_CLOCK})?", re.IGNORECASE | re.ASCII) for day in _DAYS]
_TIME = re.compile(_CLOCK, re.IGNORECASE | re.ASCII)
Parts = dict[str, str | None]


@dataclass(frozen=True)
class DateOrder:
    """How the dates of a column are written.

    Attributes:
        format: :data:`DAY_FIRST` or :data:`MONTH_FIRST`; None where no cell needs an order, or the cells
            contradict each other.
        doubt: Why the order is in doubt; ``""`` where it is certain.
        other: The format that reads the cells in the other order; ``""`` where none does.
    """

    format: str | None = None
    doubt: str = ""
    other: str = ""


def check_date_format(sample: str) -> bool:
    """Whether the format named by ``sample`` has the day first.

    Raises:
        ValueError: If it is not the last day of 2024 in either order.
    """
    for day_first in (True, False):
        if _parsed(sample, day_first) == SAMPLE:
            return day_first
    raise ValueError(
        f"'{sample}' is not the 31st of December 2024 as the column writes it, such as '31.12.2024'"
    )


def find_order(cells: Cells) -> DateOrder:
    """The order of day and month in which all texts of a column are dates.

    Where every date may be read in either order, those with points have the day first, others the month
    first, as pandas reads them; the doubt names this.
    """
    parts = [result for text in cells.distinct if (result := _numbers_of(str(text))) is not None]
    firsts = any(int(first) > 12 for first, _, _ in parts)
    seconds = any(int(second) > 12 for _, second, _ in parts)
    if firsts and seconds:
        return DateOrder(doubt="dates, some with the day first and some with the month")
    if firsts and (year_first := _year_doubt(cells)):
        return year_first
    if firsts or seconds:
        return DateOrder(DAY_FIRST if firsts else MONTH_FIRST)
    if not parts:
        return DateOrder()
    if all(sign == "." for _, _, sign in parts):
        return DateOrder(DAY_FIRST)
    doubt = "in every date the day may be the month ('{}'), read with the month first"
    example = next((str(text) for text in cells.distinct if _numbers_of(str(text)) is not None), "")
    is_same = all(first == second for first, second, _ in parts)
    return DateOrder(MONTH_FIRST) if is_same else DateOrder(MONTH_FIRST, doubt.format(example), DAY_FIRST)


def _year_doubt(cells: Cells) -> DateOrder | None:
    """The doubt of dates whose first number may be the year, such as ``24-01-15``; None where it is the day.

    It may be where all years have two digits and all last numbers could be days. Days take more values than
    years: where the last numbers take at least as many as the first, no order is assumed; where the first
    take more, they are read as days, which is certain from :data:`FEWEST_DAYS` on.
    """
    ends = [result for text in cells.distinct if (result := _ends_of(str(text))) is not None]
    if not all(len(last) == 2 and 1 <= int(last) <= 31 for _, last in ends):
        return None
    firsts, lasts = ({int(pair[index]) for pair in ends} for index in (0, 1))
    example = next(str(text) for text in cells.distinct if _ends_of(str(text)) is not None)
    if len(firsts) <= len(lasts):
        doubt = f"dates of which the first or the last number may be the year ('{example}')"
        return DateOrder(doubt=doubt, other=DAY_FIRST)
    if len(firsts) >= FEWEST_DAYS:
        return None
    doubt = f"in every date the first number may be the year ('{example}'), read with the day first"
    return DateOrder(DAY_FIRST, doubt)


def find_date_format(values: pa.ChunkedArray) -> str | None:
    """The format of a column of dates; None where its cells need none."""
    return find_order(look(values)).format if is_textual(values.type) else None


def is_temporal(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds dates, moments or times of a day."""

    import pyarrow as pa

    return pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind)


def read_date(cell: Any, written: str | None = None) -> float:
    """The moment in a cell as seconds since 1970, NaN where the cell is empty.

    Args:
        cell: A date, a moment, a time of a day, or a text that writes one.
        written: See :func:`check_date_format`; by default the day is first.

    Raises:
        MediaError: If it holds something else.
    """
    seconds = _seconds(cell, written)
    if math.isinf(seconds):
        result = describe(cell) if isinstance(cell, str) else as_label(cell)
        expected = f"a date, written as {written}" if written else "a date, such as 2024-12-31"
        raise MediaError(found=f"'{result}'", expected=expected, cure="Correct the date, or leave it empty")
    return seconds


def parse_dates(values: pa.ChunkedArray, written: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The cells as seconds since 1970, and which of them hold something that is no date.

    Args:
        values: The cells.
        written: See :func:`check_date_format`.

    Returns:
        ``seconds (rows,)`` float64, NaN where the cell is empty or bad, and the indices of the bad cells.
    """

    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode(null_encoding="encode")
    encoded = values.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # what pyarrow gives back where there are no rows
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    known = [_seconds(cell, written) for cell in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), len(known)).to_numpy(zero_copy_only=False)
    seconds = np.array([*known, math.nan])[codes]
    bad = np.flatnonzero(np.isinf(seconds))
    seconds[bad] = math.nan
    return seconds, bad


def as_moment(seconds: float) -> datetime.datetime:
    """The moment of seconds since 1970, within the years 1 to 9999."""
    low, high = (
        (datetime.datetime.min - EPOCH).total_seconds(),
        (datetime.datetime.max - EPOCH).total_seconds(),
    )
    return EPOCH + datetime.timedelta(seconds=min(max(seconds, low), high - 1))


def show_date(seconds: float) -> str:
    """``2024-12-31``, or ``2024-12-31 08:30:00`` where it is not midnight."""
    moment = as_moment(round(seconds))
    return str(moment) if seconds % DAY else str(moment.date())


def _seconds(cell: Any, written: str | None) -> float:
    """As :func:`read_date`; infinity where it is no date."""
    return _in_text(cell, written) if isinstance(cell, str) else _of_object(cell)


@lru_cache(maxsize=1 << 16)
def _in_text(text: str, written: str | None) -> float:
    if text.strip().lower() in EMPTY_NUMBERS:
        return math.nan
    moment = _parsed(text, written is None or check_date_format(written))
    return math.inf if moment is None else (moment - EPOCH).total_seconds()


def _of_object(cell: Any) -> float:
    if isinstance(cell, np.datetime64):
        cell = cell.astype("datetime64[us]").item()
    if cell is None or as_label(cell) == "":
        return math.nan
    if isinstance(cell, datetime.datetime):
        cell = cell.to_pydatetime(warn=False) if hasattr(cell, "to_pydatetime") else cell
        return (_naive(cell) - EPOCH).total_seconds()
    if isinstance(cell, datetime.date):
        return (datetime.datetime(cell.year, cell.month, cell.day) - EPOCH).total_seconds()
    if isinstance(cell, datetime.time):
        return (datetime.datetime.combine(EPOCH, cell.replace(tzinfo=None)) - EPOCH).total_seconds()
    return math.inf


def _naive(moment: datetime.datetime) -> datetime.datetime:
    """A moment in UTC, without its offset; near the ends of the calendar the offset alone goes."""
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except OverflowError:
        return moment.replace(tzinfo=None)


def _match(text: str) -> Parts | None:
    """The parts of a text that is a date, a moment or a time; None for any other."""
    if len(text) > 80:
        return None
    cleaned = clean(text)
    match = next(filter(None, (form.fullmatch(cleaned) for form in _FORMS)), None) or _TIME.fullmatch(cleaned)
    return None if match is None else match.groupdict()


def _numbers_of(text: str) -> tuple[str, str, str] | None:
    """The first and second number of a date that needs an order, and the sign between them."""
    parts = _match(text)
    if parts is None or parts.get("first") is None:
        return None
    return str(parts["first"]), str(parts["second"]), str(parts["sign"])


def _ends_of(text: str) -> tuple[str, str] | None:
    """The first and the last number of a date that needs an order."""
    parts = _match(text)
    return None if parts is None or parts.get("first") is None else (str(parts["first"]), str(parts["year"]))


def _parsed(text: str, day_first: bool) -> datetime.datetime | None:
    """The moment a text writes, in UTC where it has an offset; None where it writes none."""
    parts = _match(text)
    if parts is None:
        return None
    try:
        moment = datetime.datetime(*_date_of(parts, day_first), *_clock_of(parts))
        return _naive(moment.replace(tzinfo=_zone_of(parts["zone"])))
    except (ValueError, OverflowError):  # such as the 30th of February
        return None


def _date_of(parts: Parts, day_first: bool) -> tuple[int, int, int]:
    """Year, month and day."""
    if parts.get("year") is None:
        return EPOCH.year, EPOCH.month, EPOCH.day
    year = int(str(parts["year"]))
    if len(str(parts["year"])) == 2:
        year += 1900 if year >= CENTURY else 2000
    if parts.get("first") is not None:
        numbers = int(str(parts["first"])), int(str(parts["second"]))
        day, month = numbers if day_first else numbers[::-1]
        return year, month, day
    if parts.get("name") is not None:
        month = _MONTHS.get(str(parts["name"]).lower()[:3], 0)
    else:
        month = int(str(parts["month"]))
    return year, month, int(str(parts["day"]))


def _clock_of(parts: Parts) -> tuple[int, int, int, int]:
    """Hour, minute, second and microsecond."""
    if parts["hour"] is None:
        return 0, 0, 0, 0
    hour = int(parts["hour"])
    if parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("no hour of half a day")
        hour = hour % 12 + 12 * (parts["half"].lower() == "p")
    fraction = (parts["fraction"] or "0")[:6].ljust(6, "0")
    return hour, int(str(parts["minute"])), int(parts["seconds"] or 0), int(fraction)


def _zone_of(zone: str | None) -> datetime.tzinfo | None:
    if zone is None:
        return None
    if zone[0] not in "+-":
        return datetime.UTC
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    return datetime.timezone(offset if zone[0] == "+" else -offset)
