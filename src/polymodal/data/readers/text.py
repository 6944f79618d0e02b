"""Text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.cells import filled_items
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader, as_tensors
from polymodal.data.readers.content import Content
from polymodal.data.tables.lists import as_list
from polymodal.data.text_tokenizer import VOCABULARY, tokenizing, train_tokenizer
from polymodal.data.values.column_values import as_label
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from polymodal.data.readers.columns import TrainingColumns

USUAL_TOKENS = 128
UNLIMITED = 10**9
"""A tokenizer with a larger limit than this has none."""
TRIAL = "".join(map(chr, range(32, 592)))
"""Every byte and many letters: a tokenizer whose vocabulary is damaged fails on it."""
LONG = 4096
"""Characters of a text that are always tokenized as a whole; 64 a kept token come on top."""
MOST = 2**20
"""Characters behind which nothing of a text is read, however few tokens they are."""


@READERS.register("text")
class TextReader(Reader):
    """Text to token ids.

    Args:
        part: The tokenizer.
        max_length: Most tokens kept; the tokenizer's own limit holds too.

    Attributes:
        most_tokens: What ``max_length`` may be raised to; None where the encoder is made for any length.
    """

    modality = "text"
    holds = Content.TEXT
    may_share = holds_items = True
    noun = "text"
    required = ("max_length",)
    part_class = "AutoTokenizer"
    length_setting = "max_length"

    def __init__(self, part: PreTrainedTokenizerBase, *, max_length: int = 128) -> None:
        self.part, self.max_length = part, min(max_length, part.model_max_length)
        self.most_tokens: int | None = None

    @classmethod
    def split_items(cls, cell: Any) -> list[Any] | None:
        """See :class:`Reader`; a list that is written out is one text."""
        return as_list(cell)

    @classmethod
    def fit(cls, columns: TrainingColumns) -> TextReader:
        """See :class:`Reader`; without a checkpoint the vocabulary is learned from the cells."""
        if columns.checkpoint:
            part = cls.part_of_checkpoint(columns.checkpoint)
            most = min(part.model_max_length, _positions_of(columns.checkpoint))
        else:
            part = train_tokenizer(as_label(text) for text in columns.items())
            most = columns.sizes.get("max_position_embeddings")
        most = None if not most or not 0 < most < UNLIMITED else int(most)
        reader = cls(part, max_length=min(columns.config.max_length or USUAL_TOKENS, most or sys.maxsize))
        reader.most_tokens = most
        return reader

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> TextReader:
        """See :class:`Reader`; where there is no tokenizer, one is trained on the cells."""
        part = cls.part_of_checkpoint(getattr(encoder, "checkpoint", None))
        part = part or getattr(encoder, "tokenizer", None)
        if not part:
            # no larger than the encoder's vocabulary
            most = getattr(getattr(encoder, "config", None), "vocab_size", None) or VOCABULARY
            texts = (as_label(text) for cell in cells for _, text in filled_items(cell, cls.split_items))
            part = train_tokenizer(filter(None, texts), vocabulary=min(most, VOCABULARY))
        return cls(part, max_length=getattr(encoder, "max_length", 128))

    @classmethod
    def _try_part(cls, loader: Any, folder: Path) -> Any:
        part = super()._try_part(loader, folder)
        part(TRIAL)
        return part

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """Token ids ``(length,)``."""
        text = self._head(_text(cell))
        ids = self._tokens(text, truncation=True, max_length=self.max_length)
        return np.asarray(ids, dtype=np.int64)

    def _head(self, text: str) -> str:
        """As much of a very long text as its kept tokens come from: tokenizing megabytes takes minutes.

        A part of it is enough once it holds twice the tokens that are kept: what follows changes at most the
        last of its words.
        """
        length = LONG + 64 * self.max_length
        while len(text) > length < MOST:
            head = text[:length]
            if len(self._tokens(head, add_special_tokens=False, verbose=False)) > 2 * self.max_length:
                return head
            length *= 4
        return text[:MOST]

    def lengths(self, texts: list[str]) -> list[int]:
        """The tokens that each of ``texts`` would have if nothing were cut."""
        with tokenizing():
            return [len(ids) for ids in self.part(texts, truncation=False, verbose=False).input_ids]

    def _tokens(self, text: str, **options: Any) -> list[int]:
        with tokenizing():
            return self.part(text, **options).input_ids

    def describe_kept(self) -> str:
        """See :class:`Reader`."""
        return f"at most {self.max_length} tokens"

    def blank(self) -> np.ndarray:
        """The empty text."""
        return self.read("", None)

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`."""
        return _text(cell).encode("utf-8", "surrogatepass")

    def arrays(self, items: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """``input_ids`` and ``attention_mask``, both ``(items, longest)``."""
        return self._pad(items, max(max(map(len, items)), 1))

    def collate_dense(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """See :class:`Reader`."""
        return as_tensors(self._pad(items, self.max_length))

    def _pad(self, items: Sequence[np.ndarray], longest: int) -> dict[str, np.ndarray]:
        ids = np.full((len(items), longest), self.part.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros((len(items), longest), dtype=np.int64)
        for index, item in enumerate(items):
            ids[index, : len(item)], mask[index, : len(item)] = item, 1
        mask[:, 0] = 1  # a text without any token is still a text
        return {"input_ids": ids, "attention_mask": mask}

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        return {"max_length": self.max_length}


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else as_label(cell)


def _positions_of(checkpoint: str) -> int:
    """The most tokens that a pretrained encoder has positions for."""
    from transformers import AutoConfig

    from polymodal.utils.hub import load_pretrained

    known = load_pretrained(AutoConfig, checkpoint).get_text_config()
    return getattr(known, "max_position_embeddings", None) or sys.maxsize
