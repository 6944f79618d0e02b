"""Check of the data before a language model is trained: tokens, answers, and an example row."""

from __future__ import annotations

from typing import Any

import numpy as np

from polymodal.data.chat.templates import Template
from polymodal.data.checks.check import CheckReport, check
from polymodal.data.checks.check_values import check_values
from polymodal.data.checks.rejected import SKIP, in_order
from polymodal.data.checks.split_view import Parts
from polymodal.data.readers import TextReader
from polymodal.errors import Problem
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.language.prompt_leakage import repeated_prompts, shown_answers
from polymodal.training.loop.packed_attention import check_packing
from polymodal.utils.progress import progress
from polymodal.utils.records import JsonObject

LISTED = 20
"""Largest number of rows with too many tokens that are listed one by one."""


def check_language(job: LanguageJob, quiet: bool = False) -> CheckReport:
    """Read every row once, count its tokens and report problems; rows are skipped where that is declared.

    The model is built, since it determines the number of tokens per item.
    """
    shown = None if quiet else progress

    def decode(name: str, config: Any, item: Any, root: Any) -> Any:
        return job.processor.read(name, item, root, job.cache)

    splits = {name: table for name, table in job.columns.items() if len(table) or name == "train"}
    skips = job.declaration.data.on_error == SKIP
    report = job.report = check(
        splits,
        job.declaration,
        job.guesses,
        decode=decode,
        progress=shown,
        row_numbers=job.numbers,
        every=skips,
        readers=job.processor.readers,
        alike=(),  # prompts are compared below, once they are rendered
    )
    _name_roles(job, report)
    report.warnings += _texts_read(job, report)
    unread = [] if skips else _unread(job)
    if unread:  # their items count as empty cells
        report.problems = unread
        return report
    if report.problems and not (skips and all(problem.row is not None for problem in report.problems)):
        return report
    report.problems = []  # of rows that cannot be read: they are detected again, and skipped, below
    model = job.model
    if job.generation.pack:
        check_packing(model.language_model)
    job.begin_rows()
    for rows in job.all_rows():
        _settle(job, rows, rows.prepare(shown), skips, report)
    _limit(job, report)
    if report.ok:
        _require_rows(job, report)
    if report.ok:
        report.warnings += repeated_prompts(job) + shown_answers(job)
        report.conversation = _describe(job)
    report.rejected = job.rejected = in_order(job.rejected)
    return report


def _unread(job: LanguageJob) -> list[Problem]:
    """Problems of a column of messages that cannot be read."""
    column = job.generation.messages
    tables = job.splits.values() if column else ()
    return [
        problem
        for table in tables
        for problem in ConversationRows(table, job.reader, job.processor, column=column).unread()
    ]


def _name_roles(job: LanguageJob, report: CheckReport) -> None:
    """Set the roles of columns in the report: prompt, answer, messages."""
    generation = job.generation
    roles = {generation.messages: "messages"} if generation.messages else {}
    for section in (*job.declaration.stages.values(), generation):
        for role in ("prompt", "answer"):
            template = getattr(section, role)
            roles |= dict.fromkeys(Template(template).columns if template else (), role)
    for entry in report.columns:
        if entry.column in roles and entry.role == "left out":
            entry.role = roles[entry.column]
        if entry.column == generation.messages:
            entry.modality, entry.empty, entry.reason = None, 0.0, "conversations"


def _texts_read(job: LanguageJob, report: CheckReport) -> list[Problem]:
    """Warnings of texts that often mean a missing value, in the columns of prompts and answers."""
    names = [entry.column for entry in report.columns if entry.role in ("prompt", "answer")]
    tables = {split: table for split, table in job.columns.items() if len(table)}
    parts = Parts(tables, job.numbers, dict.fromkeys(names, TextReader.modality))
    return [warning for name in names if "train" in tables for warning in check_values(parts, name)]


def _settle(
    job: LanguageJob, rows: ConversationRows, problems: list[Problem], skips: bool, report: CheckReport
) -> None:
    """Skip rows that cannot be read or have no answer to learn, or report them."""
    unlearned = rows.unlearned
    if skips:
        job.rejected += [problem for problem in problems if problem not in job.rejected]
    else:
        others = [problem for problem in problems if problem not in unlearned]
        report.problems += [problem for problem in others if problem not in report.problems]
        if unlearned:
            count, first = len(unlearned), unlearned[0].row
            what = "row has no answer and gives" if count == 1 else "rows have no answer and give"
            reason = f"{count} {what} no loss (such as row {first})"
            warning = Problem(file=rows.table.name, found=reason, cure="They are left out")
            report.warnings += [warning] if warning not in report.warnings else []
    rows.leave_out(problems)


def _limit(job: LanguageJob, report: CheckReport) -> None:
    """Report or skip rows with more tokens than the context; rows are never truncated."""
    reported: set[tuple[str, int | None]] = set()  # validation rows are in two sets of rows
    for rows in job.all_rows():
        longest = job.limit(rows)
        if longest is None:
            continue
        too_long = rows.longer_than(longest, _fixes(job, longest), of_items="lower inputs.<name>.tokens")
        problems = [problem for problem in too_long if (problem.file, problem.row) not in reported]
        reported |= {(problem.file, problem.row) for problem in problems}
        if job.generation.too_long == "leave_out":
            job.rejected += problems
            rows.keep(np.flatnonzero(rows.lengths <= longest))
        else:
            report.problems += problems[:LISTED]
            if len(problems) > LISTED:
                more = f"{len(problems) - LISTED} more rows of more than {longest} tokens"
                report.problems.append(Problem(file=rows.table.name, found=more))


def _fixes(job: LanguageJob, longest: int) -> list[str]:
    """Fixes for rows of more than ``longest`` tokens: raise a limit, or skip the rows."""
    limits = {"pack": job.generation.pack, "max_length": job.generation.max_length}
    raised = [f"raise generation.{name}" for name, limit in limits.items() if limit == longest]
    return [*raised, "set generation.too_long: leave_out"]


def _require_rows(job: LanguageJob, report: CheckReport) -> None:
    for stage in job.stages:
        for split, rows in stage.rows.items():
            if not len(rows):
                where = f" in stage '{stage.name}'" if len(job.stages) > 1 else ""
                reason = f"no rows are left that give a loss for {split}{where}"
                report.problems.append(Problem(file=rows.table.name, found=reason, expected="one or more"))


def _describe(job: LanguageJob) -> JsonObject:
    """Token counts of the training rows, and the first row as the model gets it."""
    stage = job.stages[-1]
    rows = stage.rows["train"]
    lengths = rows.lengths
    learned = sum(int(row.encoded.learned.sum()) for row in rows.rows)
    return {
        "tokens": {
            "shortest": int(lengths.min()), "median": float(np.median(lengths)),
            "longest": int(lengths.max()), "most": job.longest, "learned": learned / int(lengths.sum()),
        },
        "shown": job.processor.renderer.describe(rows.rows[0].encoded),
        "row": int(rows.numbers[0]) + 1,
    }  # fmt: skip
