"""Rows that cannot be read are left out of a fit before it begins: ``data.on_error: skip``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polymodal.data.checks.check import CheckReport
from polymodal.data.checks.rejected import NAME, count_rows, in_order
from polymodal.data.processor import PolymodalProcessor
from polymodal.errors import Problem

if TYPE_CHECKING:
    from polymodal.training.job import Job
    from polymodal.training.language.language_job import LanguageJob


def leave_out(job: Job, report: CheckReport) -> CheckReport:
    """Leave rows out of ``job`` until none is at fault.

    What is learnt from the training rows is then learnt anew, from those that are left.

    Args:
        job: Its splits, numbers, processor, and rejected are changed.
        report: Of the check of all its rows.

    Returns:
        The report on the rows that are left; its problems are those that concern no row in particular.
    """
    before = len(job.rejected)
    while bad := [problem for problem in report.problems if problem.row is not None]:
        others = [problem for problem in report.problems if problem.row is None]
        leave_rows(job, bad)
        if others:  # leaving rows out cures none of these
            report.problems = others
            break
        report = job.check_cells(lambda *_: None)  # what is left was read
    if len(job.rejected) > before and report.ok:
        _prepare_again(job)
    report.rejected = job.rejected = in_order(job.rejected)
    return report


def leave_rows(job: Job, bad: Sequence[Problem]) -> None:
    """Take the rows that ``bad`` names out of every split of ``job``."""
    job.rejected = [*job.rejected, *bad]
    job.splits = {name: table.without(bad) for name, table in job.splits.items()}
    job.numbers = {name: table.places for name, table in job.splits.items()}


def leave_out_too(job: Job, rejected: list[Problem]) -> None:
    """Leave out of ``job`` what another process, the one that checks, left out of its own."""
    known = set(job.rejected)
    bad = [problem for problem in rejected if problem not in known]
    if bad:
        leave_rows(job, bad)
        _prepare_again(job)
        job.rejected = rejected


def skip_notes(job: Job | LanguageJob) -> list[str]:
    """How many rows were left out, if any were."""
    count = count_rows(job.rejected)
    return [f"{count} row{'s' * (count > 1)} left out, listed in {NAME}"] if count else []


def _prepare_again(job: Job) -> None:
    """A new processor; readers that stay equal are kept, and with them what they have in the cache."""
    fresh = job.prepared()
    old = job.processor.readers
    same = {name for name in old if old[name].fingerprint == fresh.readers[name].fingerprint}
    readers = {name: old[name] if name in same else fresh.readers[name] for name in old}
    job.processor = PolymodalProcessor(readers, fresh.targets, fresh.missing)
