"""The tokenizer of a language model: trained on the data, given placeholders, checked before it is used."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from polymodal.data.chat.chat_templates import CHATML, TURN_END, TURN_START, set_chat_template
from polymodal.errors import ConfigError, one_line

VOCABULARY = 8192
PAD = "<|pad|>"
LONGEST_NAME = 100


def train_language_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Byte-level BPE (Sennrich et al. 2016, on bytes as GPT-2 has them) with ChatML's tokens and template.

    Nothing is normalized: every text comes back as it was. Without texts the vocabulary is the 256 bytes.
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
    """The token that stands where an item of an input goes, and the one for an item that is missing."""
    return f"<|{name}|>", f"<|no {name}|>"


def add_placeholders(tokenizer: PreTrainedTokenizerBase, inputs: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Add two special tokens an input, as far as they are not there yet.

    Returns:
        By input: the id of its placeholder, and the id of the token for an item that is missing.

    Raises:
        ConfigError: If a name makes no token, or one that has another meaning.
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
            taken[token] = f"which stands for the input '{name}'"
    tokens = [token for name in names for token in placeholders_of(name)]
    added = [AddedToken(token, special=True, normalized=False) for token in tokens]
    tokenizer.add_tokens(added, special_tokens=True)
    ids: dict[str, int] = {token: tokenizer.convert_tokens_to_ids(token) for token in tokens}  # type: ignore[misc]
    return {name: (ids[there], ids[missing]) for name in names for there, missing in [placeholders_of(name)]}


def _is_well_formed(name: str) -> bool:
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or name != name.strip():
        return False
    # What stands between the marks must not make a mark with them: "|" would give <|||>, which "||>" ends.
    return not any(mark in f"|{name}|" for mark in ("<|", "|>", "||"))


def _meant(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The tokens that have a meaning to the language model: beginning, end, padding and the like."""
    return [str(token) for token in tokenizer.special_tokens_map.values() if isinstance(token, str)]


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, chat_template: str | None, where: str) -> list[str]:
    """Make a language model's tokenizer ready for conversations, or say what it lacks.

    Args:
        tokenizer: Gets ``chat_template``, and a token for padding where it has none.
        chat_template: ``chatml``, ``plain`` or a file; None for the tokenizer's own.
        where: What the user calls the language model.

    Returns:
        Lines that tell what was done.

    Raises:
        ConfigError: If it is a slow one, or has no chat template or no token that ends a text.
    """
    if not getattr(tokenizer, "is_fast", False):
        cure = "Save it as a fast one (tokenizer.json), or take another language model"
        raise ConfigError(f"{where}: the tokenizer {type(tokenizer).__name__} is no fast tokenizer. {cure}")
    if chat_template is not None:
        set_chat_template(tokenizer, chat_template)
    try:
        tokenizer.get_chat_template()
    except ValueError:
        cure = "Set generation.chat_template: chatml, plain or a file"
        raise ConfigError(f"{where}: the tokenizer has no chat template. {cure}") from None
    if tokenizer.eos_token_id is None:
        cure = "Set eos_token in its tokenizer_config.json, or generation.chat_template: chatml"
        raise ConfigError(f"{where}: the tokenizer has no token that ends a text (eos_token). {cure}")
    if tokenizer.pad_token_id is not None:
        return []
    tokenizer.pad_token = tokenizer.eos_token
    return [f"{where}: the tokenizer has no token for padding; rows are padded with {tokenizer.eos_token}"]
