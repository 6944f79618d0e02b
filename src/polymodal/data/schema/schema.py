"""The table's schema: what a declaration leaves open is filled in from the table, and shown as YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import yaml

from polymodal.config import DataConfig, Declaration, FusionConfig, Section
from polymodal.data.readers import CategoriesReader, DateReader, NumberReader
from polymodal.data.readers.base import content_of
from polymodal.data.readers.content import Content
from polymodal.data.schema.infer import Guess, guess_by_content, guess_modality, guess_target
from polymodal.data.tables.table import Table
from polymodal.data.targets import target_content
from polymodal.data.values.amounts import find_format
from polymodal.data.values.column_values import as_label, as_labels, look, parse_numbers
from polymodal.data.values.dates import check_date_format, find_date_format
from polymodal.data.values.labels import guess_separator
from polymodal.data.values.number_formats import number_format
from polymodal.errors import ConfigError, DataError, Problem, did_you_mean, option

__all__ = [
    "Guess",
    "as_label",
    "as_labels",
    "complete",
    "guess_modality",
    "guess_target",
    "parse_numbers",
    "render_yaml",
]


def complete(
    values: dict[str, Any],
    table: Table,
    *,
    targets: Sequence[str] = (),
    inputs: Sequence[str] = (),
    beside: bool = False,
    reads: Callable[[str], str] = str,
) -> tuple[dict[str, Any], list[Guess]]:
    """Add to a declaration what it leaves open, from the table.

    Args:
        values: The sections given, perhaps none; left as they are.
        table: The training table.
        targets: Columns to learn, beside those declared.
        inputs: Columns to read; where given, only these, with the settings declared for them.
        reads: The name of the target reader of a task, where other packages offer tasks.
        beside: Whether ``inputs`` are those guessed and a few more, so that columns left out are named.

    Returns:
        The completed sections, and what each column of the table was taken for, in the table's order.

    Raises:
        DataError: If a column named is not in the table, or none is left to read.
        ConfigError: If a column is both input and target.
    """
    values = deepcopy(values)
    guesses = [guess_modality(table, column) for column in table.columns]
    given = _section(values, "inputs"), _section(values, "targets")
    if given[0] is None or given[1] is None:
        return values, guesses  # of a wrong type: config.parse reports it, with the line
    read = {name: given[0].get(name) for name in inputs} if inputs else given[0]
    learnt = given[1] | {name: given[1].get(name) for name in targets}
    special = _special_columns(values, table)
    _require_columns(table, [*read, *learnt])
    both = [name for name in read if name in learnt]
    if both:
        raise ConfigError(f"column '{both[0]}' is both an input and a target. Leave it out of one of them")
    if inputs or not read:
        chosen = read or _free(table, guesses, {*learnt, *special})
        read = {name: read.get(name) for name in table.columns if name in chosen}
    values["inputs"] = {name: _input(table, name, entry) for name, entry in read.items()}
    values["targets"] = {name: _target(table, name, entry, reads) for name, entry in learnt.items()}
    _require_single_values(table, values, reads)
    is_chosen = not beside and bool(inputs or given[0])
    entries = read | learnt
    guesses = [
        _in_doubt(guess, values, entries.get(guess.column), reads, is_chosen=is_chosen) for guess in guesses
    ]
    return values, [_label_reason(guess, values["targets"].get(guess.column)) for guess in guesses]


def _require_single_values(table: Table, values: dict[str, Any], reads: Callable[[str], str]) -> None:
    """Refuse lists and records as categories or classes, which are one value a cell."""
    for section, key, of in (("inputs", "modality", content_of), ("targets", "task", _content(reads))):
        for name, entry in values[section].items():
            if isinstance(entry, dict) and of(single := str(entry.get(key))) is Content.CATEGORY:
                kind = table.values(name).type
                if pa.types.is_nested(kind):
                    reason = "records" if pa.types.is_struct(kind) else "lists"
                    fix = "Make a column of each value; a target of lists has the task 'multilabel'."
                    expected = f"one value a cell for {single}"
                    problem = Problem(file=table.name, column=name, found=reason, expected=expected, cure=fix)
                    raise DataError(problem)


def _in_doubt(
    guess: Guess, values: dict[str, Any], entry: Any, reads: Callable[[str], str], *, is_chosen: bool
) -> Guess:
    """The guess with its doubt, if the declaration leaves it open; that of a target is about its numbers."""
    column = guess.column
    target, read = values["targets"].get(column), values["inputs"].get(column)
    is_open = not (isinstance(entry, dict) and (entry.get("modality") or entry.get("format")))
    if isinstance(target, dict):
        is_number = _content(reads)(str(target.get("task"))) is Content.NUMBER
        is_read = is_open and is_number and content_of(guess.modality) is Content.NUMBER
        fix = guess.cure.replace(f"inputs.{column}.", f"targets.{column}.")
        return replace(guess, doubt=guess.doubt if is_read else "", cure=fix)
    if read is None:
        special = column in (values.get("data") or {}).values() or column == DataConfig().split
        return replace(guess, doubt="") if is_chosen or special else guess
    same = isinstance(read, dict) and read.get("modality") == guess.modality
    return guess if is_open and same else replace(guess, doubt="")


def _free(table: Table, guesses: list[Guess], taken: set[str]) -> list[str]:
    """The columns that can be read and serve nothing else."""
    free = [guess.column for guess in guesses if guess.is_read and guess.column not in taken]
    if free:
        return free
    reasons = [f"'{guess.column}': {guess.reason}" for guess in guesses if guess.column not in taken]
    reason = f"no column left to read ({'; '.join(reasons) or 'only targets'})"
    fix = f"Name columns with {option('inputs')}, or give them under 'inputs:'."
    raise DataError(Problem(file=table.name, found=reason, cure=fix))


def _section(values: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A section with its keys as texts (YAML reads a column ``1`` as a number); None if it is no section."""
    section = values.get(name)
    if section is None:
        return {}
    return {str(key): entry for key, entry in section.items()} if isinstance(section, dict) else None


