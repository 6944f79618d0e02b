"""``fit --search``: settings are searched on the validation rows, the best are fitted, and tested once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from polymodal.candidates.checks import check_candidates
from polymodal.config.parsing import declares
from polymodal.errors import ConfigError, RunError, option
from polymodal.pipelines.multi_fit import write_aside
from polymodal.pipelines.prediction_fit import PredictionFit
from polymodal.runs.prediction_run import PredictionRun
from polymodal.training.fingerprint import open_folder, remember, require_same
from polymodal.training.opening import open_prediction_job
from polymodal.training.optuna_search import (
    DECLARATION,
    SECONDS,
    Choice,
    begin_study,
    chosen,
    finished,
    load_optuna,
    quiet_optuna,
    read_study,
    run_trials,
)
from polymodal.training.output_folder import (
    another_folder,
    check_folder,
    is_finished,
    prepare_folder,
    read_results,
)
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.start import refuse_own_start
from polymodal.utils.lock import claimed
from polymodal.utils.progress import Remarks, quiet_libraries
from polymodal.utils.records import JsonObject

RESULT, JOURNAL = "search.json", "search.journal"


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: From 0; the first is what was declared.
        choice: Its settings.
        state: ``complete``, ``pruned`` (cut short, being worse than most were by then) or ``fail``.
        validation: The metric of its best epoch, a loss where there are several targets; None if it failed.
        seconds: That it took.
    """

    number: int
    choice: Choice
    state: str
    validation: float | None
    seconds: float


@dataclass(frozen=True)
class Search:
    """Results of a search.

    Attributes:
        metric: The validation metric by which trials were judged.
        best: Number of the trial whose settings were fitted.
        trials: In their order.
    """

    metric: str
    best: int
    trials: list[Trial]

    def to_json(self) -> JsonObject:
        """As plain values."""
        return asdict(self)

    @classmethod
    def load(cls, folder: str | Path) -> Search:
        """Load the search that a run is the result of.

        Raises:
            RunError: If it came from none.
        """
        try:
            values = json.loads((Path(folder) / RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise RunError(f"{folder}: no readable {RESULT}, the run comes from no search") from None
        return cls(values["metric"], values["best"], [Trial(**trial) for trial in values["trials"]])


def search_and_fit(request: FitRequest) -> PredictionRun:
    """The fit of a request for trials, see :func:`polymodal.fit_searched`.

    Raises:
        PolymodalError: One line per problem; nothing was trained then.
    """
    load_optuna()
    job, folder, resume = open_prediction_job(request), request.folder, request.resume
    check_candidates(job.declaration, comparing="settings")
    if job.declaration.train.time_limit is not None:
        raise ConfigError("a time limit does not go with a search. Leave train.time_limit out")
    refuse_own_start(job.start, folder)
    with claimed(folder):
        check_search(folder, job, resume=resume, overwrite=request.overwrite)
        if resume and (folder / RESULT).exists() and is_finished(folder):
            steps = PredictionFit(job, folder)
            steps.show_remarks(read_results(folder), request.quiet)
            return steps.finish_pages()
        job.require_sound(request.quiet)
        remarks = Remarks()
        remarks.show(job.warnings(), job.known_notes(), quiet=request.quiet)
        data = job.describe()
        search = _search(job, data, request)
        write_aside(folder / RESULT, json.dumps(search.to_json(), indent=2) + "\n")
        best = chosen(job.declaration, next(t.choice for t in search.trials if t.number == search.best))
        goes_on = open_folder(folder, best, data, resume=resume)
        steps = PredictionFit(replace(job, declaration=best, features={}), folder, remarks)
        with quiet_libraries():
            run = steps.complete(resume=goes_on, quiet=request.quiet)
        (folder / JOURNAL).unlink()
        return run


def _search(job: PredictionJob, data: Mapping[str, Any], request: FitRequest) -> Search:
    """Start or resume the search in a folder, up to the requested number of trials."""
    folder, journal = request.folder, request.folder / JOURNAL
    if request.resume:
        require_same(folder, data)
    with quiet_libraries(), quiet_optuna():
        if not request.resume:
            prepare_folder(folder, job.declaration, resume=False)
            for path in (folder / RESULT, journal):
                path.unlink(missing_ok=True)
            begin_study(journal, job.declaration)
            remember(folder, data)
        study = run_trials(job, journal, request.trials or 0, quiet=request.quiet)
    return summarize(study, job.metric)


def check_search(folder: Path, job: PredictionJob, *, resume: bool, overwrite: bool) -> None:
    """Check that a search can be written to a folder; nothing is changed.

    Raises:
        RunError: If it holds a run or a search already, or there is nothing to resume, or something else.
    """
    has_search = (folder / JOURNAL).exists()
    if not resume:
        check_folder(folder, job.declaration, resume=False, overwrite=overwrite)
        if has_search and not overwrite:
            raise RunError(f"{folder}: holds a search already. {another_folder()}")
    elif has_search:
        with quiet_optuna():
            text = read_study(folder / JOURNAL).user_attrs[DECLARATION]
        if not declares(text, job.declaration):
            reason = "its search is of another declaration"
            raise RunError(f"{folder}: {reason}; resume with the same table and settings")
    elif not ((folder / RESULT).exists() and is_finished(folder)):
        raise RunError(f"{folder}: no search to resume. Start without {option('resume', True)}")


def summarize(study: Any, metric: str) -> Search:
    """A finished study as plain values."""
    trials = [
        Trial(
            number=number,
            choice=dict(trial.params),
            state=trial.state.name.lower(),
            validation=trial.user_attrs.get("validation"),
            seconds=trial.user_attrs[SECONDS],
        )
        for number, trial in enumerate(finished(study))
    ]
    best = next(n for n, trial in enumerate(finished(study)) if trial.number == study.best_trial.number)
    return Search(metric, best, trials)
