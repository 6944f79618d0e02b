"""A training of a language model that has been read but not begun."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from polymodal.config import Declaration, StageConfig, TrainConfig
from polymodal.data.cache.memory import ReadCache
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.checks.check import CheckReport
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.errors import Problem
from polymodal.models.build import reader_settings
from polymodal.models.language.language_build import build_speaker, context_of
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.training.language.conversation_rows import ConversationRows, RowToConversation


@dataclass
class Stage:
    """One stage of a training.

    Attributes:
        name: As it is declared.
        config: What learns.
        train: How, with every default filled in.
        splits: Its tables.
        reader: Makes a conversation of a row.
        column: Of messages; None where templates ask.
    """

    name: str
    config: StageConfig
    train: TrainConfig
    splits: dict[str, Table]
    reader: RowToConversation
    column: str | None
    rows: dict[str, ConversationRows] = field(default_factory=dict)


@dataclass
class LanguageJob:
    """What :class:`polymodal.training.job.Job` is, for answers in words.

    Attributes:
        declaration: With every default filled in.
        guesses: What each column of the table was taken for.
        splits: Tables of ``train``, ``validation``, ``test``.
        columns: The same with a column an input, also where the items stand in messages.
        numbers: Each split's rows by their number in the file, from 0.
        processor: Reads items and writes tokens.
        stages: What is learned one after another.
        reader: Makes a conversation of a row that is answered.
        vocabulary: Tokens of the tokenizer before placeholders were added.
        cache: What was read so far.
        report: What the check found; None before it.
        notes: What was done that one may want to know.
        rejected: What is wrong with the rows that were left out.
        folder: Of the declaration, from which its paths start.
        asked: By split, the rows that are answered at the end.
    """

    declaration: Declaration
    guesses: list[Guess]
    splits: dict[str, Table]
    columns: dict[str, Table]
    numbers: dict[str, np.ndarray]
    processor: ConversationProcessor
    stages: list[Stage]
    reader: RowToConversation
    vocabulary: int
    cache: ReadCache = field(default_factory=ReadCache)
    report: CheckReport | None = None
    notes: list[str] = field(default_factory=list)
    rejected: list[Problem] = field(default_factory=list)
    folder: Path | None = None
    asked: dict[str, ConversationRows] = field(default_factory=dict)

    @cached_property
    def model(self) -> PolymodalForConditionalGeneration:
        """The model as it begins, built on first use."""
        model = build_speaker(self.declaration, self.processor, self.vocabulary)
        self.processor.change_readers(reader_settings(model.encoders, model.encoder_of))
        return model

    @cached_property
    def longest(self) -> int | None:
        """Most tokens of a row with its answer; None where nothing limits them."""
        assert self.declaration.generation is not None
        limits = [self.declaration.generation.max_length, self.declaration.generation.pack, self.context]
        return min((limit for limit in limits if limit), default=None)

    @cached_property
    def context(self) -> int | None:
        """Most tokens that the language model was made for, where it says so."""
        assert self.declaration.generation is not None
        return context_of(self.declaration.generation.language_model)

    def all_rows(self) -> Iterator[ConversationRows]:
        """The rows of every stage, and those that are answered at the end."""
        for stage in self.stages:
            yield from stage.rows.values()
        yield from self.asked.values()

    def begin_rows(self) -> None:
        """Put the rows together that :meth:`ConversationRows.prepare` then reads."""
        for stage in self.stages:
            for split in ("train", "validation"):
                stage.rows[split] = self._rows(
                    stage.splits[split], stage.reader, stage.column, stage.train, split == "train"
                )
        generation = self.declaration.generation
        assert generation is not None
        for split in ("validation", "test"):
            if len(self.splits[split]):
                self.asked[split] = ConversationRows(
                    self.splits[split], self.reader, self.processor, self.cache, reply=True,
                    column=generation.messages,
                )  # fmt: skip

    def _rows(
        self, table: Table, reader: RowToConversation, column: str | None, train: TrainConfig, learns: bool
    ) -> ConversationRows:
        dropout = (train.modality_dropout or 0.0) if learns else 0.0
        return ConversationRows(
            table, reader, self.processor, self.cache, column=column, seed=train.seed, dropout=dropout,
            keeps_one=column is None and not _says(reader),
        )  # fmt: skip


def _says(reader: RowToConversation) -> bool:
    """Whether a prompt writes columns as text, so that a row without items asks something still."""
    prompt, inputs = getattr(reader, "prompt", None), getattr(reader, "inputs", {})
    return prompt is not None and any(column not in inputs for column in prompt.columns)
