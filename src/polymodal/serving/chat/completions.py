"""Answers in OpenAI's form: whole ones, and the pieces of streamed ones."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from polymodal.api import JsonObject

DONE = "data: [DONE]\n\n"
"""The last event of a stream."""


def usage(prompt: int, completion: int) -> JsonObject:
    """Numbers of tokens."""
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion
    }  # fmt: skip


def event(body: Mapping[str, object]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False, allow_nan=False)}\n\n"


@dataclass(frozen=True)
class Completion:
    """The envelope of one answer.

    Attributes:
        model: Name of the run.
        with_usage: Whether its stream ends with the numbers of tokens.
        id: Of the answer.
        created: Seconds since 1970.
    """

    model: str
    with_usage: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, finish: str, counts: JsonObject) -> JsonObject:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice: JsonObject = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return self._body("chat.completion", [choice]) | {"usage": counts}

    def first(self) -> str:
        """The event before the answer, with its role."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def piece(self, text: str) -> str:
        """The event of a piece of the answer."""
        return self._chunk({"content": text})

    def last(self, finish: str) -> str:
        """The event behind the answer, with the reason why it ended."""
        return self._chunk({}, finish)

    def counted(self, counts: JsonObject) -> str:
        """The event with the numbers of tokens: no choices, as OpenAI has it."""
        return event(self._body("chat.completion.chunk", []) | {"usage": counts})

    def _chunk(self, delta: JsonObject, finish: str | None = None) -> str:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        more: JsonObject = {"usage": None} if self.with_usage else {}
        return event(self._body("chat.completion.chunk", [choice]) | more)

    def _body(self, kind: str, choices: list[JsonObject]) -> JsonObject:
        return {
            "id": self.id, "object": kind, "created": self.created, "model": self.model,
            "choices": choices,
        }  # fmt: skip
