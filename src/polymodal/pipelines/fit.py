"""A fit, from the request to the finished run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from polymodal.config.overrides import apply_settings
from polymodal.config.parsing import parse
from polymodal.data.checks.check import CheckReport
from polymodal.data.schema.schema import complete, render_yaml
from polymodal.errors import DataError
from polymodal.pipelines.fit_steps import FitSteps
from polymodal.pipelines.language_fit import LanguageFit
from polymodal.pipelines.prediction_fit import PredictionFit
from polymodal.run import LanguageRun, Run
from polymodal.tasks import reader_name
from polymodal.training.declaration.source import read_declared_table, train_source
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.opening import AnyJob, open_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest, Target, target_names
from polymodal.utils import distributed as processes
from polymodal.utils.lock import claimed
from polymodal.utils.progress import quiet_libraries

AnySteps = FitSteps[PredictionJob, Run] | FitSteps[LanguageJob, LanguageRun]
"""The steps of either kind of fit."""


def steps_of(job: AnyJob, folder: Path) -> AnySteps:
    """The steps of a job."""
    return LanguageFit(job, folder) if isinstance(job, LanguageJob) else PredictionFit(job, folder)


def run_fit(request: FitRequest) -> Run | LanguageRun:
    """Open, check, prepare the folder, train and finish.

    The main process checks; the others skip the rows that it skipped.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    processes.start()
    folder, quiet = request.folder, request.quiet
    with ExitStack() as stack:
        processes.on_main(lambda: stack.enter_context(claimed(folder)) and None)
        job = processes.everywhere(lambda: open_job(request))
        steps = steps_of(job, folder)
        resumes = processes.on_main(
            lambda: steps.begin(resume=request.resume, overwrite=request.overwrite, quiet=quiet)
        )
        if resumes is None:
            return steps.finish_pages()
        rejected = processes.on_main(lambda: job.rejected)
        with quiet_libraries():
            processes.everywhere(lambda: job.follow(rejected))
            return steps.complete(resume=resumes, quiet=quiet)


def fit(
    source: Any,
    *,
    target: Target = None,
    inputs: Sequence[str] = (),
    output: str | Path | None = None,
    settings: Sequence[str] = (),
    sample_weight: str | None = None,
    start: str | Path | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> Run | LanguageRun:
    """Train, evaluate and save a model.

    With ``prompt`` and ``answer``, or a section ``generation`` in the declaration, it answers in words, and
    the run is a :class:`polymodal.run.LanguageRun`.

    Args:
        source: A table (path, DataFrame, dataset, list of dicts) or the path of a declaration (YAML).
        target: Column, or columns, to learn.
        inputs: The only columns to read; by default all that can be read.
        output: The run folder; ``runs/<name of the table>`` by default.
        settings: Such as ``train.epochs=3``, over everything else.
        sample_weight: Column that says how much each row counts, as ``data.sample_weight`` does.
        start: A run to fine-tune from: its encoders, embedding and fusion; heads are new.
        prompt: Template over columns of the question, such as ``{image} {question}``.
        answer: Template over columns of the answer.
        resume: Continue an interrupted run in ``output``; one that is finished is returned unchanged.
        overwrite: Replace a finished run in ``output``.
        quiet: Show no progress.

    Returns:
        The run, whose folder holds the model, ``metrics.json``, predictions of the test rows and pages.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    return run_fit(
        FitRequest(
            source, targets=target_names(target), inputs=inputs, output=output, settings=settings,
            sample_weight=sample_weight, start=start, prompt=prompt, answer=answer, resume=resume,
            overwrite=overwrite, quiet=quiet,
        )
    )  # fmt: skip


def pretrain(
    source: Any,
    *,
    inputs: Sequence[str] = (),
    objectives: Sequence[str] = (),
    output: str | Path | None = None,
    settings: Sequence[str] = (),
    start: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> Run:
    """Pre-train without targets: align the inputs of a row with each other, and model each in itself.

    Args:
        source: As :func:`fit` takes it; a declaration names no targets.
        inputs: The only columns to read; by default all that can be read.
        objectives: Names of the losses, beside those declared; by default ``contrastive`` where there are
            several inputs, else ``masked_text`` or ``masked_patch``.
        output: The run folder; ``runs/<name of the table>`` by default.
        settings: Such as ``objectives.contrastive.weight=0.5``, over everything else.
        start: A run to continue from: its encoders, embedding and fusion; objectives begin anew.
        resume: Continue an interrupted run in ``output``; one that is finished is returned unchanged.
        overwrite: Replace a finished run in ``output``.
        quiet: Show no progress.

    Returns:
        The run, to fine-tune from.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    run = run_fit(
        FitRequest(
            source, inputs=inputs, objectives=objectives, pretraining=True, output=output, settings=settings,
            start=start, resume=resume, overwrite=overwrite, quiet=quiet,
        )
    )  # fmt: skip
    assert isinstance(run, Run)
    return run


def check(
    source: Any,
    *,
    target: Target = None,
    inputs: Sequence[str] = (),
    settings: Sequence[str] = (),
    sample_weight: str | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    quiet: bool = True,
) -> CheckReport:
    """Check the data of a fit without training; of a pre-training where objectives have no targets.

    Every file is read. For the arguments see :func:`fit`.

    Raises:
        PolymodalError: If there is nothing to check: no readable table, no such column.
    """
    job = open_job(
        FitRequest(
            source, targets=target_names(target), inputs=inputs, settings=settings, prompt=prompt,
            answer=answer, sample_weight=sample_weight, pretraining=None, quiet=quiet,
        )
    )  # fmt: skip
    report = job.check(quiet)
    try:
        job.require_pairs()
    except DataError as error:
        report.problems += error.problems
    return report


def init(
    source: Any,
    *,
    target: Target = None,
    inputs: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> str:
    """The declaration inferred from a table, as YAML with a comment per column saying why.

    Raises:
        DataError: If the table cannot be read, or a column named is not there.
        ConfigError: If a setting is none.
    """
    values: dict[str, Any] = {}
    apply_settings(values, settings)
    train_source(source, values, None)
    table = read_declared_table(source, values["data"], None)
    values, guesses = complete(values, table, targets=target_names(target), inputs=inputs, reads=reader_name)
    return render_yaml(parse(values), guesses, table.name)
