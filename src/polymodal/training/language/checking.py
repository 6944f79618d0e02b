"""The check before the first step, for answers in words: tokens, answers, and one row shown."""

from __future__ import annotations

from typing import Any

import numpy as np

from polymodal.data.chat.templates import Template
from polymodal.data.check import CheckReport, check
from polymodal.data.rejected import SKIP, in_order
from polymodal.errors import Problem
from polymodal.training.language.apart import check_packing
from polymodal.training.language.job import LanguageJob
from polymodal.training.language.rows import ConversationRows
from polymodal.training.progress import progress

LISTED = 20
"""Rows that are too long, and are named one by one."""


def check_language(job: LanguageJob, *, quiet: bool = False) -> CheckReport:
    """Read every row once, count its tokens, and say what is wrong; rows may be left out if declared.

    The model is built, for it knows how many tokens an item takes.
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
    )
    _name_roles(job, report)
    if report.problems and not (skips and all(problem.row is not None for problem in report.problems)):
        return report
    report.problems = []  # of rows that cannot be read: they are found again, and left out, below
    model = job.model
    if job.declaration.generation and job.declaration.generation.pack:
        check_packing(model.language_model)
    job.begin_rows()
    for rows in job.all_rows():
        _settle(job, rows, rows.prepare(shown), skips, report)
    _limit(job, report)
    if report.ok:
        _require_rows(job, report)
    if report.ok:
        report.conversation = _describe(job)
    report.rejected = job.rejected = in_order(job.rejected)
    return report


def _name_roles(job: LanguageJob, report: CheckReport) -> None:
    """Say which columns are asked with and answered by; messages are looked at row by row below."""
    generation = job.declaration.generation
    assert generation is not None
    roles = {generation.messages: "messages"} if generation.messages else {}
    for role in ("prompt", "answer"):
        template = getattr(generation, role)
        roles |= dict.fromkeys(Template(template).columns if template else (), role)
    for entry in report.columns:
        if entry.column in roles and entry.role == "left out":
            entry.role = roles[entry.column]
        if entry.column == generation.messages:
            entry.modality, entry.empty, entry.reason = None, 0.0, "conversations"


def _settle(
    job: LanguageJob, rows: ConversationRows, problems: list[Problem], skips: bool, report: CheckReport
) -> None:
    """Leave out rows that cannot be read or learned from, or say so."""
    unlearned = [problem for problem in problems if "no loss" in problem.found]
    if skips:
        job.rejected += problems
    else:
        report.problems += [problem for problem in problems if problem not in unlearned]
        if unlearned:
            found = f"{len(unlearned)} rows have no answer and give no loss (such as row {unlearned[0].row})"
            report.warnings.append(Problem(file=rows.table.name, found=found, cure="They are left out"))
    rows.leave_out(problems)


def _limit(job: LanguageJob, report: CheckReport) -> None:
    """Refuse or leave out rows of more tokens than the context has; items are never cut."""
    generation, longest = job.declaration.generation, job.longest
    assert generation is not None
    if longest is None:
        return
    for rows in job.all_rows():
        long = np.flatnonzero(rows.lengths > longest)
        problems = [_too_long(job, rows, int(place), longest) for place in long]
        if generation.too_long == "leave_out" and not rows.reply:
            job.rejected += problems
            rows.keep(np.flatnonzero(rows.lengths <= longest))
        else:
            report.problems += problems[:LISTED]
            if len(problems) > LISTED:
                found = f"{len(problems) - LISTED} more rows of more than {longest} tokens"
                report.problems.append(Problem(file=rows.table.name, found=found))


def _too_long(job: LanguageJob, rows: ConversationRows, place: int, longest: int) -> Problem:
    row = rows.rows[place]
    items = sum(row.taken)
    found = f"{rows.lengths[place]} tokens" + (f", {items} of them of items" if items else "")
    cure = "Shorten it, lower inputs.<name>.tokens, or set generation.max_length or too_long: leave_out."
    return Problem(file=rows.table.name, row=int(rows.numbers[place]) + 1, found=found,
                   expected=f"at most {longest}", cure=cure)  # fmt: skip


def _require_rows(job: LanguageJob, report: CheckReport) -> None:
    for stage in job.stages:
        for split, rows in stage.rows.items():
            if not len(rows):
                found = f"no rows that give a loss for {split} in stage '{stage.name}'"
                report.problems.append(Problem(file=rows.table.name, found=found, expected="one or more"))


def _describe(job: LanguageJob) -> dict[str, Any]:
    """Token counts of the training rows, and the first of them as the model will see it."""
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
