"""A tokenizer trained on the training split, for text encoders from scratch (the ``tokenizers`` library)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from polymodal.errors import RunError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 8192
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "mask_token": "[MASK]"}


MOST = 2**16
"""Characters of a text that the vocabulary is learned from."""
_RUN = re.compile(r"([^\W\d_]{256})[^\W\d_]+|(\d{256})\d+|(\s{256})\s+")
"""A run of letters, digits or blanks longer than any word: learning from it takes time in its square."""


def train_tokenizer(texts: Iterable[str], *, vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Byte-level BPE (Sennrich et al. 2016, on bytes): any text of any language can be written in it.

    Without texts the vocabulary is the 256 bytes. Letter case is dropped; Every text begins with ``[CLS]``.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(map(_trainable, texts), trainer)
    start = SPECIAL["cls_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, tokenizer.token_to_id(start))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **SPECIAL)


@contextmanager
def tokenizing() -> Iterator[None]:
    """Inside, a tokenizer of a stranger may fail at a text; its library then raises no class of its own.

    Raises:
        RunError: If it does.
    """
    try:
        yield
    except BaseException as error:  # a panic of Rust is no Exception
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"tokenizer.json: cannot be used on a text ({reason}). Fit again") from None


def _trainable(text: str) -> str:
    """As much of a text as the vocabulary is learned from."""
    return text if len(text) <= 256 else _RUN.sub(r"\1\2\3", text[:MOST])
