"""The one door: the command line, the service and notebooks all go through these functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from transformers import set_seed

from polymodal.comparison.comparison import compare
from polymodal.config.overrides import apply_settings
from polymodal.config.parsing import parse
from polymodal.data.checks.check import CheckReport
from polymodal.data.checks.rejected import SKIP, left_out, write_rejected
from polymodal.data.schema.schema import complete, render_yaml
from polymodal.data.tables.kept_columns import KeptColumns
from polymodal.data.tables.table import read_table
from polymodal.data.tables.table_writing import check_output, write_table
from polymodal.errors import ConfigError, DataError
from polymodal.exporting.export import export
from polymodal.generation.language_fit import fit_language
from polymodal.generation.language_run import LanguageRun
from polymodal.models import PolymodalForPrediction
from polymodal.models.inference import Batch, answer_types
from polymodal.pipelines.fit_results import write_pages, write_results
from polymodal.run import Run
from polymodal.runs.row_errors import ERROR, errors_of
from polymodal.runs.run_folder import answers_in_words
from polymodal.search.index import Index
from polymodal.search.index_building import Indexed, index_table
from polymodal.tasks import reader_name
from polymodal.training.calibrate import Calibration, calibrate
from polymodal.training.declaration.skipping import leave_out_too
from polymodal.training.declaration.source import read_declared_table, require_same_tables, train_source
from polymodal.training.fingerprint import describe_job, open_folder
from polymodal.training.frozen_features import encode_frozen
from polymodal.training.job import Job, open_job
from polymodal.training.language.language_check import check_language
from polymodal.training.language.language_opening import asks_for_words, open_language_job
from polymodal.training.loop.thread_timing import training_threads
from polymodal.training.loop.trainer import train
from polymodal.training.output_folder import (
    FAILED,
    FINISH,
    PAGES_STATE,
    check_folder,
    finished_results,
    has_begun,
)
from polymodal.training.pairing import check_pairs
from polymodal.training.warm_start.load import build_started, tell_start
from polymodal.training.warm_start.start import refuse_own_start
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import discard, writing
from polymodal.utils.lock import claimed
from polymodal.utils.progress import note, progress, quiet_libraries

__all__ = [
    "check", "compare", "embed_to", "export", "fit", "index_to", "init", "load", "open_index", "predict_to",
    "pretrain",
]  # fmt: skip


def load(folder: str | Path, *, device: str | None = None, precision: str = "fp32") -> Run | LanguageRun:
    """The run in ``folder``; see :meth:`Run.load`.

    Raises:
        RunError: If it is not there or incomplete.
        ConfigError: If this machine has no such device, or there is no such precision.
    """
    if answers_in_words(Path(folder)):
        return LanguageRun.load(folder, device=device, precision=precision)
    return Run.load(folder, device=device, precision=precision)


def init(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> str:
    """The declaration inferred from a table, as YAML with a comment a column saying why.

    Raises:
        DataError: If the table cannot be read, or a column named is not there.
        ConfigError: If a setting is none.
    """
    values: dict[str, Any] = {}
    apply_settings(values, settings)
    train_source(source, values, None)
    table = read_declared_table(source, values["data"], None)
    values, guesses = complete(values, table, targets=_names(target), inputs=inputs, reads=reader_name)
    return render_yaml(parse(values), guesses, table.name)


def check(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    settings: Sequence[str] = (),
    sample_weight: str | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    quiet: bool = True,
) -> CheckReport:
    """What a fit would see and trip over, or a pre-training where objectives stand without targets.

    Every file is read. For the arguments see :func:`fit`.

    Raises:
        PolymodalError: If there is nothing to check: no readable table, no such column.
    """
    settings = _weighing(settings, sample_weight)
    if prompt is not None or answer is not None or asks_for_words(source, settings):
        with quiet_libraries():
            return check_language(
                open_language_job(source, inputs=inputs, settings=settings, prompt=prompt, answer=answer),
                quiet=quiet,
            )
    job = open_job(source, targets=_names(target), inputs=inputs, settings=settings, pretraining=None)
    report = job.check(quiet)
    try:
        check_pairs(job)
    except DataError as error:
        report.problems += error.problems
    return report


def fit(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
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
    the run is a :class:`polymodal.generation.language_run.LanguageRun`.

    Args:
        source: A table (path, DataFrame, dataset, list of dicts) or the path of a declaration (YAML).
        target: Column, or columns, to learn.
        inputs: The only columns to read; by default all that can be read.
        output: The run folder; ``runs/<name of the table>`` by default.
        settings: Such as ``train.epochs=3``, over everything else.
        sample_weight: Column that says how much each row counts, as ``data.sample_weight`` does.
        start: A run whose encoders, embedding and fusion go on; heads are new.
        prompt: Template over columns of what is asked, such as ``{image} {question}``.
        answer: Template over columns of what is to be said.
        resume: Go on with an interrupted run in ``output``; one that is finished is returned as it is.
        overwrite: Replace a finished run in ``output``.
        quiet: Show no progress.

    Raises:
        PolymodalError: One line for everything that is wrong; nothing was trained then.
    """
    settings = _weighing(settings, sample_weight)
    if prompt is not None or answer is not None or asks_for_words(source, settings):
        if target or start:
            other = "target" if target else "start"
            raise ConfigError(f"'{other}' does not go with answers in words. Leave one of them out")
        return fit_language(
            source, inputs=inputs, prompt=prompt, answer=answer, settings=settings, resume=resume,
            output=Path(output) if output else default_folder(source), overwrite=overwrite, quiet=quiet,
        )  # fmt: skip
    return _open_and_fit(
        lambda: open_job(source, targets=_names(target), inputs=inputs, settings=settings, start=start),
        Path(output) if output else default_folder(source),
        resume=resume, overwrite=overwrite, quiet=quiet,
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
    """Train without targets: what the inputs of a row have in common, and each in itself.

    Args:
        source: As :func:`fit` takes it; a declaration names no targets.
        inputs: The only columns to read; by default all that can be read.
        objectives: Names of those to learn by, beside those declared; by default ``contrastive`` where there
            are several inputs, else ``masked_text`` or ``masked_patch``.
        output: The run folder; ``runs/<name of the table>`` by default.
        settings: Such as ``objectives.contrastive.weight=0.5``, over everything else.
        start: A run whose encoders, embedding and fusion go on; objectives begin anew.
        resume: Go on with an interrupted run in ``output``; one that is finished is returned as it is.
        overwrite: Replace a finished run in ``output``.
        quiet: Show no progress.

    Raises:
        PolymodalError: One line for everything that is wrong; nothing was trained then.
    """
    return _open_and_fit(
        lambda: open_job(
            source, inputs=inputs, settings=settings, objectives=objectives, pretraining=True, start=start
        ),
        Path(output) if output else default_folder(source),
        resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


def _open_and_fit(
    opened: Callable[[], Job], folder: Path, *, resume: bool, overwrite: bool, quiet: bool
) -> Run:
    processes.start()
    with ExitStack() as stack:
        processes.on_main(lambda: stack.enter_context(claimed(folder)) and None)
        job = processes.everywhere(opened)
        goes_on = processes.on_main(
            lambda: begin(job, folder, resume=resume, overwrite=overwrite, quiet=quiet)
        )
        if goes_on is None:
            run = Run.load(folder)
            processes.on_main(lambda: finish_pages(run, job))
            return run
        leave_out_too(job, processes.on_main(lambda: job.rejected))
        with quiet_libraries():
            return fit_job(job, folder, resume=goes_on, quiet=quiet)


def begin(job: Job, folder: Path, *, resume: bool, overwrite: bool, quiet: bool) -> bool | None:
    """Check folder and data, and make the folder ready.

    Returns:
        Whether there is a checkpoint to go on from; None if the run in ``folder`` is finished already.

    Raises:
        PolymodalError: If the fit cannot begin.
    """
    refuse_own_start(job.start, folder)
    check_folder(folder, job.declaration, resume=resume, overwrite=overwrite)
    results = finished_results(folder) if resume and has_begun(folder) else None
    if results is not None:
        require_same_tables(folder, job.declaration, job.folder, results)
        discard(folder / "checkpoints")
        note(f"{folder}: was finished already", quiet)
        return None
    require_sound(job, quiet)
    check_pairs(job)
    goes_on = open_folder(folder, job.declaration, describe_job(job), resume=resume)
    if resume and not goes_on:
        note(f"{folder}: no checkpoint to resume from, training starts at the first step", quiet)
    return goes_on


def require_sound(job: Job, quiet: bool) -> None:
    """Check the data.

    Raises:
        DataError: If something is wrong with them.
    """
    report = job.check(quiet)
    if not report.ok:
        raise DataError([*report.problems, *left_out(report.rejected)])


def fit_job(job: Job, folder: Path, *, resume: bool = False, quiet: bool = True) -> Run:
    """Train, evaluate and save what was opened and checked."""
    with training_threads(job.declaration.train):
        return _fit_job(job, folder, resume=resume, quiet=quiet)


def _fit_job(job: Job, folder: Path, *, resume: bool, quiet: bool) -> Run:
    config = job.declaration.train
    processes.on_main(lambda: write_rejected(folder, job.rejected, private=job.declaration.data.private))
    set_seed(config.seed)
    model = build_started(job, job.declaration)
    tell_start(job, quiet)
    encode_frozen(job, model, quiet=quiet)
    several = len(job.declaration.inputs) > 1
    trained = train(
        model,
        job.rows("train", dropout=(config.modality_dropout or 0.0) if several else 0.0),
        job.rows("validation"),
        config,
        folder,
        metric=job.metric,
        resume=resume,
        quiet=quiet,
    )
    answering = cast(PolymodalForPrediction, model)  # or one that has no heads, and nothing to calibrate
    calibration = calibrate(answering, job.rows("validation"), job.declaration)
    run = Run(folder, answering, job.processor, job.declaration)

    processes.on_main(lambda: finish(run, job, trained, calibration))
    return run


def finish(run: Run, job: Job, trained: dict[str, Any], calibration: Calibration) -> None:
    """Write what a training came to: first what the run consists of, then what is said of it.

    Raises:
        RunError: If something that the run consists of cannot be written.
    """
    with writing(run.folder, FINISH):
        run.write(run.folder)
    results = write_results(run, job, trained, calibration)
    # The run is whole: what comes after may fail.
    write_pages(run, job, results)
    discard(run.folder / "checkpoints")


def finish_pages(run: Run, job: Job) -> None:
    """Try again to write report and card of a finished run, where one of them could not be written."""
    results = finished_results(run.folder)
    if results is not None and results.get(PAGES_STATE) == FAILED:
        if job.report is None:
            require_sound(job, quiet=True)  # the pages are about the rows that it leaves
        write_pages(run, job, results)


def default_folder(source: Any) -> Path:
    """``runs/<name of the table>``."""
    return Path("runs") / (Path(source).stem if isinstance(source, (str, Path)) else "run")


def _weighing(settings: Sequence[str], sample_weight: str | None) -> list[str]:
    """``settings``, and the one that names the column of weights."""
    named = [] if sample_weight is None else [f"data.sample_weight={json.dumps(sample_weight)}"]
    return [*settings, *named]


def _names(target: str | Sequence[str] | None) -> list[str]:
    if target is None:
        return []
    # a DataFrame may have numbers for names; a table calls them by their digits
    given = [target] if isinstance(target, str) or not isinstance(target, Iterable) else target
    return [str(name) for name in given]


def predict_to(
    run: Run | LanguageRun,
    source: Any,
    output: Path,
    *,
    probabilities: bool = False,
    batch_size: int = 128,
    on_error: str = "refuse",
    rejected: list[str] | None = None,
    keep: str | Sequence[str] = (),
) -> int:
    """Write every row's answer to the file ``output``, batch after batch; returns their number.

    The suffix says the format, see :func:`polymodal.data.tables.table_writing.write_table`. ``keep`` names
    columns of the
    table that stand before the answers. With ``on_error="skip"`` the answers to a row that cannot be read
    are empty and the column ``error`` says why; ``rejected`` takes these texts in.

    Raises:
        PolymodalError: If a cell cannot be read or the file cannot be written.
    """
    check_output(output)
    table = read_table(source)
    check_output(output, table.name)
    frames = note_errors(run.predict_batches(table, batch_size, probabilities, on_error, keep), rejected)
    shown = progress(frames, "predicting", math.ceil(len(table) / batch_size))
    types = {} if isinstance(run, LanguageRun) else answer_types(run.model, run.processor.targets)
    return write_table(shown, output, types | KeptColumns(table, keep).types)


def note_errors(frames: Iterator[pd.DataFrame], rejected: list[str] | None) -> Iterator[pd.DataFrame]:
    """``frames`` as they are; what their column of errors holds is added to ``rejected``."""
    for frame in frames:
        if rejected is not None and ERROR in frame:
            rejected.extend(frame[ERROR].dropna())
        yield frame


def embed_to(
    run: Run,
    source: Any,
    output: Path,
    *,
    input: str | None = None,
    batch_size: int = 128,
    on_error: str = "refuse",
    rejected: list[str] | None = None,
    keep: str | Sequence[str] = (),
) -> int:
    """Write a row's vector a row, as the list column ``embedding``; returns the number of rows.

    Formats, ``keep`` and ``on_error="skip"`` as in :func:`predict_to`; CSV and Excel hold a vector as a JSON
    list.

    Raises:
        PolymodalError: If a cell cannot be read or the file cannot be written.
    """
    check_output(output)
    table = read_table(source)
    check_output(output, table.name)
    kept = KeptColumns(table, keep)
    frames = embed_frames(run.embed_batches(table, input, batch_size, on_error), on_error == SKIP, kept)
    noted = note_errors(frames, rejected)
    shown = progress(noted, "embedding", math.ceil(len(table) / batch_size))
    return write_table(shown, output, kept.types)


def embed_frames(
    batches: Iterator[tuple[np.ndarray, Batch]], skip: bool, kept: KeptColumns
) -> Iterator[pd.DataFrame]:
    """A batch's vectors as a column; where rows may be skipped, theirs are NaN beside an ``error``."""
    for vectors, batch in batches:
        frame = pd.DataFrame({"embedding": list(vectors)})
        errors = {ERROR: pd.array(errors_of(batch), dtype="string")} if skip else {}
        yield kept.beside(frame.assign(**errors), batch.index)


def index_to(run: Run, source: Any, output: Path, **options: Any) -> Indexed:
    """Make an index of a table, or bring it up to date; see
    :func:`~polymodal.search.index_building.index_table`.

    Raises:
        PolymodalError: If the table cannot be read, or the folder is no index of this run.
    """
    return index_table(run, source, Path(output), **options)


def open_index(folder: str | Path, *, run: Run | str | Path | None = None) -> Index:
    """The index in ``folder``; see :meth:`Index.open`.

    Raises:
        PolymodalError: If it is no index, or LanceDB is not installed.
    """
    return Index.open(folder, run)
