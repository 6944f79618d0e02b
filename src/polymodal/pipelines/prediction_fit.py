"""Steps of a fit of heads or of a pre-training, and the results that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.answers.batches import Measure, answer_frame, answer_types
from polymodal.candidates.checks import NEURAL
from polymodal.data.checks.rejected import SKIP, count_rows
from polymodal.data.tables.table_writing import write_frames
from polymodal.errors import option
from polymodal.evaluation.metrics.retrieval import Retrieval
from polymodal.pipelines.fit_plan import prediction_plan, print_plan
from polymodal.pipelines.fit_samples import SampleStep, keep_and_replay
from polymodal.pipelines.fit_steps import FitSteps
from polymodal.pipelines.pages import report_again, try_page, write_about
from polymodal.pipelines.time_limits import end_seconds
from polymodal.report.model_card import CARD, model_card
from polymodal.runs.prediction_run import PredictionRun
from polymodal.tasks import task_of
from polymodal.tasks.base import Answered
from polymodal.tasks.regression import dominant_in_words
from polymodal.training.calibrate import Calibration
from polymodal.training.declaration.source import table_digests
from polymodal.training.declaration.target_checks import WEIGHT
from polymodal.training.output_folder import PENDING, how_to_finish, write_metrics
from polymodal.training.pairing import count_pairs, presence
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.recorded_metrics import (
    FitResults,
    Metrics,
    PredictionResults,
    StartRecord,
    Training,
)
from polymodal.utils.atomic import aside, write_text, writing
from polymodal.verification.sample_cells import Column
from polymodal.verification.sample_writing import SampleSource

if TYPE_CHECKING:  # plain models are fitted without torch
    from polymodal.report.report_figures import Report

REPORTED = 3.0
"""Times that the rows of a report are answered for the importance of its inputs, at least about."""
SPARE = 1.0
"""Seconds for the model card and the last lines."""


@dataclass(frozen=True)
class Measured:
    """What is measured on the test rows.

    Attributes:
        test: Metrics by target.
        space: Of a pre-training: whether the inputs share one space.
        pairs: Of a pre-training: by split the number of rows that have both inputs of a pair.
        retrieval: Of a pre-training: by pair of inputs.
        notes: What these metrics depend on.
    """

    test: dict[str, Metrics] = field(default_factory=dict)
    space: bool | None = None
    pairs: dict[str, dict[str, int]] | None = None
    retrieval: Mapping[str, Retrieval] | None = None
    notes: list[str] = field(default_factory=list)


class PredictionFit(FitSteps[PredictionJob, PredictionRun]):
    """The steps of a fit of heads, or of a pre-training."""

    trained: dict[str, Any]
    calibration: Calibration
    answering = 0.0
    """Seconds that the answers to the test rows took."""

    def load(self) -> PredictionRun:
        """Load the run in the folder."""
        return PredictionRun.load(self.folder)

    def train(self, *, resume: bool, quiet: bool) -> PredictionRun:
        """Train, then calibrate on the validation rows; frozen encoders run once before the first step."""
        from polymodal.training.prediction_training import model_in_words, train_prediction
        from polymodal.training.warm_start.load import build_started

        model = build_started(self.job, self.job.declaration)
        models = {NEURAL: model_in_words(self.job.declaration, model)}
        self.print_plan(models, quiet)
        deadline = self.job.deadline
        trained = train_prediction(
            self.job, model, self.folder, resume=resume, quiet=quiet,
            deadline=deadline.before(end_seconds(deadline)),
        )  # fmt: skip
        self.job.notes += trained.notes
        self.trained, self.calibration = trained.log, trained.calibration
        return PredictionRun(self.folder, trained.model, self.job.processor, self.job.declaration)

    def print_plan(self, models: Mapping[str, str], quiet: bool) -> None:
        """Print what will be done; ``models`` are the candidates, each in a few words."""
        if self.announces:
            print_plan(prediction_plan(self.job, models, neural=NEURAL in models), quiet)

    def measure(self, run: PredictionRun, *, quiet: bool) -> PredictionResults:
        """Predict the test rows; write predictions and ``metrics.json``."""
        job, begun = self.job, self.job.deadline.clock()
        measured = measure_tests(run, job) if job.declaration.targets else measure_space(run, job)
        self.answering = job.deadline.clock() - begun
        results = describe_fit(run, job, self.trained, self.calibration, measured)
        write_metrics(run.folder, results)
        return results

    def write_pages(self, run: PredictionRun, results: FitResults) -> None:
        """Write report and model card after the results."""
        of_file, left_out = isinstance(run.declaration.data.train, str), list[str]()

        def make(warnings: list[str]) -> None:
            keep_and_replay(run, self._samples(), warnings, left_out)
            again = report_again(of_file)
            figures = None
            if self._reports_in_time(left_out):
                figures = try_page(
                    "report.html",
                    lambda: write_fit_report(run, self.job, results, left_out),
                    again,
                    warnings,
                )
            again = f"the same fit with {option('resume', True)}"
            noted = replace(results, notes=[*results.notes, *left_out])
            try_page("README.md", lambda: write_card(run, noted, figures), again, warnings)

        write_about(run.folder, results, make, left_out)
        self.remarks.show(notes=left_out, quiet=self.quiet)

    def _samples(self) -> SampleStep:
        """Rows of the test split to keep, or of the first other one that has any."""
        job = self.job
        split = next((name for name in ("test", "validation") if len(job.splits[name])), "train")
        table = job.splits[split]
        columns = {
            name: Column(config.modality or "", config.format, config.separator, table.missing)
            for name, config in job.declaration.inputs.items()
        }
        targets = list(job.declaration.targets)
        source = SampleSource(split, table, job.numbers[split], columns, targets)
        seconds = self.answering / max(1, len(job.splits["test"]))
        again = f"the same fit with {option('resume', True)}"
        most = job.declaration.report.samples
        return SampleStep(source, most, seconds, job.deadline.before(SPARE), again, self.quiet)

    def _reports_in_time(self, left_out: list[str]) -> bool:
        """Whether there is time for the first rows of a report; a line where there is not."""
        if not self.job.declaration.report.is_written or self._first_rows_in_time():
            return True
        left_out.append(f"the report is left out, for time ({report_again(True)} writes it)")
        return False

    def _first_rows_in_time(self) -> bool:
        if self.job.deadline.left <= 0:
            return False
        from polymodal.importance.subsets import TIMED_BATCH  # the report needs torch
        from polymodal.report.gather import PAGE_SECONDS

        rows = max(1, len(self.job.splits["test"]))
        first = TIMED_BATCH * REPORTED * self.answering / rows
        return first + PAGE_SECONDS <= self.job.deadline.left


def measure_tests(run: PredictionRun, job: PredictionJob) -> Measured:
    """The metrics of the test rows, whose answers are written to ``predictions.parquet``."""
    answerer, frames = run.answerer, []
    measure = Measure(answerer.decoders)
    names = list(run.declaration.targets)
    if len(job.splits["test"]):
        targets, test = job.processor.targets, job.splits["test"]
        truth = {name: targets[name].truth(test.values(name)) for name in names}
        rows = job.rows("test")
        for batch in answerer.batches(rows, 128):
            measure.add(batch)
            frame = answer_frame(answerer, batch, True, targets)
            frame.insert(0, "row", job.numbers["test"][batch.index] + 1)
            for name in names:
                frame.insert(1, f"{name}_true", truth[name].iloc[batch.index].array)
            if rows.weights is not None:
                frame[WEIGHT] = rows.weights[batch.index]
            frames.append(frame)
        if run.declaration.keeps_rows:
            with writing(run.folder, how_to_finish()), aside(run.folder / "predictions.parquet") as part:
                types = answer_types(answerer.decoders, targets)
                write_frames(frames, part, types | {f"{name}_true": kind for name, kind in types.items()})
    return Measured(measure.metrics(), notes=dominant_notes(run, job, measure))


def dominant_notes(run: PredictionRun, job: PredictionJob, measure: Measure) -> list[str]:
    """By target the test row that makes most of the squared error, where there is one."""
    numbers = job.numbers["test"] if run.declaration.keeps_rows else None
    notes: list[str] = []
    weights = job.rows("test").weights
    for name, config in run.declaration.targets.items():
        if len(job.splits["test"]) and task_of(config.task).name == "regression":
            answer, target = measure.answered(name)
            known = ~np.isnan(target)
            indices = known.nonzero()[0]
            counts = None if weights is None else weights[indices]
            rows = Answered(answer[known], target[known], indices, counts)
            notes += [f"column '{name}', test rows: {line}" for line in dominant_in_words(rows, numbers)]
    return notes


def measure_space(run: PredictionRun, job: PredictionJob) -> Measured:
    """Results of a pre-training: numbers of rows that hold each pair of inputs, and retrieval metrics."""
    pairs = {
        split: count_pairs(presence(table, job.processor.readers))
        for split, table in job.splits.items()
        if len(table)
    }
    from polymodal.embedding_eval.retrieval_eval import measure_retrieval

    space, test = run.model.config.space, job.splits["test"]
    retrieval = measure_retrieval(run, test) if space and len(test) else {}
    return Measured(space=space, pairs=pairs, retrieval=retrieval)


def first_and_last(history: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Of each part of the training loss its mean at the first look and at the last."""
    logs = [entry for entry in history if "loss" in entry]
    names = [key for key in (logs[0] if logs else {}) if key.startswith("loss.")]
    return {name.removeprefix("loss."): [logs[0][name], logs[-1][name]] for name in names}


