"""From a table or a YAML file to everything a fit needs: the declaration is read once, whatever it is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from polymodal.config import Declaration
from polymodal.config.parsing import located, parse
from polymodal.data.schema.schema import complete
from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError
from polymodal.tasks import reader_name
from polymodal.training.declaration.candidate_choice import settle_models
from polymodal.training.declaration.sections import check_parts, open_cache
from polymodal.training.declaration.source import Declared, read_request
from polymodal.training.declaration.splitting import split_and_skip, without_rare_values
from polymodal.training.declaration.target_transform import resolve_transforms
from polymodal.training.declaration.unseen import leave_out_unseen
from polymodal.training.declaration.validation import name_objectives, without_targets
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.language.language_opening import open_language_job
from polymodal.training.loop.arguments import fill_in
from polymodal.training.prediction_job import PredictionJob, prepare
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.inheritance import take_over
from polymodal.training.warm_start.start import open_declared_start

AnyJob = PredictionJob | LanguageJob
"""A fit of whichever kind."""


def open_job(request: FitRequest) -> AnyJob:
    """Read a table or a declaration, and fill in what it leaves open.

    Returns:
        A :class:`LanguageJob` where answers in words are requested or declared, else a
        :class:`PredictionJob`.

    Raises:
        ConfigError: If the declaration has an unknown key, or requests what its kind of fit cannot do.
        DataError: If a table cannot be read or lacks what is declared.
        RunError: If the run to fine-tune from is none.
    """
    declared = read_request(request)
    if declared.answers_in_words(request):
        _refuse_of_words(request, declared)
        return open_language_job(request, declared)
    return _open_prediction(request, declared)


def open_prediction_job(request: FitRequest) -> PredictionJob:
    """The same, of heads or objectives alone.

    Raises:
        ConfigError: If the declaration is of answers in words too.
    """
    job = open_job(request)
    if isinstance(job, LanguageJob):
        raise ConfigError(f"{read_request(request).written}: {ONE_FIT}")
    return job


ONE_FIT = "answers in words ('generation'), which one plain fit alone learns"


def _refuse_of_words(request: FitRequest, declared: Declared) -> None:
    """Refuse what a fit of a language model cannot do.

    Raises:
        ConfigError: At the first request that it cannot fulfil.
    """
    if request.targets:
        raise ConfigError("'target' does not go with answers in words. Leave one of them out")
    if request.pretraining or request.fusions or request.trials is not None:
        raise ConfigError(f"{declared.written}: {ONE_FIT}")


def _open_prediction(request: FitRequest, declared: Declared) -> PredictionJob:
    values, lines, written, folder = declared.values, declared.lines, declared.written, declared.folder
    targets, inputs, named = request.targets, request.inputs, declared.named
    name_objectives(values, request.objectives)
    table = declared.table(request)
    begun = open_declared_start(declared)
    if begun:
        values = take_over(
            begun, values, table, targets=targets, inputs=inputs, named=named, source=written, lines=lines
        )
        inputs, named = (), []
    own = values.get("inputs")
    stays = [*inputs, *named, *(own if isinstance(own, dict) else ())]
    if named:
        inputs = _beside_named(values, table, targets, named)
    completed, guesses = complete(
        values, table, targets=targets, inputs=inputs, beside=bool(named), reads=reader_name
    )
    declaration = parse(completed, source=written, lines=lines)
    _settle_targets(declaration, request.pretraining)
    known = begun.encoders if begun else {}
    notes = settle_models(declaration, table, request, of_run=declared.is_of_run, known=known)
    check_parts(declaration, written, lines, request.fusions, known)
    with located(written, lines, "data"):
        whole, numbers, rejected = split_and_skip(table, declaration, folder)
        splits = without_rare_values(whole, declaration)
    guesses = leave_out_unseen(declaration, guesses, splits, stays)
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
        rejected=rejected, folder=folder, notes=notes, whole=whole,
    )  # fmt: skip
    resolve_transforms(job)
    return job


def _beside_named(
    values: dict[str, Any], table: Table, targets: Sequence[str], named: Iterable[str]
) -> list[str]:
    """All inputs of a table: a setting of some does not exclude the others."""
    others, _ = complete(values | {"inputs": None}, table, targets=targets, reads=reader_name)
    return list(dict.fromkeys([*others["inputs"], *named]))


def _settle_targets(declaration: Declaration, pretraining: bool | None) -> None:
    """Remove the targets of a pre-training; None: it is one if there are objectives and no target.

    Raises:
        ConfigError: If there is nothing to learn.
    """
    if pretraining is None:
        pretraining = bool(declaration.objectives) and not declaration.targets
    if pretraining:
        without_targets(declaration)
    elif not declaration.targets:
        fix = " To learn without one: polymodal pretrain" if declaration.objectives else ""
        raise ConfigError(f"no target: name the column to learn with --target, or under 'targets:'.{fix}")
