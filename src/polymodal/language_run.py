"""The run of a language model that users hold: answers in words, and their analyses."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from polymodal.artifact.capabilities import Capability
from polymodal.data.tables.table import read_table
from polymodal.errors import Problem
from polymodal.report.language_report import language_report
from polymodal.runs.fitted_rows import repeats_fit
from polymodal.runs.generation_metrics import measure_table
from polymodal.runs.generation_run import GenerationRun
from polymodal.training.declaration.splitting import split_tables
from polymodal.utils.progress import obeying_quiet
from polymodal.verification.verifying import Verification, verify


class LanguageRun(GenerationRun):
    """A trained model that answers in words, with its processor and declaration.

    Attributes:
        folder: Where it lies.
        model: In evaluation mode.
        processor: Feeds the model.
        declaration: What the run was made from.
        precision: What the model computes in: ``fp32``, ``bf16`` or ``fp16``.
    """

    @obeying_quiet
    def evaluate(
        self,
        source: Any,
        *,
        batch_size: int = 32,
        split: str | None = None,
        on_error: str = "refuse",
        rejected: list[Problem] | None = None,
        quiet: bool = False,
        max_new_tokens: int | None = None,
        beams: int | None = None,
        sample: bool | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        **options: Any,
    ) -> dict[str, dict[str, float]]:
        """Text metrics of the answers to the rows of a table whose true answer is known.

        Args:
            source: With the columns of prompt and answer, or of messages.
            batch_size: Rows per batch.
            split: ``train``, ``validation`` or ``test``: only these rows, split as the fit split its own.
            on_error: ``skip`` skips rows that cannot be read.
            rejected: Receives the problems of these rows.
            quiet: Show no progress.
            max_new_tokens: Most tokens of an answer.
            beams: Beams of a beam search.
            sample: Draw tokens instead of taking the likeliest.
            temperature: Of drawn tokens.
            top_p: Of drawn tokens, the likeliest share.
            options: Any other option of Transformers' ``generate``.

        Raises:
            DataError: If a row cannot be read, or no row has an answer.
        """
        table = read_table(source)
        if split:
            table = split_tables(table, self.declaration)[0][split]
        self.inspect(table).warn()
        if repeated := repeats_fit(self, table):
            warnings.warn(repeated, stacklevel=3)
        chosen = options | {
            "max_new_tokens": max_new_tokens, "beams": beams, "sample": sample, "temperature": temperature,
            "top_p": top_p,
        }  # fmt: skip
        return measure_table(
            self, table, batch_size=batch_size, options=chosen, on_error=on_error, rejected=rejected
        )

    @obeying_quiet
    def report(
        self,
        source: Any = None,
        *,
        data: Any = None,
        group: str | None = None,
        by: Sequence[str] = (),
        output: str | Path | None = None,
        seed: int = 0,
        quiet: bool = False,
    ) -> Path:
        """Measure the answers, and write ``report.html`` and ``report.json``.

        Text metrics with bootstrap intervals, the same without each input, subgroups, and the worst answers
        with the items of their rows.

        Args:
            source: A table with prompts and answers; by default the run's own test rows.
            data: The table that the run was fitted to, where it was in memory and this is another process.
            group: A column whose equal values are resampled together; by default rows that share a file.
            by: Columns whose values are compared; by default those declared.
            output: A folder for both files; the run's own by default.
            seed: Of the bootstrap and the permutations.
            quiet: Show no progress.

        Returns:
            The page.

        Raises:
            PolymodalError: If the table cannot be read or measured on, or the files cannot be written.
        """
        return language_report(self, source, data=data, group=group, by=by, output=output, seed=seed)

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
        return verify(self, paths=paths, exports=exports)

    def _refuse(self, *arguments: object, **options: object) -> NoReturn:
        self.require(Capability.explain)
        raise AssertionError("a run that answers in words has no heads")

    encode = explain = retrieval = zero_shot = linear_probe = _refuse
