"""The text of a chat template around messages, rendered once per sequence of roles.

A template gets marks instead of the messages: a user's text cannot influence it, and the position of every
text is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from polymodal.data.chat.chat_tokenizer import ending_pattern, pattern_of, special_tokens
from polymodal.data.chat.messages import ASSISTANT, SYSTEM, USER
from polymodal.data.chat.sandbox import render
from polymodal.errors import ConfigError

# Private-use characters: no template writes any, nor treats one as white space.
_PLACE = "\ue000{}\ue001"
_PLACES = re.compile("\ue000([0-9]+)\ue001")
# What templates raise, on purpose or for unexpected roles and contents.
_RAISED = (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
_CLOCK = "strftime_now"


class Mark(Enum):
    """Marks: a border of separate tokenization, and start and end of the tokens with loss."""

    APART = "apart"
    START = "start"
    END = "end"


@dataclass(frozen=True)
class Skeleton:
    """A conversation without the texts of its messages.

    Attributes:
        pieces: In order: texts of the template, indices of messages (from 0) whose parts are inserted, and
            marks.
        specials: Number of special tokens in the template's texts.
    """

    pieces: tuple[str | int | Mark, ...]
    specials: int


class Skeletons:
    """The skeletons of a chat template, rendered on first use.

    Args:
        tokenizer: Fast, with all its tokens.
        template: Jinja; the tokenizer's own by default.

    Raises:
        ConfigError: If the template cannot be used for a question and its answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> None:
        self._tokenizer, self.source = tokenizer, template or tokenizer.get_chat_template()
        self._specials = pattern_of(special_tokens(tokenizer))
        self._apart = ending_pattern(tokenizer)
        self._known: dict[tuple[tuple[str, ...], bool], Skeleton] = {}
        self._ends = self._specials.search(self._rendered((USER, ASSISTANT))[-1]) is not None

    def of(self, roles: tuple[str, ...], reply: bool) -> Skeleton:
        """The skeleton of a sequence of roles.

        Args:
            roles: Roles of the messages.
            reply: End where the assistant's next answer starts.

        Raises:
            ConfigError: If the template refuses the roles, or does not write every message once.
        """
        known = self._known.get((roles, reply))
        if known is None:
            known = self._make((*roles, ASSISTANT) if reply else roles, len(roles))
            if _CLOCK not in self.source:  # a template with the date is not cached
                self._known[roles, reply] = known
        return known

    def ends(self) -> tuple[str, ...]:
        """The tokens that end an answer: what the template writes after one, and the end of text."""
        turns = (USER, ASSISTANT, USER, ASSISTANT)
        rendered = self._rendered(turns)
        answers = [index for index, slot in enumerate(rendered[1::2]) if turns[int(slot)] == ASSISTANT]
        after = [self._ended(rendered[2 * index + 2])[0] for index in answers]
        ends = [end for text in after for end in self._specials.findall(text)[-1:]]
        return tuple(dict.fromkeys([*ends, self._tokenizer.eos_token]))

    def _make(self, roles: tuple[str, ...], last: int) -> Skeleton:
        """The skeleton of ``roles``; nothing of message ``last``, if there is one, nor after it."""
        rendered = self._rendered(roles)
        pieces: list[str | int | Mark] = []
        rest = rendered[0]
        for slot, after in zip(map(int, rendered[1::2]), rendered[2::2], strict=True):
            if roles[slot] != ASSISTANT:
                pieces += [rest, slot]
                rest = after
                continue
            lead = self._lead(rest, roles[:slot])
            prompt = rest.removesuffix(lead)
            ended, rest = self._ended(after)
            pieces.append(prompt)
            if slot == last:
                rest = ""
                break
            # A special token is a border; a space that a normalizer adds after it belongs to the answer.
            pieces += [] if self._apart.search(prompt) else [Mark.APART]
            pieces += [Mark.START, lead, slot, ended, Mark.END]
        pieces.append(rest)
        literal = [piece for piece in pieces if isinstance(piece, str)]
        specials = sum(len(self._specials.findall(text)) for text in literal)
        return Skeleton(tuple(piece for piece in pieces if piece != ""), specials)

    def _lead(self, before: str, roles: tuple[str, ...]) -> str:
        """The white space before an answer that belongs to its first word.

        The template writes it before an answer, but not at the end of a prompt: in ``[/INST] yes`` the word
        is `` yes``, as the language model was trained. Anything but white space, such as an empty thought,
        belongs to the prompt.
        """
        prompt = self._rendered(roles, ask=True)[-1] if roles else before
        lead = before.removeprefix(prompt)
        return lead if before.startswith(prompt) and lead.isspace() else ""

    def _ended(self, after: str) -> tuple[str, str]:
        """What follows an answer, split after the token that ends it; that of texts where there is none."""
        result = self._specials.search(after) if self._ends else None
        if result is None:
            return self._tokenizer.eos_token, after
        return after[: result.end()], after[result.end() :]

    def _rendered(self, roles: Sequence[str], ask: bool = False) -> list[str]:
        """The template's output, alternating with the indices of the messages: text, index, text, …

        Raises:
            ConfigError: If it fails, or leaves a message out.
        """
        reason = ""
        for as_parts in (False, True):  # some templates accept only texts, some only lists of parts
            try:
                pieces = _PLACES.split(self._apply(roles, as_parts, ask))
            except _RAISED as error:
                reason = reason or (str(error).splitlines() or [type(error).__name__])[0]
                continue
            if sorted(map(int, pieces[1::2])) == list(range(len(roles))):
                return pieces
            reason = reason or _difference(roles, pieces[1::2])
        name = self._tokenizer.name_or_path or "the tokenizer"
        fix = "Set generation.chat_template: chatml, plain or a file"
        if SYSTEM in roles:
            fix += ", or leave out the system message"
        shown = ", ".join(roles[:5]) + (", …" if len(roles) > 5 else "")
        raise ConfigError(f"{name}: the chat template cannot write messages of {shown} ({reason}). {fix}")

    def _apply(self, roles: Sequence[str], as_parts: bool, ask: bool) -> str:
        messages: list[dict[str, Any]] = []
        for index, role in enumerate(roles):
            content = _PLACE.format(index)
            messages.append(
                {"role": role, "content": [{"type": "text", "text": content}] if as_parts else content}
            )
        values = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": ask}
        return render(self.source, {**self._tokenizer.special_tokens_map, **values})


def _difference(roles: Sequence[str], written: Sequence[str]) -> str:
    """Which message a template does not write once."""
    for index, role in enumerate(roles):
        times = written.count(str(index))
        if times != 1:
            return f"it {'leaves out' if not times else 'repeats'} message {index + 1}, the {role}'s"
    return "it writes messages that are not there"
