"""Tokenization of conversations, and the tokens with loss."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase

from polymodal.data.chat.chat_tokenizer import (
    BREAK,
    add_placeholders,
    breaking,
    control_tokens,
    pattern_of,
    placeholders_of,
    special_tokens,
)
from polymodal.data.chat.messages import ASSISTANT, Conversation, Media, Message, Part
from polymodal.data.chat.skeletons import Mark, Skeleton, Skeletons
from polymodal.data.media.cells import MediaError
from polymodal.data.text_tokenizer import tokenizing
from polymodal.errors import did_you_mean

_THERE, _MISSING = 1, 2


@dataclass(frozen=True)
class Encoded:
    """A tokenized conversation.

    Attributes:
        ids: ``(length,)`` int64, every placeholder repeated once per embedding of its item.
        learned: ``(length,)`` bool, the tokens with loss: those of assistants, with the token that ends their
            turn.
        media: The items in the order of their placeholders, without missing ones.
    """

    ids: np.ndarray
    learned: np.ndarray
    media: tuple[Media, ...]


@dataclass
class _Draft:
    """A conversation as one string for the tokenizer: pieces, their length, learned spans, all its items."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)


class Renderer:
    """Tokenizes conversations by a chat template.

    A text never becomes a special token: the name of one in a text is plain text. Prompt and answer are
    tokenized separately, so that training has the tokens that generation starts from. Elsewhere the tokens
    are those of the template's whole output. Messages are stripped of white space, as templates do.

    Args:
        tokenizer: A fast tokenizer; missing placeholders of ``inputs`` are added.
        inputs: Names of the inputs.
        template: Jinja; the tokenizer's own by default.

    Attributes:
        placeholders: By input the ids of its placeholder and of the token of a missing item.
        ends: The tokens that stop generation: those that end an answer, and the end of text.

    Raises:
        ConfigError: If the template cannot be used, or a name makes no placeholder.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, inputs: Iterable[str] = (), template: str | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.placeholders = add_placeholders(tokenizer, inputs)
        self._skeletons = Skeletons(tokenizer, template)
        self._backend = breaking(tokenizer)
        self.ends = tuple(self._ids(self._skeletons.ends()))
        size = max(tokenizer.get_vocab().values()) + 1
        self._special, self._item = np.zeros(size, dtype=bool), np.zeros(size, dtype=np.int8)
        self._special[self._ids(special_tokens(tokenizer))] = True
        for there, missing in self.placeholders.values():
            self._item[[there, missing]] = _THERE, _MISSING
        self._control = pattern_of(control_tokens(tokenizer, self._skeletons.source))

    def encode(
        self, conversation: Conversation, count: Callable[[Media], int], *, reply: bool = False
    ) -> Encoded:
        """Tokenize a conversation.

        Args:
            conversation: Its messages.
            count: Number of embeddings of an item.
            reply: Tokenize the prompt of the next answer; the last message is then not the assistant's.

        Raises:
            ConfigError: If the chat template cannot write such a conversation.
            MediaError: If there is nothing to reply to, or a text cannot be separated from special tokens.
        """
        roles = tuple(message.role for message in conversation)
        if reply and roles[-1:] in ((), (ASSISTANT,)):
            reason = "the last message is the assistant's" if roles else "no message"
            raise MediaError(found=reason, expected="a user's, to reply to")
        skeleton = self._skeletons.of(roles, reply)
        draft = self._draft(skeleton, conversation)
        ids, learned = self._tokens(draft)
        if np.count_nonzero(self._special[ids]) != skeleton.specials + len(draft.media):
            reason = (
                "a text that the tokenizer reads as special tokens, or a chat template whose own it does not"
            )
            raise MediaError(found=reason, cure="Take the special tokens out of the text.")
        if not draft.media:
            return Encoded(ids, learned, ())
        return self._with_items(ids, learned, draft.media, count)

    def _draft(self, skeleton: Skeleton, conversation: Conversation) -> _Draft:
        draft = _Draft()
        start = 0
        for piece in skeleton.pieces:
            if isinstance(piece, str):
                draft.add(piece)
            elif piece is Mark.APART:
                draft.add(BREAK)
            elif piece is Mark.START:
                start = draft.length
            elif piece is Mark.END:
                draft.spans.append((start, draft.length))
            else:
                self._add_message(draft, conversation[piece])
        return draft

    def _add_message(self, draft: _Draft, message: Message) -> None:
        """Add a message's parts; neighbouring texts are joined, and have no special token."""
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            else:
                parts.append(part)
        if parts and isinstance(parts[0], str):
            parts[0] = parts[0].lstrip()
        if parts and isinstance(parts[-1], str):
            parts[-1] = parts[-1].rstrip()
        for part in parts:
            if isinstance(part, str):
                draft.add(self._plain(part))
                continue
            if part.input not in self.placeholders:
                known = did_you_mean(part.input, self.placeholders)
                raise ValueError(f"no placeholder of an input '{part.input}'. {known}")
            draft.add(placeholders_of(part.input)[part.cell is None])
            draft.media.append(part)

    def _plain(self, text: str) -> str:
        """The text, broken inside anything that would become a special token."""
        while self._control.search(text):  # again, since one token may hold the start of another
            text = self._control.sub(lambda found: f"{found[0][0]}{BREAK}{found[0][1:]}", text)
        return text

    def _tokens(self, draft: _Draft) -> tuple[np.ndarray, np.ndarray]:
        """Token ids, and which are learned, both ``(length,)``; every item is one token."""
        text = "".join(draft.pieces)
        try:
            with tokenizing():
                encoding = self._backend.encode(text, add_special_tokens=False)
        except (TypeError, UnicodeError):
            if text.isascii() or _is_whole(text):
                raise
            reason = "a text with half a character (a lone surrogate)"
            raise MediaError(found=reason, cure="Write the text again as UTF-8.") from None
        ids = np.array(encoding.ids, dtype=np.int64)
        learned = np.zeros(len(ids), dtype=bool)
        offsets = encoding.offsets  # in order: where each token starts in the text
        for start, end in draft.spans:
            learned[bisect_left(offsets, (start,)) : bisect_left(offsets, (end,))] = True
        return ids, learned

    def _with_items(
        self, ids: np.ndarray, learned: np.ndarray, media: Sequence[Media], count: Callable[[Media], int]
    ) -> Encoded:
        """Repeat the placeholders, which have no loss."""
        indices = np.flatnonzero(self._item[ids])
        learned[indices] = False
        present = tuple(item for item in media if item.cell is not None)
        repeats = np.ones(len(ids), dtype=np.int64)
        repeats[indices[self._item[ids[indices]] == _THERE]] = [count(item) for item in present]
        return Encoded(np.repeat(ids, repeats), np.repeat(learned, repeats), present)

    def answer(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of generated tokens, up to the first that ends an answer."""
        tokens = list(map(int, ids))
        stop = next((index for index, token in enumerate(tokens) if token in self.ends), len(tokens))
        return self.text_of(tokens[:stop]).strip()

    def text_of(self, ids: list[int]) -> str:
        """The text of generated tokens, with the white space around it."""
        return self._decode(ids, skip_special_tokens=True)

    def pieces(self) -> Callable[[int], str]:
        """A function that gets the tokens of an answer in turn, and returns what each adds to the text.

        A character of several tokens comes with the last of these.
        """
        stream = DecodeStream(skip_special_tokens=True)

        def piece(token: int) -> str:
            with tokenizing():
                return stream.step(self._backend, token) or ""

        return piece

    def describe(self, encoded: Encoded) -> str:
        """The conversation as the model reads it: pieces with loss in « », items as ``<|image|>×64``."""
        shown, length = "", 0
        read: list[int] = []
        items = np.where(self._item[encoded.ids] == _THERE, encoded.ids, -1)
        for first, last in _runs(encoded.learned, items):
            # Decoded from the start: by itself, the first token of many a tokenizer loses its space.
            read += encoded.ids[first : first + 1 if items[first] >= 0 else last].tolist()
            text = self._decode(read, skip_special_tokens=False)
            piece, length = text[length:], len(text)
            piece += f"×{last - first}" if items[first] >= 0 else ""
            shown += f"«{piece}»" if encoded.learned[first] else piece
        return shown

    def _ids(self, tokens: Iterable[str]) -> list[int]:
        return [self.tokenizer.convert_tokens_to_ids(token) for token in tokens]  # type: ignore[misc]

    def _decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        with tokenizing():
            return self._backend.decode(ids, skip_special_tokens=skip_special_tokens)


def _runs(learned: np.ndarray, items: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and behind last of the runs in which neither of the two changes."""
    if len(learned):
        changes = (learned[1:] != learned[:-1]) | (items[1:] != items[:-1])
        yield from pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(learned)])


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
