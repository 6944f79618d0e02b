"""Parsing of columns as numbers and as labels, shared by schema, check and processor."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media import is_empty
from polymodal.data.values.number_formats import is_plain, number_format
from polymodal.data.values.spelling import as_label, as_written, clean, is_number_spelling
from polymodal.data.values.vocabulary import Vocabulary, value_names

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "EMPTY_NUMBERS", "Cells", "as_label", "as_labels", "holds_objects", "holds_records", "holds_texts",
    "is_textual", "look", "number_in", "parse_numbers", "vocabulary_of",
]  # fmt: skip

EMPTY_NUMBERS = (
    "", "na", "n/a", "nan", "null", "none", "#n/a", "<na>", "nat", "?", "-", ".",
)  # fmt: skip
"""Marks of a missing number or date, in lower case; only a few of them apply to texts, see ``missing``."""

LOOKED_AT = 500
"""Cells of bytes or records that are sampled: inference from all of them would read the whole table."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number of float32, about 3.4e38; models cannot compute with larger ones."""
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$"


def parse_numbers(values: pa.ChunkedArray, written: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Parse the cells of a column as numbers.

    Numbers, truth values (1 and 0, also as words) and texts such as ``" 1.5e3 "`` are parsed. Null and the
    words of ``EMPTY_NUMBERS`` are empty, and so is NaN in a column of numbers. Numbers beyond :data:`LARGEST`
    are bad cells.

    Args:
        values: The cells.
        written: How texts write the number 1234.5; see :mod:`polymodal.data.values.number_formats`.

    Returns:
        ``numbers (rows,)`` float64, NaN where the cell is empty or bad, and the indices of the bad cells.
    """

    import pyarrow as pa

    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if is_textual(values.type):
        return _parse_texts(values if written is None else _written_plainly(values, written))
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    if not (_is_number(values.type) or pa.types.is_null(values.type)):
        bad = np.flatnonzero(values.is_valid().to_numpy())
        return np.full(len(values), np.nan), bad
    # safe=False: whole numbers beyond 2^53 are rounded
    numbers = _to_numpy(values.cast(pa.float64(), safe=False))
    return _refuse_infinity(numbers, np.zeros(len(numbers), dtype=bool))


@lru_cache(maxsize=1 << 16)
def number_in(text: str, written: str | None = None) -> float:
    """The number in a text as :func:`parse_numbers` reads it, without Arrow.

    Returns:
        NaN where the text is empty, infinity where it holds no number.
    """
    if written is not None:
        number = number_format(written).parse(text)
        if number is not None or is_plain(text):
            return math.inf if number is None or abs(number) > LARGEST else number
    plain = text.strip().lower()
    if plain in EMPTY_NUMBERS:
        return math.nan
    plain = {"true": "1", "false": "0"}.get(plain, plain)
    number = float(plain) if re.fullmatch(_NUMBER, plain, re.ASCII) else math.inf
    return math.inf if abs(number) > LARGEST else number


def _parse_texts(values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(values.cast(pa.large_string()), "")))
    is_empty = pc.is_in(text, value_set=pa.array(EMPTY_NUMBERS, pa.large_string()))
    text = pc.if_else(pc.equal(text, "true"), "1", pc.if_else(pc.equal(text, "false"), "0", text))
    is_number = pc.match_substring_regex(text, _NUMBER)
    numbers = _to_numpy(pc.cast(pc.if_else(is_number, text, None), pa.float64()))
    return _refuse_infinity(numbers, ~(is_number.to_numpy() | is_empty.to_numpy()))


def _written_plainly(values: pa.ChunkedArray, written: str) -> pa.ChunkedArray:
    """The texts that fit the format as plain numbers; others stay unchanged."""

    import pyarrow as pa

    parse = number_format(written).parse
    encoded = values.dictionary_encode().unify_dictionaries().combine_chunks()
    parts = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
    plain = []
    for part in parts:
        pairs = [(text, parse(text)) for text in part.dictionary.to_pylist()]
        # texts that do not fit must not be parsed as plain numbers: 1.234 among 1,5 may be a thousand
        texts = [f"no number: {text}" if number is None and is_plain(text) else
                 text if number is None else repr(number) for text, number in pairs]  # fmt: skip
        plain.append(pa.array(texts, pa.large_string()).take(part.indices))
    return pa.chunked_array(plain, pa.large_string())


def _to_numpy(values: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.compute as pc

    return np.array(pc.fill_null(values, math.nan).to_numpy(), dtype=np.float64)


def _refuse_infinity(numbers: np.ndarray, bad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bad = bad | (np.abs(numbers) > LARGEST)
    numbers[bad] = np.nan
    return numbers, np.flatnonzero(bad)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_textual(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are texts."""

    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def holds_objects(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are bytes, records or lists."""

    import pyarrow as pa

    return pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def holds_records(values: pa.ChunkedArray) -> bool:
    """Whether the cells are records of other fields than a medium has."""

    import pyarrow as pa

    if not pa.types.is_struct(values.type) or values.null_count == len(values):
        return False
    return not {field.name for field in values.type} & {"path", "bytes", "array"}


def holds_texts(kind: pa.DataType) -> bool:
    """Whether cells of this Arrow type are lists of texts."""

    import pyarrow as pa

    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_list and is_textual(kind.value_type)


def as_labels(values: pa.ChunkedArray, vocabulary: Vocabulary | None = None) -> np.ndarray:
    """``as_label`` of every cell: ``(rows,)`` of str, computed once per distinct value.

    In a column of texts that spells a whole number in two ways (``1`` and ``1.0``), such cells keep their
    spelling.

    Args:
        values: The cells.
        vocabulary: Decides which spellings are kept; by default that of the cells.
    """

    import pyarrow as pa

    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    if pa.types.is_nested(values.type):
        return np.array([as_label(value) for value in values.to_pylist()], dtype=object)
    cells, codes = _encoded(values)
    vocabulary = _split_spellings(cells) if vocabulary is None else vocabulary
    names = np.array([*(vocabulary.label(cell) for cell in cells), ""], dtype=object)
    return names[codes]


def vocabulary_of(values: pa.ChunkedArray) -> Vocabulary:
    """The names of the values of a column: see :func:`value_names`."""
    cells, codes = _encoded(values)
    counts = np.bincount(codes, minlength=len(cells) + 1)
    spellings: Counter[str] = Counter()
    for cell, count in zip(cells, counts, strict=False):
        spellings[as_written(cell)] += int(count)
    empty = spellings.pop("", 0) + int(counts[-1])
    if is_textual(values.type):
        return Vocabulary(sorted(value_names(spellings, has_empty=empty > 0)))
    return Vocabulary(sorted({as_label(text) for text in spellings}))


def _encoded(values: pa.ChunkedArray) -> tuple[list[Any], np.ndarray]:
    """The distinct cells, and their index per row ``(rows,)``; one past the end where it is null."""

    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode(null_encoding="encode")
    encoded = values.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # pyarrow's result without rows
        return [], np.array([], dtype=np.int64)
    distinct = encoded.dictionary
    is_short = pa.types.is_float32(distinct.type) or pa.types.is_float16(distinct.type)
    # A float32 is spelled by its own digits; as a Python number it would have those of float64.
    cells = list(distinct.to_numpy(zero_copy_only=False)) if is_short else distinct.to_pylist()
    codes = pc.fill_null(encoded.indices.cast(pa.int64()), len(cells))
    return cells, codes.to_numpy(zero_copy_only=False)


def _split_spellings(cells: list[Any]) -> Vocabulary:
    """The names among ``cells`` that spell a whole number in one of several ways."""
    texts = {clean(cell) for cell in cells if isinstance(cell, str)}
    floats = {text for text in texts if is_number_spelling(text)}
    whole = texts & {as_label(text) for text in floats}
    return Vocabulary(value_names(dict.fromkeys(floats | whole, 1)) if floats else ())


@dataclass(frozen=True)
class Cells:
    """The distinct cells of a column that are not empty.

    Attributes:
        distinct: The values.
        counts: How often each occurs.
        rows: Rows of the table.
        filled: Cells that are not empty, of those that were read.
        looked_at: Cells that were read; fewer than ``rows`` where the column was sampled.
    """

    distinct: list[Any]
    counts: np.ndarray
    rows: int
    filled: int
    looked_at: int

    @property
    def words(self) -> float:
        """Mean number of words per cell."""
        words = [len(str(value).split()) for value in self.distinct]
        return float(np.dot(words, self.counts) / max(1, self.filled))


def look(values: pa.ChunkedArray) -> Cells:
    """Count the distinct cells of a column; bytes and records are sampled, and counted as distinct."""

    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    rows = len(values)
    if holds_objects(kind):
        chosen = np.unique(np.linspace(0, max(0, rows - 1), min(rows, LOOKED_AT)).astype(np.int64))
        distinct = [value for value in values.take(pa.array(chosen)).to_pylist() if not _is_blank(value)]
        counts = np.ones(len(distinct), dtype=np.int64)
        return Cells(distinct, counts, rows, len(distinct), len(chosen))
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
    counted = pc.value_counts(values)
    pairs = zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)
    kept = [(value, count) for value, count in pairs if _says_something(value)]
    counts = np.array([count for _, count in kept], dtype=np.int64)
    return Cells([value for value, _ in kept], counts, rows, int(counts.sum()), rows)


def _says_something(value: Any) -> bool:
    """Whether a cell has a label; numbers are not formatted for this."""
    return value == value if isinstance(value, (int, float)) else bool(as_label(value))


def _is_blank(value: Any) -> bool:
    return is_empty(value) or (hasattr(value, "__len__") and len(value) == 0)
