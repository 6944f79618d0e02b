"""The inputs of a language model fit: those declared, and what its templates name. None of it needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymodal.data.chat.messages_reading import kinds_in
from polymodal.data.chat.templates import Template
from polymodal.data.readers.base import is_media
from polymodal.data.schema.infer import guess_modality
from polymodal.data.schema.schema import complete
from polymodal.data.tables.table import Table
from polymodal.errors import DataError, Problem, did_you_mean
from polymodal.training.declaration.source import Declared
from polymodal.training.request import FitRequest


@dataclass(frozen=True)
class LanguageInputs:
    """What a fit of answers in words reads.

    Attributes:
        declared: The sections, ``inputs`` completed.
        table: All rows.
        own: The section ``inputs`` before it was completed; None where a section of the declaration is none.
    """

    declared: Declared
    table: Table
    own: dict[str, Any] | None


def language_inputs(request: FitRequest, declared: Declared) -> LanguageInputs:
    """Complete the sections ``generation`` and ``inputs`` of a declaration from its table.

    Raises:
        ConfigError: If a template cannot be read.
        DataError: If the table cannot be read, or lacks a column that is named.
        RunError: If the run to fine-tune from is none.
    """
    values = declared.values
    section = values.get("generation") or {}
    if isinstance(section, dict):  # else it is refused below, with its line
        templates = {"prompt": request.prompt, "answer": request.answer}
        values["generation"] = section | {key: text for key, text in templates.items() if text is not None}
    table = declared.table(request)
    declared.require_start()
    # What is no section is refused when it is parsed, with its line: its content cannot be looked at before.
    if not _is_readable(values):
        return LanguageInputs(declared, table, None)
    own = values.get("inputs") or {}
    values["inputs"] = _inputs(values, table, request.inputs)
    return LanguageInputs(declared, table, own)


def _is_readable(values: Mapping[str, Any]) -> bool:
    sections = values.get("generation"), values.get("inputs") or {}
    return all(isinstance(section, dict) for section in sections)


def _inputs(values: dict[str, Any], table: Table, named: Sequence[str]) -> dict[str, Any]:
    """The inputs: those declared and named, and the columns of templates or messages that hold media."""
    generation, declared = values["generation"], dict(values.get("inputs") or {})
    read: dict[str, Any] = declared | {name: declared.get(name) for name in named}
    column = generation.get("messages")
    if column is not None:
        _require(table, str(column), "generation.messages")
        return read or {kind: {"modality": kind} for kind in kinds_in(table, str(column))}
    _columns(generation.get("answer"), "generation.answer", table)
    for column in _columns(generation.get("prompt"), "generation.prompt", table):
        if column not in read and is_media(guess_modality(table, column).modality):
            read[column] = None
    if not read:
        return {}
    completed, _ = complete({"inputs": read}, table)
    return completed["inputs"]


def _columns(template: Any, where: str, table: Table) -> list[str]:
    if not isinstance(template, str) or not template:  # refused when the section is parsed
        return []
    parsed = Template(template, where=where)
    parsed.check(table.columns)
    return parsed.columns


def _require(table: Table, column: str, where: str) -> None:
    if column not in table.columns:
        fix = did_you_mean(column, table.columns)
        raise DataError(Problem(file=table.name, found=f"no column '{column}' for {where}", cure=fix))
