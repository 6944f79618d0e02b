"""The conversations of a table's rows, encoded once, read anew in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch.utils.data import Dataset

from polymodal.data.cache import ReadCache
from polymodal.data.cells import MediaError
from polymodal.data.chat.messages import Conversation, check_learned, without_answer
from polymodal.data.chat.processor import ConversationProcessor, Turn
from polymodal.data.chat.rendering import Encoded
from polymodal.data.table import Table
from polymodal.errors import Problem


class RowToConversation(Protocol):
    """Reads the conversation of a row: by templates, or from a column of messages."""

    def read(self, row: Any) -> Conversation:
        """The conversation of a row; raises ``MediaError``."""


@dataclass
class Row:
    """A row's tokens, without its items: these are read when they are needed.

    Attributes:
        encoded: Its tokens.
        taken: How many vectors each item takes.
    """

    encoded: Encoded
    taken: list[int]


class ConversationRows(Dataset):
    """The conversations of a table.

    Args:
        table: The rows.
        reader: Makes a conversation of a row.
        processor: Reads items and writes tokens.
        cache: Keeps what was read.
        reply: Encode what an answer is generated from, in the place of the whole conversation.
        dropout: Chance that a row lacks the items of an input.
        keeps_one: Never all inputs of a row; false where its texts say something too.
        seed: Of what is left out.
        numbers: The rows' numbers in the file, from 0, for messages.
        column: What is named where a conversation cannot be read.
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
        self.empty: list[str] = []  # inputs that are read as if every row lacked them

    def prepare(self, shown: Callable[[Iterable, str, int], Iterable] | None = None) -> list[Problem]:
        """Encode every row, and read its items once; says which cannot be.

        Args:
            shown: Puts a progress bar around the rows.

        Returns:
            What is wrong; the rows at fault hold no token.
        """
        problems = []
        rows: Iterable[dict[str, Any]] = self.table.rows()
        for index, row in enumerate(shown(rows, "reading conversations", len(self.table)) if shown else rows):
            try:
                self.rows.append(self._encode(self.reader.read(row)))
            except MediaError as error:
                problems.append(self._problem(error, index))
                self.rows.append(Row(Encoded(np.zeros(0, np.int64), np.zeros(0, bool), ()), []))
        return problems

    def _encode(self, conversation: Conversation) -> Row:
        if self.reply:
            conversation = without_answer(conversation)
        else:
            check_learned(conversation)
        turn = self.processor.encode(conversation, self.table.root, self.cache, reply=self.reply)
        turn.encoded.ids.setflags(write=False)
        return Row(turn.encoded, turn.taken)

    def _problem(self, error: MediaError, index: int) -> Problem:
        return Problem(file=self.table.name, row=int(self.numbers[index]) + 1, column=self.column,
                       found=error.found, expected=error.expected, cure=error.cure)  # fmt: skip

    def keep(self, indices: Sequence[int] | np.ndarray) -> None:
        """Leave out all rows but these."""
        self.table, self.numbers = self.table.select(indices), self.numbers[np.asarray(indices, dtype=int)]
        self.rows = [self.rows[int(index)] for index in indices]

    def leave_out(self, problems: Sequence[Problem]) -> None:
        """Leave out the rows that ``problems`` of :meth:`prepare` name."""
        bad = [problem.row for problem in problems if problem.row is not None]
        if bad:
            self.keep(np.flatnonzero(~np.isin(self.numbers + 1, bad)))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, with all its items: ``(rows,)``."""
        return np.array([len(row.encoded.ids) for row in self.rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.table)

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader at the start of each epoch."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Turn:
        """A row, read; ``~index`` is one that teaches nothing, without its items."""
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
        """The inputs that the row lacks this time."""
        present = list(dict.fromkeys(media.input for media in row.encoded.media))
        absent = [name for name in present if name in self.empty]
        if not self.dropout or not present:
            return absent
        chance = np.random.default_rng((self.seed, self.epoch, index)).random(len(present) + 1)
        falls = chance[:-1] < self.dropout
        if self.keeps_one and falls.all():
            falls[int(chance[-1] * len(present))] = False
        return [*absent, *(name for name, gone in zip(present, falls, strict=True) if gone)]
