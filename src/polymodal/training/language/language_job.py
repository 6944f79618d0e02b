"""A language model fit that is read, but not yet trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from transformers import set_seed

from polymodal.artifact.capabilities import Kind
from polymodal.config import Declaration, GenerationConfig, StageConfig, TrainConfig
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.checks.check import CheckReport
from polymodal.data.checks.rejected import SKIP
from polymodal.data.tables.table import Table
from polymodal.errors import DataError, Problem
from polymodal.models.build import reader_settings
from polymodal.models.language.language_build import build_generation_model, context_of
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.training.fingerprint import describe_conversations
from polymodal.training.job import Job
from polymodal.training.language.conversation_rows import ConversationRows, RowToConversation
from polymodal.training.loop.defaults import metric_name
from polymodal.training.row_checks import report_problems
from polymodal.training.warm_start.transfer import continue_words
from polymodal.utils.progress import quiet_libraries


@dataclass
class Stage:
    """One stage of a training.

    Attributes:
        name: As it is declared.
        config: What learns.
        train: How, with every default filled in.
        splits: Its tables.
        reader: Converts a row to a conversation.
        column: Of messages; None where templates write the prompt.
    """

    name: str
    config: StageConfig
    train: TrainConfig
    splits: dict[str, Table]
    reader: RowToConversation
    column: str | None
    rows: dict[str, ConversationRows] = field(default_factory=dict)


@dataclass(kw_only=True)
class LanguageJob(Job[ConversationProcessor]):
    """A fit of a language model that generates answers.

    Attributes:
        columns: The splits with a column per input, also where the items are in messages.
        stages: Stages of training, in order.
        reader: Converts a row to be answered to a conversation.
        vocabulary: Tokens of the tokenizer before placeholders were added; None for the tokenizer of a run.
        checker: See :func:`polymodal.training.language.language_check.check_language`.
        opener: Makes the job of another declaration of the same table.
        asked: By split, the rows that are answered after the training.
    """

    columns: dict[str, Table]
    stages: list[Stage]
    reader: RowToConversation
    vocabulary: int | None
    checker: Callable[[LanguageJob, bool], CheckReport]
    opener: Callable[[Declaration], LanguageJob]
    asked: dict[str, ConversationRows] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Words."""
        return Kind.words

    @property
    def generation(self) -> GenerationConfig:
        """Section of the declaration with the templates of prompt and answer."""
        assert self.declaration.generation is not None
        return self.declaration.generation

    @property
    def tested(self) -> np.ndarray:
        """See :meth:`polymodal.training.job.Job.tested`; skipped rows are removed by the check."""
        return self.asked["test"].numbers if "test" in self.asked else self.numbers["test"]

    @property
    def metric(self) -> str:
        """The validation metric that picks the best epoch of the last stage."""
        return metric_name(self.stages[-1].train.metric, {})

    def check(self, quiet: bool = False, media: bool = True) -> CheckReport:
        """See :meth:`polymodal.training.job.Job.check`; the model is built, which counts tokens of items."""
        with quiet_libraries():
            report = self.checker(self, quiet)
        report.problems += report_problems(self.declaration, self.splits)
        return report

    def release(self) -> None:
        """Free the model, which is built again from the seed, and the frozen encoders that read the rows."""
        self.__dict__.pop("model", None)
        self.processor.count = None
        for rows in self.all_rows():
            rows.processor = self.processor

    def follow(self, rejected: list[Problem]) -> None:
        """See :meth:`polymodal.training.job.Job.follow`; the rows are read without being checked again.

        Raises:
            DataError: If a row cannot be read that the main process could read.
        """
        if self.asked or self.stages[0].rows:
            return  # it is the main process
        _ = self.model  # which counts the tokens of items
        self.begin_rows()
        for rows in self.all_rows():
            problems = rows.prepare()
            unread = [problem for problem in problems if problem not in rows.unlearned]
            if unread and self.declaration.data.on_error != SKIP:
                raise DataError(unread)
            rows.leave_out(problems)
            if (longest := self.limit(rows)) is not None:
                rows.keep(np.flatnonzero(rows.lengths <= longest))
        self.rejected = rejected

    def limit(self, rows: ConversationRows) -> int | None:
        """Most tokens of one of the rows; None where nothing limits them.

        A question need not fit a training row; but an answer has to fit behind it.
        """
        return self.context and self.context - 1 if rows.reply else self.longest

    def varied(self, declaration: Declaration) -> LanguageJob:
        """The job of another declaration of the same table."""
        fresh = self.opener(declaration)
        fresh.cache = self.cache
        return fresh

    def describe(self) -> dict[str, Any]:
        """Digests of the training data: conversations and their items."""
        parts = [
            (f"{stage.name} {split}", rows) for stage in self.stages for split, rows in stage.rows.items()
        ]
        parts += [(f"answered {split}", rows) for split, rows in self.asked.items()]
        return describe_conversations(parts, self.processor.readers)

    @cached_property
    def model(self) -> PolymodalForConditionalGeneration:
        """The model as it begins, built on first use."""
        set_seed(self.declaration.train.seed)
        start = self.start
        known = start.encoders if start else None
        model = build_generation_model(self.declaration, self.processor, self.vocabulary, known)
        self.processor.change_readers(reader_settings(model.encoders, model.encoder_of))
        if start is not None:
            old = start.model() if start.kind is not Kind.words else start.speaker()
            self.started = continue_words(old, model, speaks=start.speaks)
        return model

    @cached_property
    def longest(self) -> int | None:
        """Most tokens of a row with its answer; None where nothing limits them."""
        limits = [self.generation.max_length, self.generation.pack, self.context]
        return min((limit for limit in limits if limit), default=None)

    @cached_property
    def context(self) -> int | None:
        """Context length of the language model in tokens; None if its configuration does not declare one."""
        return context_of(self.generation.language_model)

    def all_rows(self) -> Iterator[ConversationRows]:
        """The rows of every stage, and those that are answered after the training."""
        for stage in self.stages:
            yield from stage.rows.values()
        yield from self.asked.values()

    def begin_rows(self) -> None:
        """Create the rows of all stages and splits; :meth:`ConversationRows.prepare` reads them later."""
        for stage in self.stages:
            for split in ("train", "validation"):
                stage.rows[split] = self._rows(
                    stage.splits[split], stage.reader, stage.column, stage.train, split == "train"
                )
        for split in ("validation", "test"):
            if len(self.splits[split]):
                self.asked[split] = ConversationRows(
                    self.splits[split], self.reader, self.processor, self.cache, reply=True,
                    column=self.generation.messages,
                )  # fmt: skip

    def _rows(
        self, table: Table, reader: RowToConversation, column: str | None, train: TrainConfig, learns: bool
    ) -> ConversationRows:
        dropout = (train.modality_dropout or 0.0) if learns else 0.0
        return ConversationRows(
            table, reader, self.processor, self.cache, column=column, seed=train.seed, dropout=dropout,
            keeps_one=column is None and not _writes_columns(reader),
        )  # fmt: skip


def _writes_columns(reader: RowToConversation) -> bool:
    """Whether the prompt has text columns, so that a row without items still has content."""
    prompt, inputs = getattr(reader, "prompt", None), getattr(reader, "inputs", {})
    return prompt is not None and any(column not in inputs for column in prompt.columns)
