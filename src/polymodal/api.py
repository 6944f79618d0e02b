"""The one door: the command line, the service and notebooks all go through these functions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from transformers import set_seed

from polymodal.data.aside import aside, discard, write_text, writing
from polymodal.data.check import CheckReport
from polymodal.data.rejected import SKIP, count_rows, left_out, write_rejected
from polymodal.data.schema import complete, render_yaml
from polymodal.data.table import read_table
from polymodal.data.writing import write_parquet
from polymodal.errors import DataError
from polymodal.evaluation.inference import Batch, Measure, answer_frame, list_columns, run_batches
from polymodal.evaluation.unread import ERROR, errors_of
from polymodal.models.build import build_model
from polymodal.parsing import parse
from polymodal.run import Run
from polymodal.training import processes
from polymodal.training.calibration import Calibration, calibrate
from polymodal.training.folder import RESULTS, check_folder, has_begun, is_finished, prepare_folder
from polymodal.training.frozen import encode_frozen
from polymodal.training.job import Job, open_job
from polymodal.training.progress import note, progress, quiet_libraries
from polymodal.training.skipping import leave_out_too, skip_notes
from polymodal.training.trainer import train

__all__ = ["check", "embed_to", "fit", "init", "load", "predict_to"]


def load(folder: str | Path, *, device: str | None = None, precision: str = "fp32") -> Run:
    """The run in ``folder``; see :meth:`Run.load`.

    Raises:
        RunError: If it is not there or incomplete.
        ConfigError: If this machine has no such device, or there is no such precision.
    """
    return Run.load(folder, device=device, precision=precision)


def init(source: Any, *, target: str | Sequence[str] | None = None, inputs: Sequence[str] = ()) -> str:
    """The declaration inferred from a table, as YAML with a comment a column saying why.

    Raises:
        DataError: If the table cannot be read, or a column named is not there.
    """
    table = read_table(source)
    values, guesses = complete({"data": {"train": str(source)}}, table, targets=_names(target), inputs=inputs)
    return render_yaml(parse(values), guesses, table.name)


def check(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    settings: Sequence[str] = (),
    quiet: bool = True,
) -> CheckReport:
    """What a fit would see and trip over; every file is read.

    Raises:
        PolymodalError: If there is nothing to check: no readable table, no such column.
    """
    job = open_job(source, targets=_names(target), inputs=inputs, settings=settings)
    return job.check(quiet)


def fit(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    inputs: Sequence[str] = (),
    output: str | Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> Run:
    """Train, evaluate and save a model.

    Args:
        source: A table (path, DataFrame, dataset, list of dicts) or the path of a declaration (YAML).
        target: Column, or columns, to learn.
        inputs: The only columns to read; by default all that can be read.
        output: The run folder; ``runs/<name of the table>`` by default.
        settings: Such as ``train.epochs=3``, over everything else.
        resume: Go on with an interrupted run in ``output``; one that is finished is returned as it is.
        overwrite: Replace a finished run in ``output``.
        quiet: Show no progress.

    Raises:
        PolymodalError: One line for everything that is wrong; nothing was trained then.
    """
    processes.start()
    job = processes.everywhere(
        lambda: open_job(source, targets=_names(target), inputs=inputs, settings=settings)
    )
    folder = Path(output) if output else default_folder(source)
    goes_on = processes.on_main(lambda: begin(job, folder, resume=resume, overwrite=overwrite, quiet=quiet))
    if goes_on is None:
        return load(folder)
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
    check_folder(folder, job.declaration, resume=resume, overwrite=overwrite)
    if resume and has_begun(folder) and is_finished(folder):
        discard(folder / "checkpoints")
        note(f"{folder}: was finished already", quiet)
        return None
    report = job.check(quiet)
    if not report.ok:
        raise DataError([*report.problems, *left_out(report.rejected)])
    goes_on = prepare_folder(folder, job.declaration, resume=resume)
    if resume and not goes_on:
        note(f"{folder}: no checkpoint to resume from, training starts at the first step", quiet)
    return goes_on


def fit_job(job: Job, folder: Path, *, resume: bool = False, quiet: bool = True) -> Run:
    """Train, evaluate and save what was opened and checked."""
    config = job.declaration.train
    processes.on_main(lambda: write_rejected(folder, job.rejected))
    set_seed(config.seed)
    model = build_model(job.declaration, job.processor, job.answers())
    encode_frozen(job, model, quiet=quiet)
    several = len(job.declaration.inputs) > 1
    trained = train(
        model,
        job.rows("train", dropout=config.modality_dropout if several else 0.0),
        job.rows("validation"),
        config,
        folder,
        metric=job.metric,
        resume=resume,
        quiet=quiet,
    )
    calibration = calibrate(model, job.rows("validation"), job.declaration)
    run = Run(folder, model, job.processor, job.declaration)

    def finish() -> None:
        with writing(folder, "Free space: the same command with --resume finishes the run"):
            run.write(folder)
            results = measure_tests(run, job) | describe_fit(run, job, trained, calibration)
            write_fit_report(run, job, results)
            write_text(folder / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
            discard(folder / "checkpoints")

    processes.on_main(finish)
    return run


def measure_tests(run: Run, job: Job) -> dict[str, Any]:
    """The metrics of the test rows, whose answers are written to ``predictions.parquet``."""
    measure, frames = Measure(run.model), []
    names = list(run.declaration.targets)
    if len(job.splits["test"]):
        truth = job.splits["test"].data.select_columns(names).to_pandas()
        for batch in run_batches(run.model, job.rows("test"), 128):
            measure.add(batch)
            frame = answer_frame(run.model, batch, probabilities=True)
            frame.insert(0, "row", job.numbers["test"][batch.index] + 1)
            for name in names:
                frame.insert(1, f"{name}_true", truth[name].iloc[batch.index].to_numpy())
            frames.append(frame)
        with aside(run.folder / "predictions.parquet") as part:
            pd.concat(frames, ignore_index=True).to_parquet(part, index=False)
    return {"test": measure.metrics()}


def describe_fit(run: Run, job: Job, trained: dict[str, Any], calibration: Calibration) -> dict[str, Any]:
    """What ``metrics.json`` holds beside the metrics of the test rows."""
    history = trained.pop("history")
    return {
        "validation": trained.pop("best"),
        "train": trained,
        "parameters": run.model.num_parameters(),
        "rows": count_splits(job),
        "notes": job.notes + skip_notes(job) + cache_notes(job) + calibration.notes,
        "calibration": calibration.targets,
        "warnings": [
            *(str(warning) for warning in (job.report.warnings if job.report else [])),
            *calibration.warnings,
        ],
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "history": history,
    }


def write_fit_report(run: Run, job: Job, results: dict[str, Any]) -> None:
    """The report on the test rows, or where there are none on those of validation."""
    from polymodal.report.writing import TEST, VALIDATION, write_report

    split, what = ("test", TEST) if len(job.splits["test"]) else ("validation", VALIDATION)
    rows = job.rows(split)
    rows.processor = job.processor
    known = [rows.table.values(name).to_pylist() for name in run.declaration.targets]
    if run.declaration.report.write and any(cell is not None for cells in known for cell in cells):
        write_report(run, rows, results, what=what)


def count_splits(job: Job) -> dict[str, int]:
    """Rows by split, and those ``rejected`` where rows may be left out."""
    rows = {name: len(table) for name, table in job.splits.items()}
    return rows | ({"rejected": count_rows(job.rejected)} if job.declaration.data.on_error == SKIP else {})


def cache_notes(job: Job) -> list[str]:
    """What the cache could not keep."""
    notes, cache = [], job.cache
    if cache.refused:
        cure = "Raise data.cache_memory or data.cache_disk"
        notes.append(f"{cache.refused} readings found no room in the cache and were repeated. {cure}")
    if cache.store and cache.store.broken:
        notes.append(f"the cache on disk was not used: {cache.store.broken}")
    return notes


def default_folder(source: Any) -> Path:
    """``runs/<name of the table>``."""
    return Path("runs") / (Path(source).stem if isinstance(source, (str, Path)) else "run")


def _names(target: str | Sequence[str] | None) -> list[str]:
    return [target] if isinstance(target, str) else list(target or [])


def predict_to(
    run: Run,
    source: Any,
    output: Path,
    *,
    probabilities: bool = False,
    batch_size: int = 128,
    on_error: str = "refuse",
    rejected: list[str] | None = None,
) -> int:
    """Write every row's answer to the Parquet file ``output``, batch after batch; returns their number.

    With ``on_error="skip"`` the answers to a row that cannot be read are empty and the column ``error`` says
    why; ``rejected`` takes these texts in.

    Raises:
        PolymodalError: If a cell cannot be read or the file cannot be written.
    """
    table = read_table(source)
    frames = note_errors(run.predict_batches(table, batch_size, probabilities, on_error), rejected)
    shown = progress(frames, "predicting", math.ceil(len(table) / batch_size))
    return write_parquet(shown, output, list_columns(run.model))


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
) -> int:
    """Write a row's vector a row, as the list column ``embedding``; returns the number of rows.

    With ``on_error="skip"`` as :func:`predict_to`.

    Raises:
        PolymodalError: If a cell cannot be read or the file cannot be written.
    """
    table = read_table(source)
    frames = embed_frames(run.embed_batches(table, input, batch_size, on_error), on_error == SKIP)
    noted = note_errors(frames, rejected)
    return write_parquet(progress(noted, "embedding", math.ceil(len(table) / batch_size)), output)


def embed_frames(batches: Iterator[tuple[np.ndarray, Batch]], skip: bool) -> Iterator[pd.DataFrame]:
    """A batch's vectors as a column; where rows may be skipped, theirs are NaN beside an ``error``."""
    for vectors, batch in batches:
        frame = pd.DataFrame({"embedding": list(vectors)})
        yield frame.assign(**{ERROR: pd.array(errors_of(batch), dtype="string")}) if skip else frame
