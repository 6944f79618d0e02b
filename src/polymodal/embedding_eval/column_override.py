"""Columns that are read in the place of an input: names in another language, pictures in another style."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from polymodal.data.readers.base import READERS, is_media
from polymodal.data.schema.infer import guess_by_content
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import look
from polymodal.embedding_eval.embedded_inputs import chosen_inputs
from polymodal.errors import DataError, Problem, RunError, did_you_mean

if TYPE_CHECKING:
    from polymodal.run import Run


def parse_instead(words: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
    """The column by the input in whose place it is read, of words such as ``name=name_fr``.

    Raises:
        RunError: If a word is no such pair, or two are about one input.
    """
    found: dict[str, str] = {}
    for word in words:
        places = [place for place, letter in enumerate(word) if letter == "="]
        # A name may hold the sign itself: the first cut that leaves an input counts.
        cut = next((place for place in places if word[:place] in inputs), places[0] if places else 0)
        name, column = word[:cut], word[cut + 1 :]
        if not name or not column:
            raise RunError(f"'{word}' says no column to read, expected input=column, such as name=name_fr")
        if name in found:
            raise RunError(f"both '{found[name]}' and '{column}' are to be read as '{name}'. Leave one out")
        found[name] = column
    return found


def check_instead(run: Run, table: Table, instead: Mapping[str, str]) -> None:
    """See that each column can be read in the place of its input.

    Raises:
        RunError: If the run has no such input.
        DataError: If the table has no such column, or it holds files of another kind than the input reads.
    """
    chosen_inputs(run, list(instead))
    for name, column in instead.items():
        if column not in table.columns:
            found, cure = f"no column '{column}' to read as '{name}'", did_you_mean(column, table.columns)
            raise DataError(Problem(file=table.name, found=found, cure=cure))
        values, modality = table.values(column), run.processor.readers[name].modality
        guess = guess_by_content(column, values, look(values))
        apart = guess.modality != modality and not _are_visual(guess.modality, modality)
        if is_media(guess.modality) and apart:
            raise DataError(Problem(file=table.name, column=column, found=guess.reason,
                                    expected=f"{modality}, as '{name}' reads it"))  # fmt: skip


def _are_visual(*modalities: str | None) -> bool:
    """Whether one file may be read as each of the modalities: a picture, or a clip of one frame."""
    return all(name is not None and name in READERS and READERS[name].is_visual for name in modalities)


@contextmanager
def blamed_on(instead: Mapping[str, str]) -> Iterator[None]:
    """Problems of cells name the column that was read, not the input in whose place it stands."""
    try:
        yield
    except DataError as error:
        raise DataError(renamed(error.problems, instead)) from None


def renamed(problems: Iterable[Problem], instead: Mapping[str, str]) -> list[Problem]:
    """The same of the columns that were read."""
    return [replace(entry, column=instead.get(entry.column or "", entry.column)) for entry in problems]
