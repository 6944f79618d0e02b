"""Special tokens: which there are, and how a text is kept from being read as one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedTokenizerBase

BREAK = "\ufdd0\ufdd1"
"""Where it stands the text is tokenized apart, and nothing of it remains.

Two characters that Unicode keeps for a program's own use, and no text holds.
"""


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The tokens that stand for no text; the one for unknown characters does."""
    added = tokenizer.added_tokens_decoder.values()
    return [token.content for token in added if token.special and token.content != tokenizer.unk_token]


def control_tokens(tokenizer: PreTrainedTokenizerBase, template: str) -> list[str]:
    """The tokens that no text may name: special ones, and others that the chat template writes."""
    added = tokenizer.added_tokens_decoder.values()
    named = [t.content for t in added if t.special or (t.content in template and not t.content.isspace())]
    return [token for token in named if len(token) > 1]  # a single character cannot be broken


def pattern_of(tokens: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of the tokens, the longest where several start."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def ending_pattern(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """A pattern of texts that end with a special token, and with the white space that some take along."""
    added = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    every = pattern_of(token.content for token in added).pattern
    greedy = pattern_of(token.content for token in added if token.rstrip).pattern
    return re.compile(rf"(?:{every}|(?:{greedy})\s*)\Z")


def breaking(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """A copy of a fast tokenizer that tokenizes apart at ``BREAK``; its settings are its own."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    # Added tokens are found before this, and a normalizer that begins texts with a space adds none here.
    split = pre_tokenizers.Split(BREAK, "removed")
    own = copy.pre_tokenizer
    copy.pre_tokenizer = split if own is None else pre_tokenizers.Sequence([split, own])
    return copy
