"""Dates, moments and times of a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.values.column_values import EMPTY_NUMBERS, as_label
from polymodal.data.values.dates import DAY, check_date_format, parse_dates, read_date, show_date
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.numbers import bounded, mean_and_deviation
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns

CALENDAR = ("days since 1970", "year", "month", "day of the month", "weekday")
CLOCK = ("hour", "minute")
"""Read where a training cell has a time of day."""
CYCLES = {"month": 12, "day of the month": 31, "weekday": 7, "hour": 24, "minute": 60}
"""Cyclic numbers and their periods: December is next to January."""


@READERS.register("date")
class DateReader(Reader):
    """Dates to their calendar numbers: each standardized, and as sine and cosine where it is cyclic.

    Args:
        mean: Of each number of :data:`CALENDAR`, and with ``clock`` of :data:`CLOCK`, in training.
        deviation: Of the same.
        clock: Whether the time of day is read.
        written: The order of day and month; see :mod:`polymodal.data.values.dates`.
    """

    modality = "date"
    noun = "date"
    vectors = ("mean", "deviation")
    required = ("mean", "deviation", "clock")
    cached = False
    FAR = 8.0
    """Deviations from the mean beyond which a number counts as no farther: one typing error must not rule."""

    def __init__(
        self,
        *,
        mean: Sequence[float] = (),
        deviation: Sequence[float] = (),
        clock: bool = False,
        written: str | None = None,
    ) -> None:
        self.names = CALENDAR + CLOCK * clock
        self.mean = np.asarray(mean if len(mean) else [0.0] * len(self.names), dtype=np.float64)
        self.deviation = np.asarray(deviation if len(deviation) else [1.0] * len(self.names))
        self.clock, self.written = clock, written
        if not len(self.names) == len(self.mean) == len(self.deviation):
            raise ValueError(f"a reader of dates with {len(self.mean)} means, expected {len(self.names)}")
        if written is not None:
            check_date_format(written)  # a saved run's may be damaged

    @classmethod
    def fit(cls, columns: TrainingColumns) -> DateReader:
        """See :class:`Reader`."""
        written = columns.config.format
        seconds = parse_dates(columns.values, written)[0]
        return cls.of_seconds(seconds[~np.isnan(seconds)], written)

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> DateReader:
        """See :class:`Reader`; with the time of day where the encoder reads as many features."""
        clock = getattr(encoder, "features", 0) == cls(clock=True).features
        known = np.array([read_date(cell) for cell in cells], dtype=np.float64)
        return cls.of_seconds(known[~np.isnan(known)], clock=clock)

    @classmethod
    def of_seconds(
        cls, known: np.ndarray, written: str | None = None, *, clock: bool | None = None
    ) -> DateReader:
        """The reader of a column whose training cells are ``known`` ``(rows,)`` seconds since 1970.

        Args:
            known: None of them is empty.
            written: See :class:`DateReader`.
            clock: By default whether one of them has a time of day.
        """
        clock = bool((known % DAY).any()) if clock is None else clock
        if not len(known):
            return cls(clock=clock, written=written)
        scales = [mean_and_deviation(column) for column in calendar_numbers(known, clock).T]
        mean, deviation = zip(*scales, strict=True)
        return cls(mean=mean, deviation=deviation, clock=clock, written=written)

    @classmethod
    def without_rare(
        cls, values: pa.ChunkedArray, config: InputConfig, rows: int, missing: Marks = DEFAULT_MARKS
    ) -> pa.ChunkedArray:
        """See :class:`Reader`: moments between the means of the ``rows`` earliest and of the ``rows`` latest.

        They are whole days where fewer than ``rows`` rows have a time of day. Cells that hold no date stay as
        they are, for the check to name them.
        """

        import pyarrow as pa

        seconds = parse_dates(values, config.format)[0]
        timed = np.count_nonzero(seconds[~np.isnan(seconds)] % DAY) >= rows
        step = 1.0 if timed else DAY
        limited = np.floor(bounded(seconds, rows) / step) * step
        moments = np.full(len(limited), np.datetime64("NaT", "s"))
        known = ~np.isnan(limited)
        moments[known] = limited[known].astype(np.int64).astype("datetime64[s]")
        cells = values.to_pylist()
        unread = [
            bool(np.isnan(moment)) and not cls.is_empty(missing.cleared(cell))
            for moment, cell in zip(seconds, cells, strict=True)
        ]
        if not any(unread):
            return pa.chunked_array([pa.array(moments, pa.timestamp("s"))])
        written = [None if np.isnat(moment) else str(moment) for moment in moments]
        kept = [
            as_label(cell) if bad else date for cell, bad, date in zip(cells, unread, written, strict=True)
        ]
        return pa.chunked_array([pa.array(kept, pa.large_string())])

    @classmethod
    def check_settings(cls, settings: dict[str, Any]) -> None:
        """See :class:`Reader`."""
        super().check_settings(settings)
        if type(settings["clock"]) is not bool:
            raise ValueError("a reader of dates with a clock that is neither true nor false")
        expected = len(CALENDAR + CLOCK * settings["clock"])
        for name in cls.vectors:
            if len(settings[name]) != expected:
                raise ValueError(f"a reader of dates with {len(settings[name])} {name}s, expected {expected}")

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """See :class:`Reader`."""
        read_date(item, config.format)

    def declared(self, config: InputConfig, missing: Marks) -> DateReader:
        """See :class:`Reader`."""
        return super().declared(config, missing).with_settings(written=config.format)

    @property
    def features(self) -> int:
        """Numbers that the encoder reads of a date."""
        return len(self.names) + 2 * sum(name in CYCLES for name in self.names)

    def read(self, cell: Any, root: Root) -> float:
        """Seconds since 1970."""
        return read_date(cell, self.written)

    def blank(self) -> float:
        """The mean of the training dates."""
        return float(self.mean[0] * DAY)

    def arrays(self, items: Sequence[float]) -> dict[str, np.ndarray]:
        """``value`` ``(items, features)``: the standardized numbers, days first, then sines and cosines."""
        numbers = calendar_numbers(np.asarray(items, dtype=np.float64), self.clock)
        scaled = np.clip((numbers - self.mean) / self.deviation, -self.FAR, self.FAR)
        turns = [
            2 * np.pi * numbers[:, index] / CYCLES[name]
            for index, name in enumerate(self.names)
            if name in CYCLES
        ]
        circles = [function(turn) for turn in turns for function in (np.sin, np.cos)]
        return {"value": np.column_stack([scaled, *circles]).astype(np.float32)}

    @classmethod
    def is_empty(cls, cell: Any) -> bool:
        """See :class:`Reader`; ``NA`` and its like are empty too."""
        return super().is_empty(cell) or (isinstance(cell, str) and cell.strip().lower() in EMPTY_NUMBERS)

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`: the date itself, however it is written."""
        return show_date(self.read(cell, root)).encode()

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        scale = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist(), "clock": self.clock}
        return scale | ({"written": self.written} if self.written is not None else {})


def calendar_numbers(seconds: np.ndarray, clock: bool) -> np.ndarray:
    """``(rows, numbers)`` of ``seconds`` ``(rows,)`` since 1970: CALENDAR, and with ``clock`` CLOCK."""
    moments = np.floor(seconds).astype("datetime64[s]")
    days, months, years = (moments.astype(f"datetime64[{unit}]") for unit in "DMY")
    since = days.astype(np.int64)
    numbers = [
        seconds / DAY,
        years.astype(np.int64) + 1970,
        (months - years.astype("datetime64[M]")).astype(np.int64) + 1,
        (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        (since + 3) % 7,  # the first day of 1970 was a Thursday; Monday is 0
    ]
    of_day = seconds - since * DAY
    numbers += [of_day / 3600, of_day % 3600 / 60] if clock else []
    return np.column_stack(numbers).astype(np.float64)
