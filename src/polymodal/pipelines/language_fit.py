"""Steps of a language model fit: train in stages, answer the test rows, write the pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from polymodal.data.chat.sources import KINDS
from polymodal.data.chat.templates import RowReader
from polymodal.data.readers import TextReader
from polymodal.data.tables.table import Table
from polymodal.errors import option
from polymodal.pipelines.fit_plan import language_plan, print_plan
from polymodal.pipelines.fit_samples import SampleStep, keep_and_replay
from polymodal.pipelines.fit_steps import FitSteps
from polymodal.pipelines.pages import report_again, try_page, write_about
from polymodal.report.language_card import words_card
from polymodal.report.language_report import Answers, write_language_report
from polymodal.report.model_card import CARD
from polymodal.report.report_writing import TEST, VALIDATION
from polymodal.runs.generation_metrics import ANSWER, SplitMetrics, longest_answer, measure_split
from polymodal.runs.generation_run import GenerationRun
from polymodal.training.declaration.source import table_digests
from polymodal.training.language.item_features import encode_frozen_items
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.language.language_opening import row_reader
from polymodal.training.language.stages import train_stages
from polymodal.training.output_folder import PENDING, how_to_finish, write_metrics
from polymodal.training.recorded_metrics import FitResults, LanguageResults, LanguageTraining, StageResults
from polymodal.training.warm_start.load import describe_start, print_start
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import aside, write_text, writing
from polymodal.utils.progress import Remarks, working
from polymodal.verification.sample_cells import Column
from polymodal.verification.sample_writing import SampleSource

MOST_SAMPLES = 4
"""Rows that are kept with their answers: words take longer than labels."""
SPARE = 1.5
"""How many times the longest training answer is generated at most, by default."""


class LanguageFit(FitSteps[LanguageJob, GenerationRun]):
    """Steps of a language model fit."""

    trained: dict[str, Any]

    def __init__(self, job: LanguageJob, folder: Path, remarks: Remarks | None = None) -> None:
        super().__init__(job, folder, remarks)
        self.frames: dict[str, pd.DataFrame] = {}

    def load(self) -> GenerationRun:
        """Load the run in the folder."""
        return GenerationRun.load(self.folder)

    def train(self, *, resume: bool, quiet: bool) -> GenerationRun:
        """Train in stages; the length of generated answers is limited by that of the training answers."""
        job, quiet = self.job, quiet or not processes.is_main()
        longest = max(longest_answer(stage.rows["train"]) for stage in job.stages)
        job.model.generation_config.max_new_tokens = math.ceil(SPARE * longest)
        if self.announces:
            print_plan(language_plan(job), quiet)
        print_start(job, quiet)
        encode_frozen_items(job, quiet=quiet)
        self.trained = train_stages(job, self.folder, resume=resume, quiet=quiet)
        return GenerationRun(self.folder, job.model, job.processor, job.declaration)

    @property
    def reported(self) -> str:
        """The split that the report is about."""
        return "test" if "test" in self.job.asked else "validation"

    def measure(self, run: GenerationRun, *, quiet: bool) -> LanguageResults:
        """Generate answers to the held-out rows; write predictions and ``metrics.json``."""
        figures: dict[str, SplitMetrics] = {}
        for split, rows in self.job.asked.items():
            ablate = split == "test" or (split == self.reported and run.declaration.report.is_written)
            with working(f"answering {len(rows)} {split} rows") if not quiet else nullcontext():
                figures[split], self.frames[split] = measure_split(run, rows, ablate=ablate)
        if "test" in self.frames and run.declaration.keeps_rows:
            with writing(run.folder, how_to_finish()), aside(run.folder / "predictions.parquet") as part:
                pd.DataFrame(self.frames["test"]).to_parquet(part, index=False)
        results = describe_fit(run, self.job, self.trained, figures)
        write_metrics(run.folder, results)
        return results

    def write_pages(self, run: GenerationRun, results: FitResults) -> None:
        """Write report and model card after the results."""
        assert isinstance(results, LanguageResults)

        left_out: list[str] = []

        def make(warnings: list[str]) -> None:
            keep_and_replay(run, self._samples(run), warnings, left_out)
            if run.declaration.report.is_written and self.reported in self.job.asked:
                of_file = isinstance(run.declaration.data.train, str)
                again = report_again(of_file)
                try_page("report.html", lambda: self._report(run, results), again, warnings)
            try_page(
                CARD,
                lambda: write_card(run, results),
                f"the same fit with {option('resume', True)}",
                warnings,
            )

        write_about(run.folder, results, make, left_out)
        self.remarks.show(notes=left_out, quiet=self.quiet)

    def _samples(self, run: GenerationRun) -> SampleStep:
        """Held-out rows to keep, or training rows where there are none."""
        stage = self.job.stages[-1]
        split = next(iter(self.job.asked), "train")
        rows = self.job.asked.get(split, stage.rows["train"])
        columns = {name: Column(kind) for name, kind in columns_read(run, rows.table).items()}
        source = SampleSource(split, rows.table, rows.numbers, columns)
        most = min(MOST_SAMPLES, run.declaration.report.samples)
        again = f"the same fit with {option('resume', True)}"
        return SampleStep(source, most, 0.0, self.job.deadline, again, self.quiet)

    def _report(self, run: GenerationRun, results: LanguageResults) -> None:
        """The report on the answers of this fit, which are made again where an earlier process made them."""
        rows, config = self.job.asked[self.reported], run.declaration.report
        if self.reported not in self.frames:
            _, self.frames[self.reported] = measure_split(run, rows, ablate=True)
        frame = self.frames[self.reported]
        if frame[ANSWER].notna().any():
            what = TEST if self.reported == "test" else VALIDATION
            write_language_report(Answers(run, rows, frame, config), results, what=what, folder=run.folder)


def columns_read(run: GenerationRun, table: Table) -> dict[str, str]:
    """The columns of a table that prompts are made of, each with its modality: none of messages."""
    reader = row_reader(run.declaration, run.generation)
    if isinstance(reader, RowReader):
        names = [name for name in reader.prompt.columns if table.has(name)]
        return {name: reader.inputs.get(name, TextReader.modality) for name in names}
    listed = {name: kind for kind in KINDS for name in (f"{kind}s", kind) if table.has(name)}
    return {run.generation.messages or "messages": "", **listed}


def write_card(run: GenerationRun, results: LanguageResults) -> None:
    """``README.md`` in the form of the Hugging Face hub."""
    write_text(run.folder / CARD, words_card(run.folder.name, run.declaration, results))


def describe_fit(
    run: GenerationRun, job: LanguageJob, trained: dict[str, Any], figures: Mapping[str, SplitMetrics]
) -> LanguageResults:
    """The results of a fit, as ``metrics.json`` has them.

    Args:
        run: That was trained.
        job: Of the fit.
        trained: By stage what :func:`train_stages` returns.
        figures: Metrics by split.
    """
    report, stage = job.report, job.stages[-1]
    last, none = trained[stage.name], SplitMetrics()
    test, validation = figures.get("test", none), figures.get("validation", none)
    rows_per_second = last["tokens_per_second"] / float(stage.rows["train"].lengths.mean())
    return LanguageResults(
        test={run.column: test.metrics},
        without=test.without,
        present=test.present,
        validation=validation.metrics | last["best"],
        train=LanguageTraining.from_dict(last | {"rows_per_second": rows_per_second}),
        parameters=run.model.num_parameters(),
        stages={name: StageResults.from_dict(values) for name, values in trained.items()},
        rows={
            **{split: len(rows) for split, rows in stage.rows.items()},
            "test": len(job.asked.get("test", ())),
        },
        tokens=report.conversation.get("tokens", {}) if report else {},
        warnings=job.warnings(),
        notes=job.known_notes(),
        data=table_digests(job.declaration, job.folder, job.table),
        versions={"torch": torch.__version__, "transformers": transformers.__version__},
        start=describe_start(job),
        history=[entry | {"stage": name} for name, values in trained.items() for entry in values["history"]],
        pages=PENDING,
    )
