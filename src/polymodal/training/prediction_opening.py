"""From a completed declaration to the job of a fit of heads or objectives: models, splits, readers."""

from __future__ import annotations

from polymodal.config.parsing import located
from polymodal.errors import ConfigError
from polymodal.training.declaration.candidate_choice import settle_models
from polymodal.training.declaration.completion import Completed
from polymodal.training.declaration.sections import check_parts, open_cache
from polymodal.training.declaration.splitting import split_and_skip, without_rare_values
from polymodal.training.declaration.target_transform import resolve_transforms
from polymodal.training.declaration.unseen import leave_out_unseen
from polymodal.training.loop.arguments import fill_in
from polymodal.training.prediction_job import PredictionJob, prepare
from polymodal.training.request import FitRequest


def open_completed(request: FitRequest, completed: Completed) -> PredictionJob:
    """Check the parts that a declaration names, split its table, and prepare the readers.

    Raises:
        ConfigError: If an encoder, fusion, head, metric or option does not exist, or does not fit the others.
        DataError: If the table cannot be split as declared.
    """
    declaration, table, begun = completed.declaration, completed.table, completed.begun
    declared = completed.declared
    written, lines = declared.written, declared.lines
    known = completed.known
    notes = settle_models(declaration, table, request, of_run=declared.is_of_run, known=known)
    check_parts(declaration, written, lines, request.fusions, known)
    with located(written, lines, "data"):
        whole, numbers, rejected = split_and_skip(table, declaration, declared.folder)
        splits = without_rare_values(whole, declaration)
    guesses = leave_out_unseen(declaration, completed.guesses, splits, completed.stays)
    if begun is None and declaration.train.continued_learning_rate is not None:
        fix = "Leave it out, or name a run with --from"
        raise ConfigError(
            f"'train.continued_learning_rate' is for fine-tuning from a run: there is none. {fix}"
        )
    fill_in(
        declaration.train, len(splits["train"]), targets=bool(declaration.targets), started=begun is not None
    )
    job = PredictionJob(
        declaration=declaration, guesses=guesses, splits=splits, numbers=numbers, table=table, start=begun,
        processor=prepare(declaration, splits["train"], begun), cache=open_cache(declaration.data),
        rejected=rejected, folder=declared.folder, notes=notes, whole=whole,
    )  # fmt: skip
    resolve_transforms(job)
    return job
