"""The template of a fit: check, prepare the folder, train, finish. Each kind of job defines its steps."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from polymodal.config import TrainConfig
from polymodal.data.checks.rejected import write_rejected
from polymodal.pipelines.pages import is_of_page
from polymodal.runs.core import AnyRun
from polymodal.training.declaration.source import require_same_tables
from polymodal.training.fingerprint import open_folder
from polymodal.training.job import Job
from polymodal.training.output_folder import (
    FAILED,
    check_folder,
    finished_results,
    has_begun,
    how_to_finish,
)
from polymodal.training.recorded_metrics import FitResults
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import discard, writing
from polymodal.utils.progress import Remarks, note

J = TypeVar("J", bound=Job[Any])
R = TypeVar("R", bound=AnyRun)


class FitSteps(ABC, Generic[J, R]):
    """The steps of one fit, in their order.

    Args:
        job: Opened.
        folder: Of the run.
        remarks: Of several fits; by default its own.

    Attributes:
        announces: Whether it prints what it will do; of several fits the first one alone.
        quiet: Whether the pages print nothing of what they leave out.
        neural: Whether it trains a neural model; plain models need no torch.
    """

    announces = True
    quiet = True
    neural = True

    def __init__(self, job: J, folder: Path, remarks: Remarks | None = None) -> None:
        self.job, self.folder, self.remarks = job, folder, remarks or Remarks()

    def begin(self, *, resume: bool, overwrite: bool, quiet: bool) -> bool | None:
        """Check folder and data, and prepare the folder.

        Returns:
            Whether there is a checkpoint to resume from; None if the run in the folder is finished.

        Raises:
            PolymodalError: If the fit cannot begin.
        """
        job, folder = self.job, self.folder
        if job.start is not None:
            from polymodal.training.warm_start.start import refuse_own_start  # which needs torch

            refuse_own_start(job.start, folder)
        check_folder(folder, job.declaration, resume=resume, overwrite=overwrite)
        results = finished_results(folder) if resume and has_begun(folder) else None
        if results is not None:
            require_same_tables(folder, job.declaration, job.folder, results, job.table)
            discard(folder / "checkpoints")
            note(f"{folder}: was finished already", quiet)
            self.show_remarks(results, quiet)
            return None
        job.require_sound(quiet)
        job.require_pairs()
        resumes = open_folder(folder, job.declaration, job.describe(), resume=resume)
        if resume and not resumes:
            note(f"{folder}: no checkpoint to resume from, training starts at the first step", quiet)
        self.remarks.show(job.warnings(), job.known_notes(), quiet=quiet)
        return resumes

    def complete(self, *, resume: bool = False, quiet: bool = True) -> R:
        """Train, evaluate and save what was opened and checked."""
        declaration = self.job.declaration
        with self.ready(declaration.train):
            processes.on_main(
                lambda: write_rejected(self.folder, self.job.rejected, private=declaration.data.private)
            )
            run = self.train(resume=resume, quiet=quiet)
            processes.on_main(lambda: self.finish(run, quiet=quiet))
        return run

    @contextmanager
    def ready(self, train: TrainConfig) -> Iterator[None]:
        """Draws from the declared seed and, of neural models, the most threads that it allows."""
        if not self.neural:
            random.seed(train.seed)
            np.random.seed(train.seed)
            yield
            return
        from transformers import set_seed

        from polymodal.training.loop.thread_timing import training_threads

        with training_threads(train):
            set_seed(train.seed)
            yield

    def finish(self, run: R, *, quiet: bool) -> None:
        """Write the results of a training: first the run itself, then metrics and pages about it.

        Raises:
            RunError: If something that the run consists of cannot be written.
        """
        self.quiet = quiet
        with writing(self.folder, how_to_finish()):
            run.write(self.folder)
        results = self.measure(run, quiet=quiet)
        self.show_remarks(results, quiet)
        # The run is whole: what comes after may fail.
        self.write_pages(run, results)
        discard(self.folder / "checkpoints")

    def show_remarks(self, results: FitResults, quiet: bool) -> None:
        """Print the warnings and notes of results that were not printed before; pages print their own."""
        warnings = [line for line in results.warnings if not is_of_page(line)]
        self.remarks.show(warnings, results.notes, quiet=quiet)

    def finish_pages(self) -> R:
        """Load a finished run; pages that failed before are written again."""
        run = self.load()
        processes.on_main(lambda: self._try_pages(run))
        return run

    def _try_pages(self, run: R) -> None:
        results = finished_results(self.folder)
        if results is not None and results.pages == FAILED:
            if self.job.report is None:
                self.job.require_sound(quiet=True)  # the pages are about the rows that it leaves
            self.write_pages(run, results)

    @abstractmethod
    def load(self) -> R:
        """Load the run in the folder."""

    @abstractmethod
    def train(self, *, resume: bool, quiet: bool) -> R:
        """Build the model and train it."""

    @abstractmethod
    def measure(self, run: R, *, quiet: bool) -> FitResults:
        """Answer the test rows; write ``predictions.parquet``, and ``metrics.json``, which is returned.

        Raises:
            RunError: If they cannot be written.
        """

    @abstractmethod
    def write_pages(self, run: R, results: FitResults) -> None:
        """Write report and model card after the results; if a page fails, the run stays usable.

        Args:
            run: With its weights in its folder.
            results: Of :meth:`measure`; their warnings and state are written again.

        Raises:
            RunError: If ``metrics.json`` cannot be written.
        """
