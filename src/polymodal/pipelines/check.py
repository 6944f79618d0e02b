"""The check of a fit that is not made: of a table its rows first, without torch, then the models."""

from __future__ import annotations

from collections.abc import Callable

from polymodal.data.checks.check import CheckReport
from polymodal.data.targets import TARGETS
from polymodal.errors import LONGEST, DataError, Problem, one_line
from polymodal.training.declaration.candidate_choice import settle_its_encoders
from polymodal.training.declaration.completion import Completed
from polymodal.training.declaration.target_transform import resolve_transforms
from polymodal.training.language.language_inputs import LanguageInputs
from polymodal.training.opening import described, open_read, read_job
from polymodal.training.read_rows import ReadRows, read_rows
from polymodal.training.request import FitRequest
from polymodal.utils.progress import note

Shown = Callable[[CheckReport], None]


def check_request(request: FitRequest, shown: Shown | None = None) -> CheckReport:
    """Check the rows and the declaration of a request.

    Args:
        request: Of a fit or a pre-training.
        shown: Called with the report on the rows, as soon as it is there.

    Raises:
        PolymodalError: If there is nothing to check, or a setting is wrong.
    """
    read = read_job(request)
    note(one_line(f"checking {described(read)}", LONGEST), request.quiet)
    if isinstance(read, LanguageInputs):
        return _check_words(request, read, shown)
    return _check_completed(request, read, shown)


def _check_completed(request: FitRequest, read: Completed, shown: Shown | None) -> CheckReport:
    declaration, models_last = read.declaration, _reads_alone(request, read)
    settle_its_encoders(declaration, read.table, request, of_run=read.declared.is_of_run, known=read.known)
    if not models_last:
        _check_models(request, read)
    rows = read_rows(read)
    resolve_transforms(rows)
    report = rows.check(request.quiet)
    if shown is not None:
        shown(report)
    if models_last:
        _check_models(request, read)
    report.problems += _unpaired(rows) if declaration.objectives else []
    return report


def _reads_alone(request: FitRequest, read: Completed) -> bool:
    """Whether nothing is declared that the classes of models have to check: a table and its columns alone."""
    named = request.settings or request.sample_weight or read.declared.lines
    declared = bool(named or read.begun or read.declaration.objectives)
    return not declared and all(target.task in TARGETS for target in read.declaration.targets.values())


def _check_models(request: FitRequest, read: Completed) -> None:
    from polymodal.candidates.checks import check_candidates  # these import torch
    from polymodal.training.prediction_opening import check_models

    check_models(request, read)
    check_candidates(read.declaration)


def _unpaired(rows: ReadRows) -> list[Problem]:
    """Problems of objectives that compare inputs which no rows hold together."""
    from polymodal.training.pairing import check_pairs  # of the classes of objectives, which import torch

    try:
        check_pairs(rows.splits, rows.declaration.objectives, rows.processor.readers)
    except DataError as error:
        return error.problems
    return []


def _check_words(request: FitRequest, read: LanguageInputs, shown: Shown | None) -> CheckReport:
    """The check of a fit of answers in words, whose conversations the tokenizer of its model reads."""
    job = open_read(request, read)
    from polymodal.candidates.checks import check_candidates

    check_candidates(job.declaration)
    report = job.check(request.quiet)
    if shown is not None:
        shown(report)
    return report
