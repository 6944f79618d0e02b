"""Cells of several labels: a list, a list written as text, or labels with a separator between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.cells import MediaError, describe, is_empty
from polymodal.data.tables.lists import written_list
from polymodal.data.values.column_values import (
    EMPTY_NUMBERS,
    Cells,
    as_label,
    holds_objects,
    look,
    parse_numbers,
)
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.spelling import as_written
from polymodal.data.values.vocabulary import Vocabulary, value_names

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = ("|", ";", ",")
LISTS_SHARE = 0.9  # a few other cells do not change what a column holds
JOINED_SHARE = 0.05  # of the cells that have a separator: fewer have it by chance
SEVERAL_SHARE = 0.1  # of the cells have to hold several parts before a separator counts
ROWS_A_LABEL = 2
CELLS_A_PART = 5  # text is split only where its parts recur this often
WORDS_OF_A_LABEL = 3
MOST_LABELS = 1000


def read_labels(
    cell: Any, separator: str | None = None, missing: Marks = DEFAULT_MARKS, *, written: bool = False
) -> list[str] | None:
    """The distinct labels of a cell, in their order; None where the cell is empty.

    Args:
        cell: A list, a list in JSON's or Python's notation (``["a", "b"]``, as pandas writes it to a CSV), or
            text with ``separator`` between the labels. An empty list is no empty cell: the row is known to
            have no label.
        separator: Between the labels of a text; by default a text is one label.
        missing: Marks of missing values, which are no labels.
        written: Keep the spelling instead of the label's name.

    Raises:
        MediaError: If it holds something else.
    """
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, list | tuple | set | frozenset):
        return _names(cell, missing, written)
    if isinstance(cell, dict | bytes):
        raise _no_labels(cell)
    if is_empty(cell):
        return None
    if isinstance(cell, str):
        labels = _in_text(cell, separator, missing, written)
        return None if labels is None else list(labels)
    return _names([cell], missing, written)


@lru_cache(maxsize=1 << 16)
def _in_text(text: str, separator: str | None, missing: Marks, written: bool) -> tuple[str, ...] | None:
    text = text.strip()
    if text.startswith("["):
        entries = written_list(text)
        if entries is None:
            raise _no_labels(text)
        return tuple(_names(entries, missing, written))
    labels = _names(text.split(separator) if separator else [text], missing, written)
    return tuple(labels) if labels else None


def _names(values: Iterable[Any], missing: Marks, written: bool) -> list[str]:
    values = list(values)
    name_of = as_written if written else as_label
    for value in values:
        if isinstance(value, list | tuple | dict | set | bytes | np.ndarray):
            raise _no_labels(values)
    names = (name_of(value) for value in values if not missing.stands_for_empty(value))
    return list(dict.fromkeys(name for name in names if name))


def _no_labels(cell: Any) -> MediaError:
    result = f"'{describe(cell)}'" if isinstance(cell, str) else describe(cell)
    fix = "Leave the cell empty where the labels are not known"
    return MediaError(found=result, expected='labels, such as ["a", "b"] or [] for none', cure=fix)


def readable_labels(
    values: pa.ChunkedArray,
    separator: str | None,
    missing: Marks = DEFAULT_MARKS,
    *,
    written: bool = False,
) -> list[list[str] | None]:
    """The labels of every cell of a column; None for cells that cannot be read, which the check reports."""
    labels: list[list[str] | None] = []
    for cell in values.to_pylist():
        try:
            labels.append(read_labels(cell, separator, missing, written=written))
        except MediaError:
            labels.append(None)
    return labels


def frequent(held: Iterable[Iterable[str]], rows: int) -> set[str]:
    """The values that at least ``rows`` rows hold; ``held`` lists those of each row."""
    counts = Counter(value for values in held for value in set(values))
    return {value for value, count in counts.items() if count >= rows}


def label_vocabulary(rows: Iterable[list[str] | None]) -> Vocabulary:
    """The names of labels from their spellings: see :func:`value_names`."""
    return Vocabulary(value_names(Counter(label for labels in rows for label in labels or ())))


def rarest_label(rows: Iterable[list[str] | None]) -> list[str]:
    """Per row its label with the fewest rows, ``""`` where it has none: the stratum of a split.

    The rarest labels are the hardest to distribute, so they define the strata, as in iterative stratification
    (Sechidis, Tsoumakas & Vlahavas 2011).
    """
    rows = list(rows)
    counts = Counter(label for labels in rows for label in labels or ())
    return [min(labels, key=lambda label: (counts[label], label)) if labels else "" for labels in rows]


def guess_separator(values: pa.ChunkedArray) -> str | None:
    """The separator of the labels of a text column: the first of ``|``, ``;``, ``,`` that recurs."""
    if holds_objects(values.type):
        return None
    return _separator(look(values))


def _separator(cells: Cells) -> str | None:
    texts = [
        (str(value), int(count))
        for value, count in zip(cells.distinct, cells.counts, strict=True)
        if not str(value).strip().startswith("[")
    ]
    joined = sum(count for text, count in texts if any(mark in text for mark in SEPARATORS))
    for mark in SEPARATORS:
        having = sum(count for text, count in texts if mark in text)
        if having and having >= JOINED_SHARE * joined:
            return mark
    return None


def describe_labels(rows: Iterable[list[str] | None]) -> str:
    """``5 labels, 1.8 a row, rarest 'x' 12 rows``."""
    known = [labels for labels in rows if labels is not None]
    counts = Counter(label for labels in known for label in labels)
    if not counts:
        return ""
    name, fewest = min(counts.items(), key=lambda entry: (entry[1], entry[0]))
    each = sum(counts.values()) / len(known)
    return f"{len(counts)} labels, {each:.1f} a row, rarest '{name}' {fewest} row{'s' * (fewest != 1)}"


def looks_multilabel(values: pa.ChunkedArray) -> bool:
    """Whether the cells are lists of labels: several per cell, short, and recurring in other cells.

    Text is split only where its parts combine freely: ``New York, NY`` is one class, however often it occurs,
    since its parts never occur with others.
    """

    import pyarrow as pa

    cells = look(values)
    if holds_objects(values.type):
        kind = values.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return is_list and _come_back(cells, None, ROWS_A_LABEL, several=False)
    if not cells.filled:
        return False
    pairs = zip(cells.distinct, cells.counts, strict=True)
    lists = sum(int(count) for value, count in pairs if str(value).strip().startswith("["))
    if lists >= LISTS_SHARE * cells.filled:
        return _come_back(cells, None, ROWS_A_LABEL, several=False)
    separator = _separator(cells)
    return separator is not None and _come_back(cells, separator, CELLS_A_PART, several=True)


def looks_joined(cells: Cells) -> str:
    """The ``|`` or ``;`` between short parts that recur; ``""`` where there is none."""
    for mark in SEPARATORS[:2]:
        having = [
            (str(value).split(mark), int(count))
            for value, count in zip(cells.distinct, cells.counts, strict=True)
            if mark in str(value)
        ]
        parts = [part.strip() for names, _ in having for part in names]
        several = sum(count for _, count in having) >= SEVERAL_SHARE * cells.filled
        if several and len(parts) > 1.2 * len({*parts}) and _are_short(parts):
            return mark
    return ""


def _are_short(parts: Iterable[str]) -> bool:
    return float(np.mean([len(part.split()) for part in parts])) <= WORDS_OF_A_LABEL


def _come_back(cells: Cells, separator: str | None, often: int, *, several: bool) -> bool:
    counts: Counter[str] = Counter()
    joined = bad = 0
    combinations: set[frozenset[str]] = set()
    for value, count in zip(cells.distinct, cells.counts, strict=True):
        if not isinstance(value, str | list):
            return False
        try:
            labels = read_labels(value, separator) or []
        except MediaError:
            bad += int(count)
            continue
        if isinstance(value, list) and len(labels) != len(value):
            return False  # a list with equal entries is a measurement, not a set of labels
        counts.update(dict.fromkeys(labels, int(count)))
        joined += int(count) * (len(labels) > 1)
        combinations.add(frozenset(labels))
    if bad > (1 - LISTS_SHARE) * cells.filled:
        return False
    if not counts or len(counts) > MOST_LABELS or counts.total() < often * len(counts):
        return False
    if sum(len(name.split()) * count for name, count in counts.items()) > WORDS_OF_A_LABEL * counts.total():
        return False
    if not several:
        return _are_names(counts)
    combine = len(combinations) > len(counts) and joined >= SEVERAL_SHARE * cells.filled
    return combine and (separator != "," or _are_names(counts))


def _are_names(counts: Counter[str]) -> bool:
    """Whether some of the labels are words: ``1,5`` may be a number, and a list of numbers a measurement."""

    import pyarrow as pa

    _, bad = parse_numbers(pa.chunked_array([pa.array(list(counts), pa.string())]))
    words = [name for name in np.array(list(counts), dtype=object)[bad] if name.lower() not in EMPTY_NUMBERS]
    return len(words) > len(counts) / 2
