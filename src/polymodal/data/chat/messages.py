"""What a conversation is: messages made of texts, and of items that an encoder reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polymodal.data.media.cells import MediaError

SYSTEM, USER, ASSISTANT = ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Media:
    """An item that an encoder reads.

    Attributes:
        input: Name of the input that reads it.
        cell: Path, bytes, data URI, array or the like; None where the row lacks it.
    """

    input: str
    cell: Any


Part = str | Media


@dataclass(frozen=True)
class Message:
    """What one side says in a turn.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        parts: Texts and items, in the order in which they are read.
    """

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its texts, one after the other."""
        return "".join(part for part in self.parts if isinstance(part, str))


Conversation = Sequence[Message]
"""An assistant's message stands last where an answer is known."""


def without_answer(conversation: Conversation) -> Conversation:
    """The conversation up to what has to be answered: without the assistant's last message, if it ends so."""
    answered = bool(conversation) and conversation[-1].role == ASSISTANT
    return conversation[:-1] if answered else conversation


class NothingToLearnError(MediaError):
    """A conversation without an answer: it can be read, and gives no loss."""


def check_learned(conversation: Conversation) -> None:
    """Refuse a conversation of which training learns nothing.

    Raises:
        NothingToLearnError: If there is no assistant's message, or none says anything.
    """
    said = [message for message in conversation if message.role == ASSISTANT]
    if any(not message.text.isspace() and message.text for message in said):
        return
    found = "only empty answers, which give no loss" if said else "no answer, which gives no loss"
    raise NothingToLearnError(
        found=found, expected="a text to learn", cure="Fill it in, or leave the row out."
    )
