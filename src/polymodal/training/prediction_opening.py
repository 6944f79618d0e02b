"""From a completed declaration to the job of a fit of heads or objectives: models, splits, readers."""

from __future__ import annotations

from polymodal.data.row_processor import RowProcessor
from polymodal.training.declaration.candidate_choice import is_plain, settle_candidates, settle_models
from polymodal.training.declaration.completion import Completed
from polymodal.training.declaration.target_checks import check_targets, has_neural_parts
from polymodal.training.declaration.target_transform import resolve_transforms
from polymodal.training.loop.defaults import fill_in
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.read_rows import read_rows
from polymodal.training.request import FitRequest


def open_completed(request: FitRequest, completed: Completed) -> PredictionJob:
    """Check the parts that a declaration names, split its table, and prepare the readers.

    Raises:
        ConfigError: If an encoder, fusion, head, metric or option does not exist, or does not fit the others.
        DataError: If the table cannot be split as declared.
    """
    declaration, begun = completed.declaration, completed.begun
    notes = settle_models(
        declaration, completed.table, request, of_run=completed.declared.is_of_run, known=completed.known
    )
    _check(request, completed)
    rows = read_rows(completed)
    fill_in(
        declaration.train, len(rows.splits["train"]), targets=bool(declaration.targets),
        started=begun is not None,
    )  # fmt: skip
    chosen = resolve_transforms(rows)
    processor = rows.processor if is_plain(declaration) else _for_batches(rows.processor)
    return PredictionJob(
        declaration=declaration, guesses=rows.guesses, splits=rows.splits, numbers=rows.numbers,
        table=completed.table, start=begun, processor=processor, cache=rows.cache,
        rejected=rows.rejected, folder=rows.folder, notes=notes, whole=rows.whole, chosen=chosen,
    )  # fmt: skip


def check_models(request: FitRequest, completed: Completed) -> None:
    """Check the parts that a declaration names, whose rows were read already.

    Raises:
        ConfigError: As :func:`open_completed`.
    """
    settle_candidates(
        completed.declaration, completed.table, request, of_run=completed.declared.is_of_run,
        known=completed.known,
    )  # fmt: skip
    _check(request, completed)


def _check(request: FitRequest, completed: Completed) -> None:
    declaration, declared = completed.declaration, completed.declared
    if not (has_neural_parts(declaration) or request.fusions or completed.known):
        check_targets(declaration, declared.written, declared.lines)
        return
    from polymodal.training.declaration.sections import check_parts  # which needs torch

    check_parts(declaration, declared.written, declared.lines, request.fusions, completed.known)


def _for_batches(rows: RowProcessor) -> RowProcessor:
    from polymodal.data.processor import for_batches  # which needs torch

    return for_batches(rows)
