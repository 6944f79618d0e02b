"""Columns of numbers and texts that are more than that: amounts, ids, codes, dates, lists, paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from polymodal.data.media.formats import FORMATS
from polymodal.data.readers import (
    CategoriesReader,
    CategoryReader,
    DateReader,
    NumberReader,
    TextReader,
)
from polymodal.data.values.amounts import FEWEST, Amounts, ambiguous_dots, find_amounts
from polymodal.data.values.column_values import Cells, is_textual
from polymodal.data.values.dates import DateOrder, find_order, is_temporal, parse_dates
from polymodal.data.values.forms import (
    IDS,
    are_words,
    form_of,
    id_of,
    is_code_name,
    is_id_name,
    is_saved_index,
    numbers_with_more,
    unknown_suffixes,
)
from polymodal.data.values.labels import guess_separator, looks_joined, looks_multilabel

CATEGORY, NUMBER, TEXT = CategoryReader.modality, NumberReader.modality, TextReader.modality
DATE, CATEGORIES = DateReader.modality, CategoriesReader.modality
DATES_SHARE = 0.9  # a few typing errors do not make dates words
FEWEST_IDS = 10  # rows: a few different words are no ids
INDEX_SHARE = 0.5  # of a saved index's numbers are different, also where rows were drawn more than once
CODE_DIGITS = 9  # whole numbers of one length, this long or longer, may be codes
EXTENDED_DIGITS = 4  # fewer before a hyphen are more often a range or a house number
_EXTENDED = re.compile(r"(\d+)[- ]\d\w*")
ZEROS_SHARE = 0.05  # of the cells of a column of codes begin with a zero, or all are of one length
ONLY_NAMES = ("phone numbers", "ISBN or article numbers", "addresses of machines")
"""Forms that only name their rows where they are all different."""


@dataclass(frozen=True)
class Guess:
    """The guessed modality of a column, with its reason.

    Attributes:
        column: Its name.
        modality: What to read it as; None leaves the column out.
        reason: The figures behind it.
        format: How its numbers or dates are written, where not plainly; see
        :mod:`polymodal.data.values.number_formats` and :mod:`polymodal.data.values.dates`.
        doubt: What it might be instead, for a warning; ``""`` where there is no doubt.
        cure: The setting that decides.
    """

    column: str
    modality: str | None
    reason: str
    format: str | None = None
    doubt: str = ""
    cure: str = ""

    @property
    def is_read(self) -> bool:
        """Whether there is something to read in the column."""
        return self.modality is not None


def all_different(cells: Cells) -> bool:
    """Whether no value of a column comes back, in enough rows for this to mean something."""
    return cells.filled >= FEWEST_IDS and len(cells.distinct) == cells.filled == cells.looked_at


def setting(column: str, *modalities: str) -> str:
    """The settings that read ``column`` as something else."""
    first, *others = modalities
    more = f" (or {', '.join(others)})" if others else ""
    return f"inputs.{column}.modality={first}{more}"


def numbers_that_identify(column: str, numbers: np.ndarray, bad: np.ndarray) -> str:
    """Why a column of whole numbers ``(rows,)`` only identifies its rows; ``""`` where it may hold more."""
    if (
        len(bad)
        or len(numbers) < FEWEST
        or not np.isfinite(numbers).all()
        or (numbers != np.round(numbers)).any()
    ):
        return ""
    share = len(np.unique(numbers)) / len(numbers)
    enough = 1 if column.lower() == "index" else INDEX_SHARE
    if is_saved_index(column) and numbers.min() >= 0 and share >= enough:
        return "whole numbers under a name that pandas gives a saved index"
    if is_id_name(column) and share == 1 and len(numbers) >= FEWEST_IDS:
        return "whole numbers, all different, under a name that says ids"
    return ""


def texts_that_identify(values: pa.ChunkedArray, cells: Cells) -> str:
    """Why a column of texts only identifies its rows; ``""`` where it may hold more."""
    if not is_textual(values.type):
        return ""
    texts = [str(value) for value in cells.distinct]
    form = form_of(texts)
    if form in IDS:
        return f"{form}, which only name a row"
    if not all_different(cells):
        return ""
    if form in ONLY_NAMES:
        return f"{form}, all different: they only name the rows"
    if form is not None or find_amounts(cells) is not None:
        return ""
    result = id_of(texts)
    return f"ids: all {cells.filled} are different, {result}" if result else ""


def checked_number(guess: Guess, values: pa.ChunkedArray, cells: Cells, *, repeats: bool) -> Guess:
    """The guess of a column of plain numbers, or of the codes that they are."""
    texts = [str(value).strip() for value in cells.distinct]
    column = guess.column
    if is_textual(values.type) and _leading_zeros(texts, cells):
        reason = "digits with leading zeros: codes"
        modality = CATEGORY if repeats else TEXT
        others = [name for name in (CATEGORY, NUMBER, TEXT) if name != modality]
        return Guess(column, modality, reason, doubt=f"{reason}, read as {modality}",
                     cure=f"To read them otherwise: {setting(column, *others)}")  # fmt: skip
    whole = all(text.removesuffix(".0").lstrip("+-").isdigit() for text in texts)
    if not whole:
        doubt = ambiguous_dots(texts) if is_textual(values.type) else ""
        fix = f"If it does: inputs.{column}.format=1.234, else inputs.{column}.format=1234.5"
        return replace(guess, doubt=doubt, cure=fix) if doubt else guess
    return _whole_numbers(guess, [text.removesuffix(".0") for text in texts], cells, repeats)


def extended_codes(column: str, cells: Cells, *, repeats: bool) -> Guess | None:
    """The guess of whole numbers of one length, of which some go on: ``98115``, ``98115-4820``.

    None where the cells that are no numbers are anything else: these are named one by one.
    """
    texts = [str(value).strip() for value in cells.distinct]
    lengths = {len(text) for text in texts if text.isdigit()}
    longer = [text for text in texts if not text.isdigit()]
    if len(lengths) != 1 or (length := min(lengths)) < EXTENDED_DIGITS or not longer:
        return None
    matches = [_EXTENDED.fullmatch(text) for text in longer]
    if not all(match and len(match[1]) == length for match in matches):
        return None
    modality, other = (CATEGORY, TEXT) if repeats else (TEXT, CATEGORY)
    reason = f"whole numbers of {length} digits, some with more ('{longer[0]}'): codes"
    fix = f"To read them otherwise: {setting(column, other)}"
    return Guess(column, modality, reason, doubt=f"{reason}, read as {modality}", cure=fix)


def _whole_numbers(guess: Guess, texts: list[str], cells: Cells, repeats: bool) -> Guess:
    column, lengths = guess.column, {len(text) for text in texts}
    by_name = (is_id_name(column) and max(lengths) > 1) or (is_code_name(column) and min(lengths) > 2)
    if by_name and repeats:
        reason = f"{len(cells.distinct)} different whole numbers under a name that says codes"
        return Guess(column, CATEGORY, reason)
    doubt = ""
    if by_name:
        doubt = "whole numbers under a name that says codes or ids, read as numbers"
    elif _are_days(texts):
        doubt = "whole numbers that look like dates, read as numbers"
    elif len(lengths) == 1 and min(lengths) >= CODE_DIGITS and all_different(cells):
        doubt = f"whole numbers of {min(lengths)} digits, all different, that may be codes, read as numbers"
    fix = f"To read them otherwise: {setting(column, CATEGORY, TEXT)}, or leave the column out"
    return replace(guess, doubt=doubt, cure=fix) if doubt else guess


def _are_days(texts: list[str]) -> bool:
    """Whether digits such as ``20240131`` are days."""
    return all(
        len(text) == 8
        and 1800 <= int(text[:4]) <= 2200
        and 1 <= int(text[4:6]) <= 12
        and 1 <= int(text[6:]) <= 31
        for text in texts
    )


def _leading_zeros(texts: Sequence[str], cells: Cells) -> bool:
    if not all(text.isdigit() for text in texts):
        return False
    counts = [
        int(count) for count, text in zip(cells.counts, texts, strict=True) if text[0] == "0" < text[1:]
    ]
    return bool(counts) and (len({*map(len, texts)}) == 1 or sum(counts) >= ZEROS_SHARE * cells.filled)


def amounts_guess(column: str, values: pa.ChunkedArray, cells: Cells) -> tuple[Amounts | None, Guess | None]:
    """How texts write numbers in a way of their own, and the guess of their column where that is one way."""
    amounts = find_amounts(cells) if is_textual(values.type) else None
    if amounts is None or amounts.format is None or not amounts.is_needed:
        return amounts, None
    empty = cells.looked_at - cells.filled
    reason = f"{amounts.count} of {cells.filled} cells are numbers, written as {amounts.format}"
    reason += f", {empty} empty" if empty else ""
    fix = f"If it does: inputs.{column}.format={amounts.other}, else inputs.{column}.format={amounts.format}"
    return amounts, Guess(column, NUMBER, reason, amounts.format, amounts.doubt, fix if amounts.doubt else "")


def recognised_texts(
    column: str, values: pa.ChunkedArray, cells: Cells, *, repeats: bool, figures: str
) -> Guess | None:
    """The guess of a column whose texts have a form of their own; None where they are words."""
    texts = [str(value) for value in cells.distinct]
    form = _temporal(values.type) or form_of(texts)
    if form == "dates":
        return dates_guess(column, values, cells)
    if is_textual(values.type) and _have_parts(texts) and looks_multilabel(values):
        separator = guess_separator(values)
        if separator is None:
            return listed_texts(column, values, cells)
        return Guess(
            column, CATEGORIES, f"{figures}, several categories in a cell, '{separator}' between them"
        )
    suffixes = unknown_suffixes(texts)
    if suffixes and not repeats:
        reason = f"paths of files that end in {' or '.join(suffixes)}, which is no known format"
        return left_out(column, reason, *FORMATS, TEXT)
    if repeats:
        return None
    doubt = f"{form}, read as text" if form else _word_doubt(values, cells, texts)
    if not doubt:
        return None
    fix = f"To read them otherwise: {setting(column, CATEGORY)}, or leave the column out"
    return Guess(column, TEXT, figures, doubt=doubt, cure=fix)


def listed_texts(column: str, values: pa.ChunkedArray, cells: Cells) -> Guess:
    """The guess of lists of texts: sets of categories where they are short and repeat, else texts."""
    empty = cells.looked_at - cells.filled
    reason = f"lists of texts in {cells.filled} cells" + (f", {empty} empty" if empty else "")
    return Guess(column, CATEGORIES if looks_multilabel(values) else TEXT, reason)


def dates_guess(column: str, values: pa.ChunkedArray, cells: Cells) -> Guess:
    """The guess of a column of dates, in doubt where day and month may be exchanged."""
    order = find_order(cells) if is_textual(values.type) else DateOrder()
    if order.doubt and order.format is None:
        guess = left_out(column, order.doubt, TEXT, CATEGORY)
        fix = f"Write the years with four digits. If the day is first: inputs.{column}.modality={DATE} "
        return replace(guess, cure=f"{fix}inputs.{column}.format={order.other}") if order.other else guess
    seconds, bad = parse_dates(values, order.format)
    read, empty = int(np.isfinite(seconds).sum()), cells.looked_at - cells.filled
    if read < DATES_SHARE * (read + len(bad)):
        return left_out(column, f"dates, {len(bad)} of which are none of the calendar", TEXT, CATEGORY)
    reason = f"{read} of {read + len(bad)} cells are dates" + (f", {empty} empty" if empty else "")
    fix = f"If it is: inputs.{column}.format={order.other}, else inputs.{column}.format={order.format}"
    if not order.other:
        fix = f"If it is, write the years with four digits, else inputs.{column}.format={order.format}"
    return Guess(column, DATE, reason, order.format, order.doubt, fix if order.doubt else "")


def _temporal(kind: pa.DataType) -> str | None:
    if is_temporal(kind):
        return "dates"
    return "times or durations" if pa.types.is_temporal(kind) else None


def _have_parts(texts: Sequence[str]) -> bool:
    """Whether some texts have separators, and few words between them: a quick look before a slow one."""
    some = texts[:: len(texts) // 500 + 1]
    parts = [part.split() for text in some for part in re.split(r"[|;,]", text.strip("[] "))]
    return len(parts) > 1.05 * len(some) and sum(map(len, parts)) <= 4 * len(parts)


def _word_doubt(values: pa.ChunkedArray, cells: Cells, texts: list[str]) -> str:
    """Why texts without a form may not be worth reading as text."""
    if all_different(cells) and are_words(texts):
        return "one word a cell, all different, read as text: they may only name the rows"
    if is_textual(values.type) and (example := numbers_with_more(texts)):
        return f"a number and the same signs in each cell ('{example}'), read as text; alone it is a number"
    if is_textual(values.type) and (mark := looks_joined(cells)):
        return f"several values in a cell, '{mark}' between them, read as text"
    return ""


def left_out(column: str, found: str, *modalities: str) -> Guess:
    """A column that is named and not read, and the settings that read it."""
    fix = f"To read it all the same: {setting(column, *modalities)}"
    return Guess(column, None, found, doubt=f"{found}: left out", cure=fix)


def looks_like(texts: Sequence[str]) -> tuple[str, str]:
    """The likely meaning of target texts that hardly repeat, and how to fix the target."""
    cells = Cells([*texts], np.ones(len(texts), dtype=np.int64), len(texts), len(texts), len(texts))
    form = form_of(texts)
    if form in ("dates", "months", "quarters or weeks", "times or durations"):
        fix = "Learn a number or class that is derived from them, such as days since one day, or the month."
        return form, fix
    if find_amounts(cells) is not None:
        return (
            "money or other amounts",
            "Write them in one unit and with one decimal sign, to be learnt as numbers.",
        )
    if form in IDS or form in ONLY_NAMES or (result := id_of(texts)):
        return f"ids ({form or result})", "Name a column that says something about the rows."
    if form:
        return form, "Write one number a cell, or classes that come back."
    if are_words(texts):
        return "ids or names", "Name a column whose classes come back."
    return (
        "texts",
        "Classes have to come back; answers in words are for a language model (prompt, answer).",
    )
