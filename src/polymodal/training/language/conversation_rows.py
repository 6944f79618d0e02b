"""The conversations of a table's rows: encoded once, with items that are read in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch.utils.data import Dataset

from polymodal.data.cache.memory import ReadCache
from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.data.chat.messages import (
    Conversation,
    Media,
    NothingToLearnError,
    check_learned,
    without_answer,
)
from polymodal.data.chat.rendering import Encoded
from polymodal.data.media.cells import MediaError
from polymodal.data.tables.table import Table
from polymodal.errors import Problem


class RowToConversation(Protocol):
    """Builds the conversation of a row: by templates, or from a column of messages."""

    def read(self, row: Any) -> Conversation:
        """The conversation of a row; raises ``MediaError``."""


@dataclass
class Row:
    """A row's tokens, without its items, which are read when they are needed.

    Attributes:
        encoded: Its tokens.
        taken: Number of embeddings of each item.
    """

    encoded: Encoded
    taken: list[int]


class ConversationRows(Dataset):
    """The conversations of a table.

    Args:
        table: The rows.
        reader: Builds the conversation of a row.
        processor: Reads items and encodes conversations.
        cache: Caches items.
        reply: Encode the prompt of an answer instead of the whole conversation.
        dropout: Probability that the items of an input are dropped from a row.
        keeps_one: Never drop all inputs of a row; false where its texts are informative as well.
        seed: Seed of the dropout.
        numbers: The rows' numbers in the file, from 0, for messages.
        column: The column in messages about conversations that cannot be read.
    """

    def __init__(
        self,
        table: Table,
        reader: RowToConversation,
        processor: ConversationProcessor,
        cache: ReadCache | None = None,
        *,
        reply: bool = False,
        dropout: float = 0.0,
        keeps_one: bool = False,
        seed: int = 0,
        numbers: Sequence[int] | np.ndarray | None = None,
        column: str | None = None,
    ) -> None:
        self.table, self.reader, self.processor, self.cache = table, reader, processor, cache
        self.reply, self.dropout, self.keeps_one = reply, dropout, keeps_one
        self.seed, self.epoch, self.column = seed, 0, column
        self.numbers = table.places if numbers is None else np.asarray(numbers)
        self.rows: list[Row] = []
        self.unlearned: list[Problem] = []  # the problems of rows that only lack an answer
        self.empty: list[str] = []  # inputs that are read as missing in every row

    def prepare(self, shown: Callable[[Iterable, str, int], Iterable] | None = None) -> list[Problem]:
        """Encode every row, and read its items once.

        Args:
            shown: Wraps the rows in a progress bar.

        Returns:
            The problems; bad rows have no token.
        """
        problems = []
        rows: Iterable[dict[str, Any]] = self.table.rows()
        for index, row in enumerate(shown(rows, "reading conversations", len(self.table)) if shown else rows):
            try:
                self.rows.append(self._encode(self.reader.read(row)))
            except MediaError as error:
                problems.append(self._problem(error, index, row))
                self.unlearned += problems[-1:] if isinstance(error, NothingToLearnError) else []
                self.rows.append(Row(Encoded(np.zeros(0, np.int64), np.zeros(0, bool), ()), []))
        return problems

    def unread(self) -> list[Problem]:
        """Problems of the conversations; items are not read."""
        problems = []
        for index, row in enumerate(self.table.rows()):
            try:
                self.reader.read(row)
            except MediaError as error:
                problems.append(self._problem(error, index, row))
        return problems

    def _encode(self, conversation: Conversation) -> Row:
        if self.reply:
            conversation = without_answer(conversation)
        else:
            check_learned(conversation)
        turn = self.processor.encode(conversation, self.table.root, self.cache, reply=self.reply)
        turn.encoded.ids.setflags(write=False)
        return Row(turn.encoded, turn.taken)

    def _problem(self, error: MediaError, index: int, row: dict[str, Any]) -> Problem:
        column = self.column or self._at_fault(row)
        return Problem(file=self.table.name, row=int(self.numbers[index]) + 1, column=column,
                       found=error.found, expected=error.expected, cure=error.cure)  # fmt: skip

    def longer_than(self, most: int, cures: Sequence[str] = (), of_items: str = "") -> list[Problem]:
        """A problem for each row of more than ``most`` tokens.

        Args:
            most: Most tokens of a row.
            fixes: Fixes besides shortening it, the last of them after a comma and "or".
            of_items: A fix before these, where some of the tokens belong to items.
        """
        problems = []
        for index in np.flatnonzero(self.lengths > most):
            items = sum(self.rows[index].taken)
            reason = f"{self.lengths[index]} tokens" + (f", {items} of them of items" if items else "")
            *others, last = ["Shorten it", *([of_items] if items and of_items else []), *cures]
            fix = f"{', '.join(others)}, or {last}." if others else f"{last}."
            problems.append(Problem(file=self.table.name, row=int(self.numbers[index]) + 1, found=reason,
                                    expected=f"at most {most}", cure=fix))  # fmt: skip
        return problems

    def _at_fault(self, row: dict[str, Any]) -> str | None:
        """The column whose item cannot be read; None for other problems."""
        with suppress(MediaError):
            parts = [part for message in self.reader.read(row) for part in message.parts]
            for media in (part for part in parts if isinstance(part, Media) and part.cell is not None):
                try:
                    self.processor.read_item(media, self.table.root, self.cache)
                except MediaError:
                    return media.input
        return None

    def keep(self, indices: Sequence[int] | np.ndarray) -> None:
        """Keep these rows only."""
        self.table, self.numbers = self.table.select(indices), self.numbers[np.asarray(indices, dtype=int)]
        self.rows = [self.rows[int(index)] for index in indices]

    def leave_out(self, problems: Sequence[Problem]) -> None:
        """Remove the rows that ``problems`` of :meth:`prepare` name."""
        bad = [problem.row for problem in problems if problem.row is not None]
        if bad:
            self.keep(np.flatnonzero(~np.isin(self.numbers + 1, bad)))

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens per row, with all items: ``(rows,)``."""
        return np.array([len(row.encoded.ids) for row in self.rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.table)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by the loader."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Turn:
        """A row with its items; ``~index`` is a row without items and loss."""
        if index < 0:
            encoded = self.rows[~index].encoded
            turn = Turn(
                replace(encoded, learned=np.zeros_like(encoded.learned)), [None] * len(encoded.media), []
            )
            return turn.without(list(self.processor.readers), self.processor.placeholders)
        row = self.rows[index]
        absent = self._left_out(index, row)
        kept = [
            None if media.input in absent else self.processor.read_item(media, self.table.root, self.cache)
            for media in row.encoded.media
        ]
        turn = Turn(row.encoded, kept, row.taken)
        return turn.without(absent, self.processor.placeholders) if absent else turn

    def _left_out(self, index: int, row: Row) -> list[str]:
        """The inputs that are dropped from a row in this epoch."""
        present = list(dict.fromkeys(media.input for media in row.encoded.media))
        absent = [name for name in present if name in self.empty]
        if not self.dropout or not present:
            return absent
        chance = np.random.default_rng((self.seed, self.epoch, index)).random(len(present) + 1)
        falls = chance[:-1] < self.dropout
        if self.keeps_one and falls.all():
            falls[int(chance[-1] * len(present))] = False
        return [*absent, *(name for name, gone in zip(present, falls, strict=True) if gone)]
