"""Schema inference: column → modality, target → task, by rules whose figures a person can check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.config import READ_MODALITIES, TargetConfig
from polymodal.data.media import recognise
from polymodal.data.media.cells import tidy_path
from polymodal.data.media.formats import SEQUENCE
from polymodal.data.readers.base import READERS
from polymodal.data.schema.recognition import (
    CATEGORY,
    NUMBER,
    TEXT,
    Guess,
    amounts_guess,
    checked_number,
    extended_codes,
    listed_texts,
    numbers_that_identify,
    recognised_texts,
    texts_that_identify,
)
from polymodal.data.tables.lists import first_filled, number_depth, written_list
from polymodal.data.tables.table import Table
from polymodal.data.targets import ClassTarget, LabelsTarget, NumberTarget
from polymodal.data.values.column_values import (
    Cells,
    as_label,
    holds_objects,
    holds_records,
    holds_texts,
    is_textual,
    look,
    parse_numbers,
)
from polymodal.data.values.labels import guess_separator, looks_multilabel
from polymodal.data.values.number_formats import is_amount
from polymodal.errors import ConfigError, one_line

NUMERIC_SHARE = 0.9  # a few stray words do not make a column of numbers a text
MIXED_SHARE = 0.5  # of numbers among texts is named: what they measure is lost in a text
ROWS_A_CATEGORY = 5  # a value seen less often is too rare to learn a vector of its own
MOST_CATEGORIES = 1000
WORDS_OF_A_CATEGORY = 3  # longer values carry meaning in their words, which a category cannot read
MOST_WHOLE_CLASSES = 20
FEWEST_COUNTS, RARE = (
    8,
    5,
)  # values from 0 on, of which the last is rarer: counts of something, and no classes
FALLING = 0.9  # of the pairs of values from the commonest on, in which the larger value is the rarer one
FEWEST_STEPS = 8  # of whole numbers that are written out as a list: fewer are labels or a place
YES_NO = {"true", "false", "yes", "no", "y", "n", "t", "f"}
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$")


__all__ = ["Guess", "guess_by_content", "guess_modality", "guess_target"]


def guess_modality(table: Table, column: str) -> Guess:
    """Say what ``column`` holds, and by which figures."""
    values = table.values(column)
    cells = look(values)
    if not cells.filled and holds_records(values):
        fields = ", ".join(one_line(field.name, 40) for field in [*values.type][:5])
        doubt, fix = f"records ({fields}), which are not read", "Make a column of each of their fields"
        return Guess(column, None, doubt, doubt=f"{doubt}: left out", cure=fix)
    if not cells.filled:
        return Guess(column, None, f"all {cells.rows} cells are empty")
    if _is_constant(cells):
        return Guess(column, None, f"the same value in all {cells.rows} rows")
    numbers, bad = parse_numbers(values)
    if _is_row_number(numbers, bad):
        low, high = int(numbers.min()), int(numbers.max())
        return Guess(column, None, f"the whole numbers {low} to {high}, each once: a row number")
    guess = guess_by_content(column, values, cells)
    only = ""
    if guess.modality == NUMBER or is_textual(values.type):
        only = numbers_that_identify(column, numbers, bad)
    if guess.modality == TEXT and not only:
        only = texts_that_identify(values, cells)
    return Guess(column, None, only) if only else guess


def guess_by_content(column: str, values: pa.ChunkedArray, cells: Cells) -> Guess:
    """The modality by what the cells hold, whether or not the column is worth reading."""
    result = _recognised(cells.distinct) or _media(cells)
    if result:
        return Guess(column, *result)
    if holds_texts(values.type):
        return listed_texts(column, values, cells)
    if holds_objects(values.type):
        reason = f"cells of type {values.type}, in which no picture or sound was recognised"
        return Guess(column, None, reason)
    if _is_yes_no(values, cells):
        return Guess(column, CATEGORY, _figures(cells))
    return _number(column, values, cells) or _words(column, values, cells)


def _recognised(cells: Sequence[Any]) -> tuple[str, str] | None:
    """The modality of another package that claims a column most surely, and why; None if none does.

    A package that cannot be imported claims nothing: it is named where its modality is declared.

    Args:
        cells: The different values of the column, as far as they are looked at.
    """
    claims: list[tuple[float, str, str]] = []
    for name in READERS:
        with suppress(ConfigError):
            claim = None if name in READ_MODALITIES else READERS[name].recognise(cells)
            claims += [(claim.confidence, name, claim.reason)] if claim else []
    best = max(claims, default=None)
    return None if best is None else best[1:]


def _number(column: str, values: pa.ChunkedArray, cells: Cells) -> Guess | None:
    """The guess of a column of numbers or codes; None where most cells are something else."""
    numeric, words = _count_numbers(values)
    guess = amounts_guess(column, values, cells)[1] if words else None
    if guess is not None:
        return guess
    if not numeric or numeric < NUMERIC_SHARE * (numeric + words):
        return None
    codes = extended_codes(column, cells, repeats=_is_repeated(cells)) if words else None
    if codes is not None:
        return codes
    empty = _empty(cells.looked_at - numeric - words)
    plain = Guess(column, NUMBER, f"{numeric} of {numeric + words} cells are numbers{empty}")
    return checked_number(plain, values, cells, repeats=_is_repeated(cells)) if not words else plain


def _words(column: str, values: pa.ChunkedArray, cells: Cells) -> Guess:
    """The guess of a column of words, or of texts of another form."""
    repeats = _is_repeated(cells)
    figures = _figures(cells) if repeats else f"{_figures(cells, words=True)}"
    result = recognised_texts(column, values, cells, repeats=repeats, figures=figures)
    if result is not None:
        return result
    written, _ = amounts_guess(column, values, cells)
    guess = Guess(column, CATEGORY if repeats else TEXT, figures)
    if written is None or not written.doubt:
        return replace(guess, **_partly_numbers(values, cells)) if guess.modality == TEXT else guess
    doubt, fix = (
        f"{written.doubt}, read as {guess.modality}",
        "Write them in one way, to be read as numbers",
    )
    return replace(guess, doubt=doubt, cure=fix)


def _partly_numbers(values: pa.ChunkedArray, cells: Cells) -> dict[str, str]:
    """The doubt and the fix for texts of which most are numbers, but too few for a column of numbers."""
    if not is_textual(values.type):
        return {}
    numbers, bad = parse_numbers(values)
    numeric = int(np.isfinite(numbers).sum())
    if numeric < MIXED_SHARE * cells.filled or not len(bad):
        return {}
    other = one_line(str(values[int(bad[0])].as_py()), 40)
    doubt = f"{numeric} of {numeric + len(bad)} cells are numbers, the others not ('{other}'), read as text"
    return {"doubt": doubt, "cure": "Correct or empty the others, to be read as numbers"}


def _figures(cells: Cells, *, words: bool = False) -> str:
    each = f", {cells.words:.1f} words a cell" if words else ""
    empty = _empty(cells.looked_at - cells.filled)
    return f"{len(cells.distinct)} different values in {cells.filled} cells{each}{empty}"


def _is_yes_no(values: pa.ChunkedArray, cells: Cells) -> bool:
    return pa.types.is_boolean(values.type) or all(
        as_label(value).lower() in YES_NO for value in cells.distinct
    )


def _is_constant(cells: Cells) -> bool:
    """Whether all rows have one value; a single value in some rows alone still carries information."""
    whole = cells.rows > 1 and cells.filled == cells.rows
    first = as_label(cells.distinct[0]) if cells.distinct else ""
    return whole and all(as_label(value) == first for value in cells.distinct)


def _is_row_number(numbers: np.ndarray, bad: np.ndarray) -> bool:
    rows = len(numbers)
    if rows < ROWS_A_CATEGORY or len(bad) or not np.isfinite(numbers).all():
        return False
    if (numbers != np.round(numbers)).any():
        return False
    return numbers.max() - numbers.min() == rows - 1 and len(np.unique(numbers)) == rows


def _is_repeated(cells: Cells) -> bool:
    """Whether the values are short and come back often enough to be categories."""
    return (
        cells.words <= WORDS_OF_A_CATEGORY
        and len(cells.distinct) <= MOST_CATEGORIES
        and cells.filled >= ROWS_A_CATEGORY * len(cells.distinct)
    )


def _count_numbers(values: pa.ChunkedArray) -> tuple[int, int]:
    """How many cells are numbers, and how many hold something else; NA and the like are neither."""
    numbers, bad = parse_numbers(values)
    return int(np.isfinite(numbers).sum()), len(bad)


def _empty(count: int) -> str:
    return f", {count} empty" if count else ""


def _media(cells: Cells, *, strict: bool = True) -> tuple[str, str] | None:
    """The kind of media at least half of the cells hold, and the figures; ``strict`` wants measurements."""
    counts: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    if all(isinstance(value, (int, float)) for value in cells.distinct):
        return None
    kinds = [recognise(value) for value in cells.distinct]
    if strict and not _are_features(cells.distinct, kinds):
        kinds = [None if kind == SEQUENCE.modality else kind for kind in kinds]
    for kind, count in zip(kinds, cells.counts, strict=True):
        counts[kind or ""] += int(count)
    kind = max((name for name in counts if name), key=counts.__getitem__, default=None)
    if kind is None or 2 * counts[kind] < cells.filled:
        return None
    for value, cell_kind, count in zip(cells.distinct, kinds, cells.counts, strict=True):
        if cell_kind == kind:
            forms[_form(value, kind)] += int(count)
    shown = " or ".join(form for form, _ in forms.most_common(3))
    verb = "end in" if all(form.startswith(".") for form in forms) else "are"
    looked_at = "cells looked at" if cells.looked_at < cells.rows else "cells"
    figures = f"{counts[kind]} of {cells.filled} {looked_at} {verb} {shown}"
    return kind, figures + _empty(cells.looked_at - cells.filled)


def _are_features(values: Sequence[Any], kinds: Sequence[str | None]) -> bool:
    """Whether the lists of numbers that are written out are measurements.

    ``[1, 2]`` is more often two labels, the ends of a range or a place than a sequence of two steps. Lists
    of lists, numbers with a fraction, and many numbers lose their content in any other reading.
    """
    parsed = [
        written_list(v)
        for v, kind in zip(values, kinds, strict=True)
        if kind == SEQUENCE.modality and isinstance(v, str)
    ]
    lists = [value for value in parsed if value is not None and number_depth(value) == 1]
    if not lists or len(lists) < len(parsed):  # files, or lists of lists
        return True
    if np.median([len(value) for value in lists]) >= FEWEST_STEPS:
        return True
    return any(isinstance(number, float) and number % 1 for value in lists for number in value)


def _form(value: Any, kind: str) -> str:
    """The form of a medium in its cell: ``.png``, ``data:image URIs``, ``image bytes``, ``lists of .png``."""
    value = (written_list(value) if isinstance(value, str) else None) or value
    if isinstance(value, list):
        return "lists of numbers" if number_depth(value) else f"lists of {_form(first_filled(value), kind)}"
    path = value.get("path") if isinstance(value, dict) and not value.get("bytes") else value
    if isinstance(path, str):
        suffix = _SUFFIX.search(tidy_path(path).split("?")[0]) if not path.startswith("data:") else None
        return suffix.group().lower() if suffix else f"data:{kind} URIs"
    return f"{kind} bytes" if isinstance(value, bytes | dict) else f"{kind} arrays"


def guess_target(table: Table, column: str, task: str | None = None) -> TargetConfig:
    """The declaration of a target: the task that fits the column's cells, unless ``task`` names one.

    Lists of texts that repeat are labels, and so is text whose parts, with a separator between, combine
    freely. Classes are other texts, truth values, and whole numbers of at most twenty values that repeat;
    other numbers are amounts, and so are counts: whole numbers from 0 that become ever rarer.

    Raises:
        ConfigError: If the column holds pictures, recordings or the like, which no head answers.
    """
    values = table.values(column)
    cells = look(values)
    media = _media(cells, strict=False)
    if media and task is None:
        raise ConfigError(
            f"{table.name}, column '{column}': {media[1]}, which no target answers. "
            "Name a column of classes or numbers"
        )
    if task is None and looks_multilabel(values):
        task = LabelsTarget.task
    if task is not None:
        separator = guess_separator(values) if task == LabelsTarget.task else None
        return TargetConfig(task=task, separator=separator)
    guess = Guess(column, None, "") if _is_yes_no(values, cells) else _number(column, values, cells)
    if guess is None or guess.modality != NUMBER:
        return TargetConfig(task=ClassTarget.task)
    numbers, _ = parse_numbers(values, guess.format)
    numbers = numbers[np.isfinite(numbers)]
    if guess.format is not None and is_amount(guess.format):
        return TargetConfig(task=NumberTarget.task, format=guess.format)
    distinct, rows = np.unique(numbers, return_counts=True)
    few = len(distinct) <= MOST_WHOLE_CLASSES and len(numbers) >= 2 * len(distinct)
    is_classes = few and bool((distinct == np.round(distinct)).all())
    if is_classes and not _are_counts(distinct, rows):
        return TargetConfig(task=ClassTarget.task)
    return TargetConfig(task=NumberTarget.task, format=guess.format)


def _are_counts(values: np.ndarray, rows: np.ndarray) -> bool:
    """Whether whole numbers ``(values,)`` in so many ``rows`` each count something: visits, children.

    Counts begin at 0 and have a tail of ever rarer values, up to single ones, of which classes would not be
    learned. Codes of classes are about equally frequent, or not in the order of the codes.
    """
    tail = rows[int(rows.argmax()) :]
    if len(values) < FEWEST_COUNTS or values[0] != 0 or rows[-1] >= RARE or len(tail) < FEWEST_COUNTS / 2:
        return False
    pairs = np.subtract.outer(tail, tail)[np.triu_indices(len(tail), 1)]
    return float((pairs > 0).mean()) >= FALLING
