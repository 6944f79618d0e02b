"""The inputs of a run that are evaluated, and other columns that are read in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from polymodal.data.readers.base import READERS, is_media
from polymodal.data.schema.infer import guess_by_content
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import look
from polymodal.errors import DataError, Problem, RunError, did_you_mean, worded
from polymodal.runs.prediction_run import PredictionRun


def require_space(run: PredictionRun, wish: str) -> None:
    """Check that vectors of different inputs can be compared, which ``wish`` needs.

    Raises:
        RunError: If they cannot.
    """
    if not run.shares_space:
        pretrain = worded("polymodal pretrain", "pm.pretrain")
        fix = f"Pre-train one with the objective contrastive or sigmoid: {pretrain}"
        raise RunError(f"{run.folder}: its inputs share no space, without which there is no {wish}. {fix}")


def chosen_inputs(run: PredictionRun, names: Sequence[str]) -> list[str]:
    """The named inputs of a run in declared order; all where none is named.

    Raises:
        RunError: If it has no such input.
    """
    known = run.model.config.input_names
    for name in names:
        if name not in known:
            raise RunError(f"{run.folder}: there is no input '{name}'. {did_you_mean(name, known)}")
    return [name for name in known if not names or name in names]


def parse_instead(words: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
    """The column by the input in whose place it is read, of words such as ``name=name_fr``.

    Raises:
        RunError: If a word is no such pair, or two are about one input.
    """
    result: dict[str, str] = {}
    for word in words:
        indices = [index for index, letter in enumerate(word) if letter == "="]
        # A name may hold the sign itself: the first cut that leaves an input counts.
        cut = next((index for index in indices if word[:index] in inputs), indices[0] if indices else 0)
        name, column = word[:cut], word[cut + 1 :]
        if not name or not column:
            raise RunError(f"'{word}' says no column to read, expected input=column, such as name=name_fr")
        if name in result:
            raise RunError(f"both '{result[name]}' and '{column}' are to be read as '{name}'. Leave one out")
        result[name] = column
    return result


def check_instead(run: PredictionRun, table: Table, instead: Mapping[str, str]) -> None:
    """Check that each column can be read in place of its input.

    Raises:
        RunError: If the run has no such input.
        DataError: If the table has no such column, or it holds files of another kind than the input reads.
    """
    chosen_inputs(run, list(instead))
    for name, column in instead.items():
        if column not in table.columns:
            reason, fix = f"no column '{column}' to read as '{name}'", did_you_mean(column, table.columns)
            raise DataError(Problem(file=table.name, found=reason, cure=fix))
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
    """Problems of cells name the column that was read, not the input that it replaces."""
    try:
        yield
    except DataError as error:
        raise DataError(renamed(error.problems, instead)) from None


def renamed(problems: Iterable[Problem], instead: Mapping[str, str]) -> list[Problem]:
    """The problems with the names of the columns that were read."""
    return [replace(entry, column=instead.get(entry.column or "", entry.column)) for entry in problems]
