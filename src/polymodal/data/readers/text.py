"""Text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Content, Reader, as_list
from polymodal.data.text_tokenizer import tokenizing
from polymodal.data.values.column_values import as_label

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

    def __init__(self, part: PreTrainedTokenizerBase, *, max_length: int = 128) -> None:
        self.part, self.max_length = part, min(max_length, part.model_max_length)
        self.most_tokens: int | None = None

    @classmethod
    def split_items(cls, cell: Any) -> list[Any] | None:
        """See :class:`Reader`; a list that is written out is one text."""
        return as_list(cell)

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

    def length(self, text: str) -> int:
        """The tokens that ``text`` would have if nothing were cut."""
        return len(self._tokens(text, truncation=False, verbose=False))

    def _tokens(self, text: str, **options: Any) -> list[int]:
        with tokenizing():
            return self.part(text, **options).input_ids  # type: ignore[no-any-return]

    def blank(self) -> np.ndarray:
        """The empty text."""
        return self.read("", None)

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`."""
        return _text(cell).encode("utf-8", "surrogatepass")

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask``, both ``(items, longest)``."""
        return self._pad(items, max(max(map(len, items)), 1))

    def collate_dense(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """See :class:`Reader`."""
        return self._pad(items, self.max_length)

    def _pad(self, items: Sequence[np.ndarray], longest: int) -> dict[str, Tensor]:
        ids = np.full((len(items), longest), self.part.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros((len(items), longest), dtype=np.int64)
        for place, item in enumerate(items):
            ids[place, : len(item)], mask[place, : len(item)] = item, 1
        mask[:, 0] = 1  # a text without any token is still a text
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"max_length": self.max_length}


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else as_label(cell)
