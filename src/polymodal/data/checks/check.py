"""The check before a fit: what it would read, and its problems and warnings, each with a fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from polymodal.config import Declaration
from polymodal.data.checks.check_columns import FEWEST_ROWS, Findings, below_zero, check_input, check_target
from polymodal.data.checks.check_combined import combined_giveaways
from polymodal.data.checks.check_copies import copies
from polymodal.data.checks.check_derived import giveaways
from polymodal.data.checks.check_labels import check_labels
from polymodal.data.checks.check_media import Decode, Progress, check_media, judged, noted
from polymodal.data.checks.check_truncation import check_text_length, cut_media
from polymodal.data.checks.check_values import check_values, count_marks, describe_marks
from polymodal.data.checks.leakage import duplicates, equal_media, group_overlap
from polymodal.data.checks.split_view import Parts
from polymodal.data.media.content_keys import Contents
from polymodal.data.readers import Reader
from polymodal.data.readers.base import READERS, is_media
from polymodal.data.readers.content import Content
from polymodal.data.schema.column_summary import describe_classes
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.data.weights import check_weights, describe_weights
from polymodal.errors import LONGEST, Problem, did_you_mean, one_line
from polymodal.utils.overview import Overview, Overviewed
from polymodal.utils.records import JsonObject


@dataclass
class ColumnReport:
    """The role, modality and content of one column.

    Attributes:
        column: Its name.
        role: ``input``, ``target``, ``split``, ``group``, ``weight`` or ``left out``.
        modality: What it is read as; a target's task; None where it is not read.
        reason: Why it was taken for that.
        empty: Share of its cells that are empty, over all splits.
        detail: Sizes, lengths, classes or range, in words.
        marks: Cells that are empty by a mark of a missing value, by the mark.
    """

    column: str
    role: str
    modality: str | None
    reason: str
    empty: float
    detail: str = ""
    marks: dict[str, int] = field(default_factory=dict)


@dataclass(repr=False)
class CheckReport(Overviewed, Findings):
    """The result of the check before a fit: columns, problems and warnings.

    Attributes:
        table: The training table.
        rows: Number of rows by split.
        columns: Every column of the training table.
        problems: What keeps a fit from starting.
        warnings: What a fit would go on with.
        rejected: Cells for which their rows are left out.
        conversation: Of answers in words: tokens of a row, and one row as the model sees it.
        notes: How the tables were read, where that is not a matter of course.
    """

    table: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    columns: list[ColumnReport] = field(default_factory=list)
    rejected: list[Problem] = field(default_factory=list)
    conversation: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether a fit would start."""
        return not self.problems

    def overview(self) -> Overview:
        """A row per column, then warnings and problems, then whether a fit would start."""
        heads = ("column", "role", "read as", "empty", "content")
        rows = [
            (each.column, each.role, each.modality or "", f"{each.empty:.0%}", each.detail or each.reason)
            for each in self.columns
        ]
        lines = [f"warning: {line}" for line in self.warnings]
        lines += [f"problem: {one_line(str(problem), LONGEST)}" for problem in self.problems]
        lines.append("A fit would start." if self.ok else "A fit would not start.")
        counts = ", ".join(f"{count:,} {split}" for split, count in self.rows.items() if count)
        return Overview(f"{self.table}: {counts}", heads, tuple(rows), tuple(lines))

    def to_json(self) -> JsonObject:
        """The report as plain values."""
        return {"ok": self.ok, **asdict(self)}


def check(
    splits: dict[str, Table],
    declaration: Declaration,
    guesses: list[Guess],
    *,
    decode: Decode | None = None,
    progress: Progress | None = None,
    row_numbers: dict[str, np.ndarray] | None = None,
    every: bool = False,
    alike: Sequence[str] | None = None,
    readers: Mapping[str, Reader] | None = None,
) -> CheckReport:
    """Read all a fit would read, and report its problems and warnings.

    Args:
        splits: ``train``, and ``validation`` and ``test`` where they are there.
        declaration: The completed declaration.
        guesses: What each column of the table was taken for.
        decode: Reads an item of a media cell, given input, settings, item and folder; raises ``MediaError``.
        progress: Wraps a loop, given what it is about and its length, to show how far it is.
        row_numbers: For each split, its rows' places in the user's file, from 0.
        every: Name every row that is at fault, even where one line could summarise many.
        alike: Columns in which rows of two splits must not be equal; by default the inputs.
        readers: Of the inputs; they know how much of a cell is kept.
    """
    inputs, targets = declaration.inputs, declaration.targets
    roles: dict[str, str] = {name: entry.modality for name, entry in inputs.items()}
    roles |= {name: entry.family for name, entry in targets.items()}
    formats = {name: entry.format for name, entry in inputs.items()}
    formats |= {name: entry.format for name, entry in targets.items()}
    parts = Parts(splits, row_numbers or {}, roles, every, formats)
    report = CheckReport(table=parts.train.name, rows={split: len(table) for split, table in splits.items()})
    report.notes += dict.fromkeys(
        f"{table.name}: {note}" for table in splits.values() for note in table.notes
    )
    report.problems += _check_rows(parts, report.table)
    report.problems += _missing_columns(parts, declaration.data.sample_weight)
    if report.rows["train"] == 0:
        return report
    details = _check_columns(parts, declaration, report, decode, progress, readers or {})
    report.warnings += [
        Problem(file=report.table, column=guess.column, found=guess.doubt, cure=f"{guess.cure}.")
        for guess in guesses
        if guess.doubt
    ]
    report.warnings += copies(parts, list(inputs)) + _repeated(parts, list(inputs), alike)
    if parts.train.has(str(declaration.data.group)):
        report.warnings += check_values(parts, str(declaration.data.group))
        report.warnings += group_overlap(parts, str(declaration.data.group))
    if (weight := declaration.data.sample_weight) is not None:
        problems, warnings = check_weights(parts, weight, targets)
        report.problems += problems
        report.warnings += warnings
    report.columns = _describe_columns(parts, declaration, guesses, details)
    return report


