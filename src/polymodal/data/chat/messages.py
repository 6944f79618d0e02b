"""Conversations: messages of texts, and of items for encoders."""

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
        cell: Path, bytes, data URI, array or the like; None if it is missing.
    """

    input: str
    cell: Any


Part = str | Media


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user`` or ``assistant``.
        parts: Texts and items, in the order in which they are read.
    """

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its concatenated texts."""
        return "".join(part for part in self.parts if isinstance(part, str))


Conversation = Sequence[Message]
"""Messages; the last is an assistant's if there is an answer."""


def without_answer(conversation: Conversation) -> Conversation:
    """The conversation without the assistant's last message, if it ends with one."""
    answered = bool(conversation) and conversation[-1].role == ASSISTANT
    return conversation[:-1] if answered else conversation


class NothingToLearnError(MediaError):
    """A conversation without an answer, which gives no loss."""


def check_learned(conversation: Conversation) -> None:
    """Refuse a conversation without loss.

    Raises:
        NothingToLearnError: If there is no assistant's message, or all are empty.
    """
    answers = [message for message in conversation if message.role == ASSISTANT]
    if any(not message.text.isspace() and message.text for message in answers):
        return
    reason = "only empty answers, which give no loss" if answers else "no answer, which gives no loss"
    raise NothingToLearnError(
        found=reason, expected="a text to learn", cure="Fill it in, or leave the row out."
    )
