"""Steps of a language model fit: train in stages, answer the test rows, write the pages."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import transformers

from polymodal.pipelines.fit_steps import FitSteps
from polymodal.pipelines.pages import try_page, write_about
from polymodal.report.language_card import words_card
from polymodal.report.language_report import Answers, write_language_report
from polymodal.report.model_card import CARD
from polymodal.report.report_writing import TEST, VALIDATION
from polymodal.runs.generation_metrics import ANSWER, longest_answer, measure_split
from polymodal.runs.generation_run import GenerationRun
from polymodal.training.declaration.source import table_digests
from polymodal.training.language.item_features import encode_frozen_items
from polymodal.training.language.language_job import LanguageJob
from polymodal.training.language.stages import train_stages
from polymodal.training.output_folder import FINISH, PAGES_STATE, PENDING, write_metrics
from polymodal.training.warm_start.load import describe_start, print_start
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import aside, write_text, writing
from polymodal.utils.progress import working

SPARE = 1.5
"""How many times the longest training answer is generated at most, by default."""


class LanguageFit(FitSteps[LanguageJob, GenerationRun]):
    """Steps of a language model fit."""

    trained: dict[str, Any]

    def __init__(self, job: LanguageJob, folder: Path) -> None:
        super().__init__(job, folder)
        self.frames: dict[str, pd.DataFrame] = {}

    def load(self) -> GenerationRun:
        """Load the run in the folder."""
        return GenerationRun.load(self.folder)

    def train(self, *, resume: bool, quiet: bool) -> GenerationRun:
        """Train in stages; the length of generated answers is limited by that of the training answers."""
        job, quiet = self.job, quiet or not processes.is_main()
        longest = max(longest_answer(stage.rows["train"]) for stage in job.stages)
        job.model.generation_config.max_new_tokens = math.ceil(SPARE * longest)
        print_start(job, quiet)
        encode_frozen_items(job, quiet=quiet)
        self.trained = train_stages(job, self.folder, resume=resume, quiet=quiet)
        return GenerationRun(self.folder, job.model, job.processor, job.declaration)

    @property
    def reported(self) -> str:
        """The split that the report is about."""
        return "test" if "test" in self.job.asked else "validation"

    def measure(self, run: GenerationRun, *, quiet: bool) -> dict[str, Any]:
        """Generate answers to the held-out rows; write predictions and ``metrics.json``."""
        figures: dict[str, Any] = {}
        for split, rows in self.job.asked.items():
            ablate = split == "test" or (split == self.reported and run.declaration.report.write)
            with working(f"answering {len(rows)} {split} rows") if not quiet else nullcontext():
                figures[split], self.frames[split] = measure_split(run, rows, ablate=ablate)
        if "test" in self.frames and run.declaration.keeps_rows:
            with writing(run.folder, FINISH), aside(run.folder / "predictions.parquet") as part:
                pd.DataFrame(self.frames["test"]).to_parquet(part, index=False)
        results = describe_fit(run, self.job, self.trained, figures)
        write_metrics(run.folder, results)
        return results

    def write_pages(self, run: GenerationRun, results: dict[str, Any]) -> None:
        """Write report and model card after the results."""

        def make(warnings: list[str]) -> None:
            if run.declaration.report.write and self.reported in self.job.asked:
                of_file = isinstance(run.declaration.data.train, str)
                again = f"polymodal report RUN{'' if of_file else ' TABLE'}"
                try_page("report.html", lambda: self._report(run, results), again, warnings)
            try_page(CARD, lambda: write_card(run, results), "the same fit with --resume", warnings)

        write_about(run.folder, results, make)

    def _report(self, run: GenerationRun, results: dict[str, Any]) -> None:
        """The report on the answers of this fit, which are made again where an earlier process made them."""
        rows, config = self.job.asked[self.reported], run.declaration.report
        if self.reported not in self.frames:
            _, self.frames[self.reported] = measure_split(run, rows, ablate=True)
        frame = self.frames[self.reported]
        if frame[ANSWER].notna().any():
            what = TEST if self.reported == "test" else VALIDATION
            write_language_report(Answers(run, rows, frame, config), results, what=what, folder=run.folder)


def write_card(run: GenerationRun, results: dict[str, Any]) -> None:
    """``README.md`` in the form of the Hugging Face hub."""
    write_text(run.folder / CARD, words_card(run.folder.name, run.declaration, results))


def describe_fit(
    run: GenerationRun, job: LanguageJob, trained: dict[str, Any], figures: dict[str, Any]
) -> dict[str, Any]:
    """What ``metrics.json`` holds.

    Args:
        run: That was trained.
        job: Of the fit.
        trained: By stage what :func:`train_stages` returns.
        figures: By split what :func:`measure_split` returns.
    """
    report, last = job.report, trained[job.stages[-1].name]
    return {
        "test": {run.column: figures.get("test", {}).get("metrics", {})},
        "without": figures.get("test", {}).get("without", {}),
        "present": figures.get("test", {}).get("present", {}),
        "validation": {**figures.get("validation", {}).get("metrics", {}), **last["best"]},
        "train": {
            **{key: last[key] for key in ("seconds", "threads", "tokens_per_second", "epochs")},
            "rows_per_second": last["tokens_per_second"] / float(job.stages[-1].rows["train"].lengths.mean()),
        },
        "parameters": run.model.num_parameters(),
        "stages": {
            name: {k: v for k, v in stage.items() if k != "history"} for name, stage in trained.items()
        },
        "rows": {
            **{split: len(rows) for split, rows in job.stages[-1].rows.items()},
            "test": len(job.asked.get("test", ())),
        },
        "tokens": report.conversation.get("tokens", {}) if report else {},
        "warnings": [str(warning) for warning in report.warnings] if report else [],
        "notes": [*job.notes, *job.skip_notes()],
        "data": table_digests(job.declaration, job.folder),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        **({"start": start} if (start := describe_start(job)) else {}),
        "history": [entry | {"stage": name} for name, stage in trained.items() for entry in stage["history"]],
        PAGES_STATE: PENDING,
    }
