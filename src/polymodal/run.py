"""The runs that users hold: what a run folder can do by itself, and every analysis of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import pandas as pd

from polymodal.artifact.capabilities import Capability, Kind
from polymodal.artifact.run_folder import kind_of
from polymodal.data.tables.table import Table
from polymodal.errors import Problem
from polymodal.runs.core import AnyRun
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.atomic import require_folder
from polymodal.utils.progress import obeying_quiet

if TYPE_CHECKING:  # what an analysis needs is imported by it: to predict, plain models need no torch
    from polymodal.embedding_eval.linear_probe import Choose, LinearProbe
    from polymodal.embedding_eval.zero_shot import ZeroShot
    from polymodal.evaluation.metrics.retrieval import Retrieval
    from polymodal.language_run import LanguageRun
    from polymodal.verification.verifying import Verification


class Run(PredictionRun):
    """A trained model with its processor and declaration.

    Attributes:
        folder: Where it lies.
        model: In evaluation mode; after a pre-training a :class:`PolymodalForPreTraining`, without heads.
        processor: Feeds the model.
        declaration: What the run was made from.
        precision: What the model computes in: ``fp32``, ``bf16`` or ``fp16``.
    """

    @obeying_quiet
    def retrieval(
        self,
        source: Any,
        *,
        inputs: Sequence[str] = (),
        instead: Mapping[str, str] | None = None,
        split: str | None = None,
        batch_size: int = 128,
        on_error: str = "refuse",
        rejected: list[Problem] | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> dict[str, Retrieval]:
        """Cross-modal retrieval of each input by each other, by ``photo → note``: recall, median rank, mAP.

        Args:
            source: A table with pairs of inputs.
            inputs: Of the run, two or more; by default all.
            instead: The column that is read in the place of an input, by input.
            split: ``train``, ``validation`` or ``test``: only these rows. By default all.
            batch_size: Rows per batch.
            on_error: ``skip`` skips rows that cannot be read.
            rejected: Receives the problems of these rows.
            seed: Of the bootstrap.
            quiet: Show no progress.

        Returns:
            See :func:`polymodal.embedding_eval.retrieval_eval.measure_retrieval`.

        Raises:
            PolymodalError: If the run has no shared space, or the table cannot be read or holds no pairs.
        """
        from polymodal.embedding_eval.retrieval_eval import required_retrieval

        self.require(Capability.retrieval)
        return required_retrieval(
            self.fused, source, inputs=inputs, instead=instead or {}, split=split, batch_size=batch_size,
            on_error=on_error, rejected=rejected, seed=seed, quiet=quiet,
        )  # fmt: skip

    @obeying_quiet
    def zero_shot(
        self,
        source: Any,
        target: str,
        *,
        prompts: Sequence[str] = ("{}",),
        classes: Sequence[str] = (),
        prompt_input: str | None = None,
        inputs: Sequence[str] = (),
        instead: Mapping[str, str] | None = None,
        split: str | None = None,
        batch_size: int = 128,
        on_error: str = "refuse",
        rejected: list[Problem] | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> ZeroShot:
        """Zero-shot classification: each row gets the class whose prompt has the nearest vector.

        Args:
            source: A table with the target.
            target: A column of classes; the run need not know it.
            prompts: Such as ``["a drawing of {}"]``, with ``{}`` where the class goes.
            classes: Those to choose from; by default all that occur.
            prompt_input: The input that reads the prompts; by default the only one of text.
            inputs: That describe a row; by default all others.
            instead: The column that is read in the place of an input, by input.
            split: ``train``, ``validation`` or ``test``: only these rows. By default all.
            batch_size: Rows per batch.
            on_error: ``skip`` skips rows that cannot be read.
            rejected: Receives the problems of these rows.
            seed: Of the bootstrap.
            quiet: Show no progress.

        Returns:
            See :func:`polymodal.embedding_eval.zero_shot.zero_shot`.

        Raises:
            PolymodalError: If the run has no shared space or reads no text, or the table does not fit.
        """
        from polymodal.embedding_eval.zero_shot import zero_shot

        self.require(Capability.zero_shot)
        return zero_shot(
            self.fused, source, target, prompts=prompts, classes=classes, prompt_input=prompt_input,
            inputs=inputs, instead=instead or {}, split=split, batch_size=batch_size, on_error=on_error,
            rejected=rejected, seed=seed, quiet=quiet,
        )  # fmt: skip

    @obeying_quiet
    def linear_probe(
        self,
        source: Any,
        target: str,
        *,
        input: str | None = None,
        task: str | None = None,
        choose: Choose | None = None,
        instead: Mapping[str, str] | None = None,
        split: str | None = None,
        batch_size: int = 128,
        on_error: str = "refuse",
        rejected: list[Problem] | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> LinearProbe:
        """Fit a linear model to the run's vectors of the training rows, and measure it on the test rows.

        Args:
            source: A table with the target.
            target: A column of classes or numbers.
            input: Whose vectors to use; by default the fused ones.
            task: ``classification`` or ``regression``; by default as declared, or inferred from the column.
            choose: Which of the labelled training rows train; by default all.
            instead: The column that is read in the place of an input, by input.
            split: Refused: a probe takes all splits.
            batch_size: Rows per batch.
            on_error: ``skip`` skips rows that cannot be read.
            rejected: Receives the problems of these rows.
            seed: Of the bootstrap.
            quiet: Show no progress.

        Returns:
            See :func:`polymodal.embedding_eval.linear_probe.linear_probe`.

        Raises:
            PolymodalError: If there is no such input, or the table does not fit.
        """
        from polymodal.embedding_eval.linear_probe import linear_probe

        self.require(Capability.linear_probe)
        return linear_probe(
            self.fused, source, target, input=input, task=task, choose=choose, instead=instead or {},
            split=split, batch_size=batch_size, on_error=on_error, rejected=rejected, seed=seed, quiet=quiet,
        )  # fmt: skip

    @obeying_quiet
    def explain(
        self,
        source: Any,
        rows: str | int | Sequence[int] | None = None,
        *,
        targets: str | Sequence[str] | None = None,
        output: str | Path | None = None,
        quiet: bool = False,
    ) -> pd.DataFrame:
        """Attribute predictions to inputs, and within them to words, cells, patches, moments and features.

        Args:
            source: A table, with or without the targets.
            rows: Their numbers from 1, the header not counted; by default the first 8.
            targets: One or several; by default all.
            output: A folder for ``explanations.html`` and ``explanations.parquet``; by default none is
                written.
            quiet: Show no progress.

        Returns:
            See :func:`polymodal.attribution.explanation_table.explanation_frame`.

        Raises:
            DataError: If table or cell cannot be read, or there is no such row.
            RunError: If there is no such target, or the files cannot be written.
        """
        from polymodal.attribution.explanation_page import explain, write_explanations

        if output is not None:
            require_folder(Path(output))
        explanations = explain(self, source, rows, targets=targets)
        if output is not None:
            write_explanations(explanations, self, output)
        return explanations.frame()

    @obeying_quiet
    def report(
        self,
        source: Any = None,
        *,
        data: Any = None,
        group: str | None = None,
        by: Sequence[str] = (),
        amount: Literal["short", "full"] | None = None,
        noise_rows: int | None = None,
        retrain: int = 0,
        output: str | Path | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> Path:
        """Measure the importance of each input, and write ``report.html`` and ``report.json``.

        Args:
            source: A table with the targets; by default the run's own test rows.
            data: The table that the run was fitted to, where it was in memory and this is another process.
            group: A column whose equal values are resampled together; by default rows that share a file.
            by: Columns whose values are compared; by default those declared.
            amount: ``short`` leaves out corrupted cells and the interaction of inputs; by default what is
                declared, else ``full`` where it takes at most some ten seconds.
            noise_rows: How many rows are corrupted; by default as declared.
            retrain: Number of seeds with which subsets of the inputs are fitted again; 0 for none.
            output: A folder for both files; the run's own by default.
            seed: Of the bootstrap and of the corruptions.
            quiet: Show no progress.

        Returns:
            The page.

        Raises:
            PolymodalError: If the table cannot be read or measured on, or the files cannot be written.
        """
        from polymodal.pipelines.ablation import retrained_figures
        from polymodal.report.report_writing import report

        again = retrained_figures(retrain, quiet) if retrain else None
        return report(
            self, source, data=data, group=group, by=by, amount=amount, noise_rows=noise_rows, retrain=again,
            output=output, seed=seed,
        )  # fmt: skip

    @obeying_quiet
    def verify(
        self, *, paths: Sequence[str] = (), exports: Sequence[str | Path] = (), quiet: bool = False
    ) -> Verification:
        """Replay the rows in ``samples/`` by every path, and compare the answers with those of the fit.

        The folder is loaded afresh: what was changed in this object alone has no part in it.

        Args:
            paths: ``python``, ``service``, ``exports``; by default all.
            exports: Folders or files of exports of this run.
            quiet: Show no progress.

        Returns:
            See :func:`polymodal.verification.verifying.verify`.

        Raises:
            PolymodalError: If the folder holds no complete run, or there is no such path.
        """
        from polymodal.verification.verifying import verify

        return verify(self, paths=paths, exports=exports)

    def generate(self, *arguments: object, **options: object) -> NoReturn:
        """Refuse: this run has no words.

        Raises:
            RunError: In any case.
        """
        self.require(Capability.generate)
        raise AssertionError("a run with heads generates no words")

    chat = generate


def load_run(folder: str | Path, *, device: str | None = None, precision: str = "fp32") -> Run | LanguageRun:
    """The run in ``folder``, of whichever kind.

    Raises:
        RunError: If it is not there or incomplete.
        ConfigError: If this machine has no such device, or there is no such precision.
    """
    if kind_of(Path(folder)) is not Kind.words:
        return Run.load(folder, device=device, precision=precision)
    from polymodal.language_run import LanguageRun

    return LanguageRun.load(folder, device=device, precision=precision)


def as_public(run: AnyRun, fitted_to: Table | None = None) -> Run | LanguageRun:
    """A run with every analysis of it; ``fitted_to`` is the table in memory of its fit."""
    opened = _as_public(run)
    opened.fitted_to = fitted_to
    return opened


def _as_public(run: AnyRun) -> Run | LanguageRun:
    if run.kind is not Kind.words:
        return run.as_kind(Run)
    from polymodal.language_run import LanguageRun

    return run.as_kind(LanguageRun)