def describe_fit(
    run: PredictionRun,
    job: PredictionJob,
    trained: Mapping[str, Any],
    calibration: Calibration,
    measured: Measured,
) -> PredictionResults:
    """The results of a fit, as ``metrics.json`` has them."""
    history = trained["history"]
    return PredictionResults(
        test=measured.test,
        space=measured.space,
        pairs=measured.pairs,
        retrieval=measured.retrieval,
        validation=trained["best"],
        train=Training.from_dict(trained),
        losses=first_and_last(history),
        parameters=run.parameters,
        rows=count_splits(job),
        notes=[
            *measured.notes,
            *job.known_notes(),
            *cache_notes(job),
            *calibration.notes,
        ],
        calibration=calibration.targets,
        warnings=[*job.warnings(), *calibration.warnings],
        data=table_digests(job.declaration, job.folder, job.table),
        versions=versions_of(run),
        sample_weight=job.declaration.data.sample_weight,
        start=_start_of(job),
        history=history,
        pages=PENDING,
    )


def versions_of(run: PredictionRun) -> dict[str, str]:
    """The versions of the libraries that the models of a run depend on."""
    if run.plain is not None:
        return {name: version(name) for name in ("scikit-learn", "lightgbm")}
    import torch
    import transformers

    return {"torch": torch.__version__, "transformers": transformers.__version__}