def _special_columns(values: dict[str, Any], table: Table) -> list[str]:
    """The columns of the split, of groups and of weights; one that is named has to exist."""
    data = values.get("data")
    data = data if isinstance(data, dict) else {}
    default = DataConfig()
    split, group = data.get("split", default.split), data.get("group", default.group)
    if split == default.split and split not in table.columns:
        split = None  # the default column is a convention, not a promise that it is there
    named = [name for name in (split, group, data.get("sample_weight")) if isinstance(name, str)]
    _require_columns(table, named)
    return named


def _require_columns(table: Table, names: Iterable[str]) -> None:
    unknown = [name for name in names if name not in table.columns]
    problems = [
        Problem(file=table.name, found=f"no column '{name}'", cure=did_you_mean(name, table.columns))
        for name in dict.fromkeys(unknown)
    ]
    if problems:
        raise DataError(problems)


def _input(table: Table, name: str, entry: Any) -> Any:
    """A declared input with its modality filled in."""
    if entry is not None and not isinstance(entry, dict):
        return entry
    entry = dict(entry or {})
    if entry.get("modality") is None:
        values = table.values(name)
        cells = look(values)
        guess = (
            guess_by_content(name, values, cells)
            if cells.filled
            else Guess(name, None, "every cell is empty")
        )
        if guess.modality is None:
            problem = Problem(file=table.name, column=name, found=guess.reason, expected="something to read",
                              cure=f"{guess.cure}, or leave the column out of the inputs.".lstrip(", ")
                              if guess.cure else "Leave the column out of the inputs.")  # fmt: skip
            raise DataError(problem)
        entry = {"modality": guess.modality} | {
            key: value for key, value in entry.items() if key != "modality"
        }
    modality = entry["modality"]
    if modality == CategoriesReader.modality and "separator" not in entry:
        result = guess_separator(table.values(name))
        entry |= {} if result is None else {"separator": result}
    written = DATES if modality == DateReader.modality else NUMBERS
    return _with_format(table, name, entry, "inputs", written, search=modality in FORMATTED)


@dataclass(frozen=True)
class Written:
    """How the setting ``format`` of a column is understood.

    Attributes:
        check: Raises ``ValueError`` for a format that is none.
        find: The format of a column's cells; None where they need none.
    """

    check: Callable[[str], object]
    find: Callable[[pa.ChunkedArray], str | None]


NUMBERS = Written(number_format, find_format)
DATES = Written(check_date_format, find_date_format)
FORMATTED = (NumberReader.modality, DateReader.modality)
"""Modalities whose format is inferred from the whole column."""


def _with_format(
    table: Table, name: str, entry: dict[str, Any], section: str, written: Written, *, search: bool
) -> dict[str, Any]:
    """The entry of a column with the format its cells are written in, where it is not a plain one.

    Raises:
        ConfigError: If the format given is none.
    """
    if isinstance(entry.get("format"), int | float):  # as YAML reads 1234.5 without quotes
        entry = entry | {"format": str(entry["format"])}
    if isinstance(entry.get("format"), str):
        try:
            written.check(entry["format"])
        except ValueError as error:
            raise ConfigError(f"{section}.{name}.format: {error}") from None
    if not search or "format" in entry:
        return entry
    result = written.find(table.values(name))
    return entry if result is None else entry | {"format": result}


def _target(table: Table, name: str, entry: Any, reads: Callable[[str], str]) -> Any:
    """A declared target with its task filled in."""
    if entry is not None and not isinstance(entry, dict):
        return entry
    given = {key: value for key, value in (entry or {}).items() if not (key == "task" and value is None)}
    if "task" not in given:
        guess = guess_target(table, name)
        result = {"separator": guess.separator, "format": guess.format}
        given = {key: value for key, value in result.items() if value is not None} | given
        return _with_format(table, name, {"task": guess.task} | given, "targets", NUMBERS, search=False)
    content = _content(reads)(str(given["task"]))
    if content is Content.LABELS and "separator" not in given:
        given["separator"] = guess_separator(table.values(name))
    return _with_format(table, name, given, "targets", NUMBERS, search=content is Content.NUMBER)


