"""``fit`` for answers in words: check, stages, answers to the test rows, the run folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers
from transformers import set_seed

from polymodal.data.checks.rejected import left_out, write_rejected
from polymodal.errors import DataError
from polymodal.generation.language_card import words_card
from polymodal.generation.language_metrics import longest_answer, measure_split
from polymodal.generation.language_run import LanguageRun
from polymodal.pipelines.pages import try_page, write_about
from polymodal.report.model_card import CARD
from polymodal.training.declaration.skipping import skip_notes
from polymodal.training.declaration.source import require_same_tables, table_digests
from polymodal.training.fingerprint import describe_language, open_folder
from polymodal.training.language.item_features import encode_frozen_items
from polymodal.training.language.language_check import check_language
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.language.language_opening import open_language_job
from polymodal.training.language.stages import train_stages
from polymodal.training.loop.thread_timing import training_threads
from polymodal.training.output_folder import (
    FAILED,
    FINISH,
    PAGES_STATE,
    PENDING,
    check_folder,
    finished_results,
    has_begun,
    write_metrics,
)
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import aside, discard, write_text, writing
from polymodal.utils.lock import claimed
from polymodal.utils.progress import note, quiet_libraries, working

SPARE = 1.5
"""How many times the longest training answer is generated at most, where nothing else is said."""


def fit_language(
    source: Any,
    *,
    inputs: Sequence[str] = (),
    prompt: str | None = None,
    answer: str | None = None,
    output: Path,
    settings: Sequence[str] = (),
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
) -> LanguageRun:
    """Train, evaluate and save a model that answers in words; see :func:`polymodal.api.fit`.

    Raises:
        PolymodalError: One line for everything that is wrong; nothing was trained then.
    """
    processes.start()
    quiet = quiet or not processes.is_main()
    with ExitStack() as stack:
        processes.on_main(lambda: stack.enter_context(claimed(output)) and None)
        return _open_and_fit(
            source, inputs, prompt, answer, output, settings, resume=resume, overwrite=overwrite, quiet=quiet
        )


def _open_and_fit(
    source: Any,
    inputs: Sequence[str],
    prompt: str | None,
    answer: str | None,
    output: Path,
    settings: Sequence[str],
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> LanguageRun:
    job = processes.everywhere(
        lambda: open_language_job(source, inputs=inputs, settings=settings, prompt=prompt, answer=answer)
    )
    if processes.on_main(lambda: _is_done(job, output, resume=resume, overwrite=overwrite)):
        note(f"{output}: was finished already", quiet)
        run = LanguageRun.load(output)
        processes.on_main(lambda: _finish_pages(run))
        return run
    set_seed(job.declaration.train.seed)
    with quiet_libraries():
        processes.everywhere(lambda: _check(job, quiet))
    goes_on = processes.on_main(
        lambda: open_folder(output, job.declaration, describe_language(job), resume=resume)
    )
    if resume and not goes_on:
        note(f"{output}: no checkpoint to resume from, training starts at the first step", quiet)
    with quiet_libraries(), training_threads(job.declaration.train):
        return _fit(job, output, resume=goes_on, quiet=quiet)


def _is_done(job: LanguageJob, folder: Path, *, resume: bool, overwrite: bool) -> bool:
    """Refuse a folder that cannot be written to; whether the run in it is finished already."""
    check_folder(folder, job.declaration, resume=resume, overwrite=overwrite)
    results = finished_results(folder) if resume and has_begun(folder) else None
    if results is None:
        return False
    require_same_tables(folder, job.declaration, job.folder, results)
    discard(folder / "checkpoints")
    return True


def _finish_pages(run: LanguageRun) -> None:
    """Try again to write the card of a finished run, where it could not be written."""
    results = finished_results(run.folder)
    if results is not None and results.get(PAGES_STATE) == FAILED:
        write_language_pages(run, results)


def _check(job: LanguageJob, quiet: bool) -> None:
    report = check_language(job, quiet=quiet)
    if not report.ok:
        raise DataError([*report.problems, *left_out(report.rejected)])


def _fit(job: LanguageJob, folder: Path, *, resume: bool, quiet: bool) -> LanguageRun:
    processes.on_main(lambda: write_rejected(folder, job.rejected))
    set_seed(job.declaration.train.seed)
    _limit_answers(job)
    encode_frozen_items(job, quiet=quiet)
    trained = train_stages(job, folder, resume=resume, quiet=quiet)
    run = LanguageRun(folder, job.model, job.processor, job.declaration)

    processes.on_main(lambda: finish(run, job, trained, quiet=quiet))
    return run


def finish(run: LanguageRun, job: LanguageJob, trained: dict[str, Any], *, quiet: bool) -> None:
    """Write what a training came to: first what the run consists of, then what is said of it.

    Raises:
        RunError: If something that the run consists of cannot be written.
    """
    with writing(run.folder, FINISH):
        run.write(run.folder)
    results = write_language_results(run, job, trained, quiet=quiet)
    # The run is whole: what comes after may fail.
    write_language_pages(run, results)
    discard(run.folder / "checkpoints")


def _limit_answers(job: LanguageJob) -> None:
    """How many tokens an answer may take, where nothing else is said."""
    longest = max(longest_answer(stage.rows["train"]) for stage in job.stages)
    job.model.generation_config.max_new_tokens = math.ceil(SPARE * longest)


def write_language_results(
    run: LanguageRun, job: LanguageJob, trained: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Answer the validation and test rows; write ``predictions.parquet`` and ``metrics.json``.

    Returns:
        What ``metrics.json`` says.

    Raises:
        RunError: If they cannot be written.
    """
    figures, frames = {}, {}
    for split, rows in job.asked.items():
        with working(f"answering {len(rows)} {split} rows") if not quiet else nullcontext():
            figures[split], frames[split] = measure_split(run, rows, ablate=split == "test")
    if "test" in frames and run.declaration.keeps_rows:
        with writing(run.folder, FINISH), aside(run.folder / "predictions.parquet") as part:
            pd.DataFrame(frames["test"]).to_parquet(part, index=False)
    report, last = job.report, trained[job.stages[-1].name]
    results = {
        "test": {run.column: figures.get("test", {}).get("metrics", {})},
        "without": figures.get("test", {}).get("without", {}),
        "present": figures.get("test", {}).get("present", {}),
        "validation": {**figures.get("validation", {}).get("metrics", {}), **last["best"]},
        "train": {key: last[key] for key in ("seconds", "threads", "tokens_per_second", "epochs")},
        "stages": {name: {k: v for k, v in told.items() if k != "history"} for name, told in trained.items()},
        "rows": {
            **{split: len(rows) for split, rows in job.stages[-1].rows.items()},
            "test": len(job.asked.get("test", ())),
        },
        "tokens": report.conversation.get("tokens", {}) if report else {},
        "warnings": [str(warning) for warning in report.warnings] if report else [],
        "notes": [*job.notes, *skip_notes(job)],
        "data": table_digests(job.declaration, job.folder),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "history": [entry | {"stage": name} for name, told in trained.items() for entry in told["history"]],
        PAGES_STATE: PENDING,
    }
    write_metrics(run.folder, results)
    return results


def write_language_pages(run: LanguageRun, results: dict[str, Any]) -> None:
    """The model card of a run whose results are written; it cannot cost the run.

    Raises:
        RunError: If ``metrics.json``, which says how it went, cannot be written.
    """

    def write() -> None:
        write_text(run.folder / CARD, words_card(run.folder.name, run.declaration, results))

    def make(warnings: list[str]) -> None:
        try_page(CARD, write, "the same fit with --resume", warnings)

    write_about(run.folder, results, make)
