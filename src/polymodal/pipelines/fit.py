"""A fit, from the request to the finished run."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from polymodal.candidates.checks import check_candidates, is_portfolio
from polymodal.pipelines.fit_steps import FitSteps
from polymodal.pipelines.portfolio_fit import PortfolioFit
from polymodal.pipelines.prediction_fit import PredictionFit
from polymodal.pipelines.time_limits import deadline_of, in_its_time, require_some
from polymodal.runs.core import AnyRun
from polymodal.runs.prediction_run import PredictionRun
from polymodal.training.opening import AnyJob, open_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.utils import distributed as processes
from polymodal.utils.lock import claimed
from polymodal.utils.progress import Remarks, quiet_libraries

if TYPE_CHECKING:  # fits of plain models need no torch
    from polymodal.runs.generation_run import GenerationRun
    from polymodal.training.language.language_job import LanguageJob

AnySteps: TypeAlias = "FitSteps[PredictionJob, PredictionRun] | FitSteps[LanguageJob, GenerationRun]"
"""The steps of either kind of fit."""


def steps_of(job: AnyJob, folder: Path, remarks: Remarks | None = None) -> AnySteps:
    """The steps of a job; for the arguments see :class:`FitSteps`."""
    if not isinstance(job, PredictionJob):
        from polymodal.pipelines.language_fit import LanguageFit

        return LanguageFit(job, folder, remarks)
    steps = PortfolioFit if is_portfolio(job.declaration) else PredictionFit
    return steps(job, folder, remarks)


def run_fit(request: FitRequest) -> AnyRun:
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
        check_candidates(job.declaration)
        job.deadline = deadline_of(request, job, folder)
        steps = steps_of(job, folder)
        resumes = processes.on_main(
            lambda: steps.begin(resume=request.resume, overwrite=request.overwrite, quiet=quiet)
        )
        if resumes is None:
            return steps.finish_pages()
        rejected = processes.on_main(lambda: job.rejected)
        silent = quiet_libraries() if steps.neural else nullcontext()
        with silent, in_its_time(job.deadline):
            require_some(job.deadline)
            processes.everywhere(lambda: job.follow(rejected))
            return steps.complete(resume=resumes, quiet=quiet)