def _content(reads: Callable[[str], str]) -> Callable[[str], Content | None]:
    """The content type of a task; None for an unknown task."""
    return lambda task: target_content(reads(task))


def _label_reason(guess: Guess, target: Any) -> Guess:
    """What a column of labels was taken for, in place of what it would be as an input."""
    if not isinstance(target, dict) or target_content(str(target.get("task"))) is not Content.LABELS:
        return guess
    separator = target.get("separator")
    reason = f"labels with '{separator}' between them" if separator else "lists of labels"
    return replace(guess, reason=reason)


def render_yaml(declaration: Declaration, guesses: list[Guess], table_name: str) -> str:
    """The declaration as YAML to edit: what matters, with the reason of each guess beside it.

    Args:
        declaration: A completed declaration.
        guesses: What each column was taken for.
        table_name: How the file should name the table.
    """
    reasons = {guess.column: _why(guess) for guess in guesses}
    lines = [*_render_data(declaration.data, set(reasons), table_name), "inputs:"]
    for name, entry in declaration.inputs.items():
        lines.append(f"  {_key(name)}: {_flow(entry, 'modality')}{_comment(reasons.get(name, ''))}")
    data = declaration.data
    used = {*declaration.inputs, *declaration.targets, data.split, data.group, data.sample_weight}
    for guess in guesses:
        if guess.column not in used:
            lines.append(_unused(guess))
    lines.append(
        "targets:"
        if declaration.targets
        else "targets: {}  # name: {task: classification, multilabel or regression}"
    )
    for name, target in declaration.targets.items():
        lines.append(f"  {_key(name)}: {_flow(target, 'task')}{_comment(reasons.get(name, ''))}")
    lines += [f"fusion: {_flow(declaration.fusion, *FusionConfig.model_fields)}", "train:"]
    train = _given(declaration.train, "epochs", "batch_size", "learning_rate", "seed")
    for key, value in train.items():
        note = "by default from the number of rows" if key == "epochs" and value is None else ""
        lines.append(f"  {_scalar(key)}: {_scalar(value)}{_comment(note)}")
    return "\n".join(lines) + "\n"


def _render_data(data: DataConfig, columns: set[str], table_name: str) -> list[str]:
    """The lines of ``data:``; shares are left out where a split column decides."""
    default = DataConfig()
    lines = ["data:", f"  train: {_scalar(table_name)}"]
    has_split = data.split in columns
    if has_split or data.split != default.split:
        lines.append(f"  split: {_scalar(data.split)}{_comment('names the split of each row')}")
    for key in ("validation", "test"):
        if not has_split or getattr(data, key) != getattr(default, key):
            note = "share of the rows, or a table" if not has_split else ""
            lines.append(f"  {key}: {_scalar(getattr(data, key))}{_comment(note)}")
    if data.group is not None:
        lines.append(f"  group: {_scalar(data.group)}{_comment('equal values never stand in two splits')}")
    if data.sample_weight is not None:
        lines.append(f"  sample_weight: {_scalar(data.sample_weight)}{_comment('how much each row counts')}")
    rest = data.model_dump(exclude_defaults=True)
    written = ("train", "split", "validation", "test", "group", "sample_weight")
    lines += [f"  {key}: {_flow_list(value)}" for key, value in rest.items() if key not in written]
    return lines


def _flow_list(value: Any) -> str:
    """A value on one line, be it a list."""
    return _dump(value, default_flow_style=True) if isinstance(value, list) else _scalar(value)


def _unused(guess: Guess) -> str:
    """A column that is not read, as a comment; taking the # away reads it, where it can be read."""
    name = _scalar(guess.column)
    if guess.is_read:
        return f"  # {name}: {{modality: {guess.modality}}}{_comment('left out; ' + _why(guess))}"
    return f"  # {name}: left out, {' '.join(_why(guess).split())}"


def _why(guess: Guess) -> str:
    """Why a column was taken for what it was, and the setting that decides where this is in doubt."""
    if not guess.doubt:
        return guess.reason
    doubt = guess.doubt.removeprefix(guess.reason).removesuffix(": left out").lstrip(", ")
    return ". ".join(filter(None, (guess.reason, doubt, guess.cure)))


def _given(section: Section, *always: str) -> dict[str, Any]:
    """The settings of a section that differ from its defaults, after those named in ``always``."""
    values = section.model_dump()
    return {key: values[key] for key in always} | section.model_dump(exclude_defaults=True)


def _flow(section: Section, *always: str) -> str:
    """A section on one line."""
    return _dump(_given(section, *always), default_flow_style=True)


def _key(name: str) -> str:
    """A name as a key; one of more than 1024 characters needs a mark and a line of its own."""
    written = _scalar(name)
    return written if len(written) < 1000 else f"? {written}\n  "


def _scalar(value: Any) -> str:
    """A name or number on one line, quoted where YAML would read something else."""
    return _dump(value, default_style='"' if isinstance(value, str) and not value.isprintable() else None)


def _dump(value: Any, **style: Any) -> str:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=float("inf"), **style)
    return text.removesuffix("...\n").strip()


def _comment(text: str) -> str:
    return f"  # {' '.join(text.split())}" if text else ""