def _repeated(parts: Parts, inputs: list[str], alike: Sequence[str] | None) -> list[Problem]:
    """Warnings of rows, and of media, that are in two splits."""
    contents = Contents(parts, inputs)
    repeated = duplicates(parts, inputs if alike is None else alike, contents)
    media = [name for name in inputs if is_media(parts.roles[name]) and parts.having(name)]
    equal = [problem for name in media for problem in equal_media(parts, name, contents, repeated)]
    return repeated.warnings + equal


def _check_columns(
    parts: Parts,
    declaration: Declaration,
    report: CheckReport,
    decode: Decode | None,
    progress: Progress | None,
    readers: Mapping[str, Reader],
) -> dict[str, str]:
    """Check each input and target that is there; a description of the content by column."""
    details = {}
    for name, config in declaration.inputs.items():
        if parts.train.has(name):
            details[name] = check_input(parts, name, report)
            kind = READERS[config.modality]
            if kind.holds in (Content.MEDIA, Content.VALUE):
                opened = check_media(parts, name, config, decode, progress)
                details[name] = opened.detail + _white(readers.get(name))
                report.warnings += noted(parts, name, opened)
                report.problems += judged(parts, name, kind, opened, report)
                cut_media(parts, name, readers.get(name), opened.sizes, report)
            elif kind.holds is Content.TEXT:
                details[name] += check_text_length(parts, name, config, readers.get(name), report)
            if kind.holds in (Content.CATEGORY, Content.TEXT):
                report.warnings += check_values(parts, name)
    for name, target in declaration.targets.items():
        if parts.train.has(name):
            content = parts.holds(name)
            details[name] = (
                check_labels(parts, name, target.separator, report)
                if content is Content.LABELS
                else check_target(parts, name, report)
            )
            if content is not Content.NUMBER:
                report.warnings += check_values(parts, name, target.separator)
            if target.transform == "log":
                report.warnings += below_zero(parts, name)
            report.warnings += _giveaways(parts, list(declaration.inputs), name)
    return details


def _giveaways(parts: Parts, inputs: list[str], target: str) -> list[Problem]:
    """Warnings of inputs that give ``target`` alone, and of the others that give it together."""
    alone = giveaways(parts, inputs, target)
    named = {problem.column for problem in alone}
    return alone + combined_giveaways(parts, [name for name in inputs if name not in named], target)


def _white(reader: Reader | None) -> str:
    """The value of white in pictures of more than 8 bits, in words; empty where the input has none."""
    scale = getattr(reader, "full_scale", None)
    return f", {scale:g} is white" if scale else ""


def _check_rows(parts: Parts, table: str) -> list[Problem]:
    problems = []
    if len(parts.train) < FEWEST_ROWS:
        reason = f"{len(parts.train)} rows to train on"
        problems.append(Problem(file=table, found=reason, expected="two or more", cure="Give more rows."))
    if not len(parts.tables.get("validation", ())):
        fix = "Give more rows, a larger data.validation, or mark rows 'val' in the split column."
        problems.append(Problem(file=table, found="no rows for validation", expected="one or more", cure=fix))
    return problems


def _missing_columns(parts: Parts, weight: str | None) -> list[Problem]:
    problems = [
        Problem(file=table.name, found=f"no column '{name}'", cure=did_you_mean(name, table.columns))
        for table in parts.tables.values()
        for name in [*parts.roles, *([weight] if weight else [])]
        if not table.has(name)
    ]
    return list(dict.fromkeys(problems))  # the splits of one file all lack the same


def _describe_columns(
    parts: Parts, declaration: Declaration, guesses: list[Guess], details: dict[str, str]
) -> list[ColumnReport]:
    """A report on every column of the training table, in its order."""
    known = {guess.column: guess for guess in guesses}
    reports = []
    for column in parts.train.columns:
        guess = known.get(column, Guess(column, None, ""))
        role = _role(column, declaration)
        modality = parts.roles.get(column, guess.modality if role == "left out" else None)
        empty = np.concatenate([parts.empty(split, column) for split in parts.having(column)])
        detail = details.get(column, "")
        if role == "group":
            detail = describe_classes(parts, column, "groups")
        if role == "weight":
            detail = describe_weights(parts, column)
        marks = count_marks(parts, column, modality)
        detail = "; ".join(filter(None, (detail, describe_marks(marks))))
        reports.append(ColumnReport(column, role, modality, guess.reason, float(empty.mean()), detail, marks))
    return reports


def _role(column: str, declaration: Declaration) -> str:
    if column in declaration.inputs:
        return "input"
    if column in declaration.targets:
        return "target"
    if column == declaration.data.split:
        return "split"
    if column == declaration.data.sample_weight:
        return "weight"
    return "group" if column == declaration.data.group else "left out"