def _start_of(job: PredictionJob) -> StartRecord | None:
    """What was taken from the run that the fit started from."""
    if job.start is None:
        return None
    from polymodal.training.warm_start.load import describe_start

    return describe_start(job)


def write_fit_report(
    run: PredictionRun, job: PredictionJob, results: FitResults, left_out: list[str]
) -> Report | None:
    """The report on the test rows, or where there are none on those of validation; None if not wanted.

    ``left_out`` gets a line for each part that there is no time for.
    """
    if not run.declaration.report.is_written:
        return None
    from polymodal.report.measuring import Measuring
    from polymodal.report.report_writing import TEST, VALIDATION, measure, write

    split, what = ("test", TEST) if len(job.splits["test"]) else ("validation", VALIDATION)
    rows = job.rows(split)
    rows.processor = run.processor
    known = [rows.table.values(name).to_pylist() for name in run.declaration.targets]
    if all(cell is None for cells in known for cell in cells):
        return None
    request = Measuring(
        run, rows, run.declaration.report, deadline=job.deadline.before(SPARE), left_out=left_out
    )
    figures = measure(request, results, what=what)
    write(figures, run.folder)
    return figures


def write_card(run: PredictionRun, results: FitResults, figures: Report | None) -> None:
    """``README.md`` in the hub's form."""
    write_text(run.folder / CARD, model_card(run.folder.name, run.declaration, results, figures))


def count_splits(job: PredictionJob) -> dict[str, int]:
    """Rows by split, and those ``rejected`` where rows may be left out."""
    rows = {name: len(table) for name, table in job.splits.items()}
    return rows | ({"rejected": count_rows(job.rejected)} if job.declaration.data.on_error == SKIP else {})


def cache_notes(job: PredictionJob) -> list[str]:
    """Notes on arrays that the cache had no room for, and on a cache on disk that is broken."""
    notes, cache = [], job.cache
    if cache.refused:
        fix = "Raise data.cache_memory or data.cache_disk"
        notes.append(f"{cache.refused} readings found no room in the cache and were repeated. {fix}")
    if cache.store and cache.store.broken:
        notes.append(f"the cache on disk was not used: {cache.store.broken}")
    return notes
