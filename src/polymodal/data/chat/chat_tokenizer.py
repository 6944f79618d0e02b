"""The tokenizer of a language model: training on the data, placeholders, special tokens, and checks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from polymodal.data.chat.chat_templates import CHATML, TURN_END, TURN_START, set_chat_template
from polymodal.errors import ConfigError, one_line

VOCABULARY = 8192
PAD = "<|pad|>"
LONGEST_NAME = 100


def train_language_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Train byte-level BPE (Sennrich et al. 2016, on bytes as in GPT-2) with ChatML's tokens and template.

    Without normalization, so that texts are restored exactly. Without texts the vocabulary is the 256 bytes.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PAD, TURN_START, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=TURN_END, clean_up_tokenization_spaces=False
    )
    made.chat_template = CHATML
    return made


def placeholders_of(name: str) -> tuple[str, str]:
    """The placeholder of an input's items, and the token of a missing item."""
    return f"<|{name}|>", f"<|no {name}|>"


def add_placeholders(tokenizer: PreTrainedTokenizerBase, inputs: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Add two special tokens per input, if they are missing.

    Returns:
        By input the ids of its placeholder and of the token of a missing item.

    Raises:
        ConfigError: If a name makes no valid token, or one that has another meaning.
    """
    names = list(inputs)
    taken = dict.fromkeys(_meant(tokenizer), "a token of the language model's own")
    for name in names:
        if not _is_well_formed(name):
            rule = f"at most {LONGEST_NAME} printable characters, no '<|' or '|>', no space at its ends"
            shown = one_line(name, LONGEST_NAME)
            raise ConfigError(
                f"inputs: '{shown}' makes no token of its own, expected {rule}. Rename the column"
            )
        for token in placeholders_of(name):
            if token in taken or token in (tokenizer.chat_template or ""):
                owner = taken.get(token, "a token of the chat template")
                raise ConfigError(f"inputs: '{name}' would be read as {token}, {owner}. Rename the column")
            taken[token] = f"which belongs to the input '{name}'"
    tokens = [token for name in names for token in placeholders_of(name)]
    added = [AddedToken(token, special=True, normalized=False) for token in tokens]
    tokenizer.add_tokens(added, special_tokens=True)
    ids: dict[str, int] = {token: tokenizer.convert_tokens_to_ids(token) for token in tokens}  # type: ignore[misc]
    return {name: (ids[there], ids[missing]) for name in names for there, missing in [placeholders_of(name)]}


def _is_well_formed(name: str) -> bool:
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        return False
    # The name must not form a mark with the marks around it: "|" would give <|||>, which "||>" ends.
    return not any(mark in f"|{name}|" for mark in ("<|", "|>", "||"))


def _meant(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Tokens with a meaning for the language model: beginning, end, padding and the like."""
    return [str(token) for token in tokenizer.special_tokens_map.values() if isinstance(token, str)]


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, chat_template: str | None, where: str) -> list[str]:
    """Prepare a language model's tokenizer for conversations.

    Args:
        tokenizer: Gets the chat template, and a padding token if it has none.
        chat_template: ``chatml``, ``plain`` or a file; None for the tokenizer's own.
        where: The language model in messages.

    Returns:
        Notes on the changes.

    Raises:
        ConfigError: If it is a slow one, or has no chat template or no token that ends a text.
    """
    if not getattr(tokenizer, "is_fast", False):
        fix = "Save it as a fast one (tokenizer.json), or take another language model"
        raise ConfigError(f"{where}: the tokenizer {type(tokenizer).__name__} is no fast tokenizer. {fix}")
    if chat_template is not None:
        set_chat_template(tokenizer, chat_template)
    try:
        tokenizer.get_chat_template()
    except ValueError:
        fix = "Set generation.chat_template: chatml, plain or a file"
        raise ConfigError(f"{where}: the tokenizer has no chat template. {fix}") from None
    if tokenizer.eos_token_id is None:
        fix = "Set eos_token in its tokenizer_config.json, or generation.chat_template: chatml"
        raise ConfigError(f"{where}: the tokenizer has no token that ends a text (eos_token). {fix}")
    if tokenizer.pad_token_id is not None:
        return []
    tokenizer.pad_token = tokenizer.eos_token
    return [f"{where}: the tokenizer has no token for padding; rows are padded with {tokenizer.eos_token}"]


BREAK = "\ufdd0\ufdd1"
"""A border of separate tokenization, which is removed.

Two characters that Unicode reserves for internal use, which no text has.
"""


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The tokens that are not text; the unknown token is text."""
    added = tokenizer.added_tokens_decoder.values()
    return [token.content for token in added if token.special and token.content != tokenizer.unk_token]


def control_tokens(tokenizer: PreTrainedTokenizerBase, template: str) -> list[str]:
    """The tokens that no text may contain: special ones, and others of the chat template."""
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
    """A copy of a fast tokenizer that tokenizes separately at ``BREAK``, with its own settings."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    # Added tokens are found before this, and a normalizer that begins texts with a space adds none here.
    split = pre_tokenizers.Split(BREAK, "removed")
    own = copy.pre_tokenizer
    copy.pre_tokenizer = split if own is None else pre_tokenizers.Sequence([split, own])
    return copy
