"""What a chat template writes around messages, rendered once a succession of roles.

A template never sees what is said, but marks in its place: nothing in a user's text can act on it, and where
every text lies is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import jinja2
from transformers import PreTrainedTokenizerBase

from polymodal.data.chat.messages import ASSISTANT, SYSTEM, USER
from polymodal.data.chat.sandbox import render
from polymodal.data.chat.specials import ending_pattern, pattern_of, special_tokens
from polymodal.errors import ConfigError

# Characters for private use: no template writes any, nor takes one for white space.
_PLACE = "\ue000{}\ue001"
_PLACES = re.compile("\ue000([0-9]+)\ue001")
# What a template is known to raise: of its own will, or on roles and contents that it does not foresee.
_RAISED = (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
_CLOCK = "strftime_now"


class Mark(Enum):
    """Where the text is to be tokenized apart, and where what is learned starts and ends."""

    APART = "apart"
    START = "start"
    END = "end"


@dataclass(frozen=True)
class Skeleton:
    """A conversation without what is said in it.

    Attributes:
        pieces: In order: what the template writes, the places of the messages (from 0) whose parts stand
            there, and the marks.
        specials: How many special tokens the template writes.
    """

    pieces: tuple[str | int | Mark, ...]
    specials: int


class Skeletons:
    """The skeletons of a chat template, each rendered when it is first asked for.

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
        """The skeleton of a succession of roles.

        Args:
            roles: Of the messages.
            reply: End where the assistant's next answer starts.

        Raises:
            ConfigError: If the template refuses the roles, or does not write every message once.
        """
        known = self._known.get((roles, reply))
        if known is None:
            known = self._make((*roles, ASSISTANT) if reply else roles, len(roles))
            if _CLOCK not in self.source:  # else it would say tomorrow what day it is today
                self._known[roles, reply] = known
        return known

    def ends(self) -> tuple[str, ...]:
        """The tokens that end an answer: what the template writes after one, and the end of text."""
        turns = (USER, ASSISTANT, USER, ASSISTANT)
        rendered = self._rendered(turns)
        said = [place for place, slot in enumerate(rendered[1::2]) if turns[int(slot)] == ASSISTANT]
        after = [self._ended(rendered[2 * place + 2])[0] for place in said]
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
            asked = rest.removesuffix(lead)
            ended, rest = self._ended(after)
            pieces.append(asked)
            if slot == last:
                rest = ""
                break
            # A special token stands apart already; a space that a normalizer writes after it is the answer's.
            pieces += [] if self._apart.search(asked) else [Mark.APART]
            pieces += [Mark.START, lead, slot, ended, Mark.END]
        pieces.append(rest)
        literal = [piece for piece in pieces if isinstance(piece, str)]
        specials = sum(len(self._specials.findall(text)) for text in literal)
        return Skeleton(tuple(piece for piece in pieces if piece != ""), specials)

    def _lead(self, before: str, roles: tuple[str, ...]) -> str:
        """The white space before an answer which its first word brings along, where generation starts.

        That is what the template writes before an answer that is there, and not where one is asked for: in
        ``[/INST] yes`` the word is `` yes``, as the language model learned it. More than white space, such as
        an empty thought, is not the answer's: it belongs to what is asked.
        """
        asked = self._rendered(roles, ask=True)[-1] if roles else before
        lead = before.removeprefix(asked)
        return lead if before.startswith(asked) and lead.isspace() else ""

    def _ended(self, after: str) -> tuple[str, str]:
        """What follows an answer, split after the token that ends it; that of texts where there is none."""
        found = self._specials.search(after) if self._ends else None
        if found is None:
            return self._tokenizer.eos_token, after
        return after[: found.end()], after[found.end() :]

    def _rendered(self, roles: Sequence[str], ask: bool = False) -> list[str]:
        """What the template writes, with the places of the messages in between: text, place, text, …

        Raises:
            ConfigError: If it fails, or leaves a message out.
        """
        told = ""
        for as_parts in (False, True):  # some templates read texts alone, some lists of parts alone
            try:
                pieces = _PLACES.split(self._apply(roles, as_parts, ask))
            except _RAISED as error:
                told = told or (str(error).splitlines() or [type(error).__name__])[0]
                continue
            if sorted(map(int, pieces[1::2])) == list(range(len(roles))):
                return pieces
            told = told or _difference(roles, pieces[1::2])
        name = self._tokenizer.name_or_path or "the tokenizer"
        cure = "Set generation.chat_template: chatml, plain or a file"
        if SYSTEM in roles:
            cure += ", or leave out what the system says"
        shown = ", ".join(roles[:5]) + (", …" if len(roles) > 5 else "")
        raise ConfigError(f"{name}: the chat template cannot write messages of {shown} ({told}). {cure}")

    def _apply(self, roles: Sequence[str], as_parts: bool, ask: bool) -> str:
        messages: list[dict[str, Any]] = []
        for place, role in enumerate(roles):
            said = _PLACE.format(place)
            messages.append({"role": role, "content": [{"type": "text", "text": said}] if as_parts else said})
        values = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": ask}
        return render(self.source, {**self._tokenizer.special_tokens_map, **values})


def _difference(roles: Sequence[str], written: Sequence[str]) -> str:
    """Which message a template does not write once."""
    for place, role in enumerate(roles):
        times = written.count(str(place))
        if times != 1:
            return f"it {'leaves out' if not times else 'repeats'} message {place + 1}, the {role}'s"
    return "it writes messages that are not there"
