"""How an answer is decoded: what a request sets, over what the run declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polymodal import api
from polymodal.serving.chat.body import ChatBody
from polymodal.serving.problems import Refusal


@dataclass(frozen=True)
class Decoding:
    """How an answer is decoded.

    Attributes:
        options: Of Transformers' ``generate``, without the number of tokens.
        most: The most tokens of the answer.
        seed: Of drawn tokens; None where none is set, or nothing is drawn.
    """

    options: dict[str, Any]
    most: int
    seed: int | None

    def joins(self, other: Decoding) -> bool:
        """Whether two answers can be made in one batch: drawn by a seed, an answer is made alone."""
        return self.options == other.options and self.seed is None and other.seed is None


def decoding_of(body: ChatBody, run: api.LanguageRun, most: int) -> Decoding:
    """How the answer to a request is decoded.

    A temperature of 0 is the likeliest tokens; a higher one, or ``top_p``, draws tokens. Without both, it is
    as the run declares.

    Args:
        body: The request.
        run: That answers.
        most: The server's most tokens of an answer.

    Raises:
        Refusal: With status 400, if more tokens are requested than the server makes.
    """
    if body.most is not None and body.most > most:
        name = "max_completion_tokens" if body.max_completion_tokens else "max_tokens"
        reason = f"'{name}' is {body.most}, and this server makes at most {most} (its limit answer_tokens)"
        raise Refusal(400, reason, param=name)
    changes: dict[str, Any] = {}
    if body.temperature == 0:
        changes = {"sample": False}
    elif body.temperature is not None or body.top_p is not None:
        changes = {"sample": True, "beams": 1, "temperature": body.temperature, "top_p": body.top_p}
    options = api.decoding(run.generation.decoding, changes)
    declared = options.pop("max_new_tokens", None) or api.usual_tokens(run)
    wanted = body.most or min(declared or most, most)
    return Decoding(options, wanted, body.seed if options.get("do_sample") else None)
