"""Text: any Transformers text encoder."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from polymodal.data.readers import Reader, TextReader
from polymodal.data.text_tokenizer import VOCABULARY
from polymodal.errors import ConfigError
from polymodal.models.encoders.augment.texts import drop_words, word_marks
from polymodal.models.encoders.backbone import SMALL_BERT, BackboneEncoder, known_sizes
from polymodal.models.encoders.base import ENCODERS, EncoderRequest, pool_sequence
from polymodal.models.outputs import TokenSequence
from polymodal.utils.hub import load_pretrained
from polymodal.utils.records import Settings


@ENCODERS.register("text")
class TextEncoder(BackboneEncoder):
    """Token ids to a vector per id: ``TextEncoder("bert", hidden_size=128)``, ``TextEncoder("owner/name")``.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small bidirectional Transformer (BERT).
        tokenizer: Of a backbone from scratch; without one, ``PolymodalProcessor.for_model(model, rows)``
            trains one on its rows, and without rows takes bytes as tokens.
        max_length: Most tokens that are read of a text.
        word_dropout: In training, chance of each word to be left out, though never all of a text; 0 leaves
            out nothing. The checkpoint's tokenizer, or ``tokenizer``, defines where words start.
    """

    marks: Tensor
    modality = "text"
    READS = ("input_ids",)
    DEFAULT_TYPE = "bert"
    DEFAULT_SIZES = SMALL_BERT | {"max_position_embeddings": 256}

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        max_length: int | None = None,
        word_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        kind = self.scratch_type(backbone)
        if tokenizer is not None:
            options |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        elif kind and "vocab_size" in known_sizes(kind):
            options = {"vocab_size": VOCABULARY, "pad_token_id": 0} | options
        if kind:
            options = self._positions(kind, max_length or 0) | options
        super().__init__(backbone, **options)
        self.tokenizer = tokenizer
        self.width: int = self.config.get_text_config().hidden_size
        longest = getattr(self.config.get_text_config(), "max_position_embeddings", None) or 512
        longest = longest if longest > 0 else sys.maxsize  # XLNet has -1: its positions are unlimited
        self.max_length = min(max_length or 128, longest)
        self.word_dropout = word_dropout
        if word_dropout:
            # Saved with the weights: a loaded encoder trains on, and has no tokenizer.
            self.register_buffer("marks", self._word_marks(isinstance(backbone, dict)))

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> TextEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, TextReader)
        tokenizer = None if request.pretrained else reader.part
        options = {**request.config.changes, **request.common}
        encoder = cls(request.backbone, tokenizer=tokenizer, max_length=reader.max_length, **options)
        encoder.tokenizer = reader.part
        return encoder

    @property
    def reader_settings(self) -> Settings:
        """See :class:`Encoder`."""
        return {"max_length": self.max_length}

    def _positions(self, kind: str, max_length: int) -> dict[str, int]:
        """The positions of a backbone from scratch: at least ``max_length``."""
        own = self.DEFAULT_SIZES if kind == self.DEFAULT_TYPE else known_sizes(kind)
        usual = own.get("max_position_embeddings")
        is_short = isinstance(usual, int) and 0 < usual < max_length
        return {"max_position_embeddings": max_length} if is_short else {}

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return super().settings() | {"max_length": self.max_length, "word_dropout": self.word_dropout}

    def forward(self, *, row: Tensor, input_ids: Tensor, attention_mask: Tensor) -> TokenSequence:
        """Encode ``input_ids`` ``(items, length)``; ``attention_mask``, as long, is 1 on content."""
        if self.varies and self.word_dropout:
            padding = getattr(self.config.get_text_config(), "pad_token_id", None) or 0
            input_ids, attention_mask = drop_words(
                input_ids, attention_mask, self.marks, self.word_dropout, padding
            )
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        tokens, mask = pool_sequence(hidden, attention_mask.bool(), self.tokens)
        return TokenSequence(tokens, mask, row, (tokens.shape[1],))

    def count(self, **values: Tensor) -> Tensor:
        """See :meth:`Encoder.count`; no need to run."""
        return values["attention_mask"].sum(dim=1).clamp(max=self.tokens)

    def _word_marks(self, is_loaded: bool) -> Tensor:
        """Per token id its marks of a word, uint8 ``(vocabulary,)``; zeros until weights are loaded.

        Raises:
            ConfigError: If there is no tokenizer to read the words from.
        """
        size = getattr(self.config.get_text_config(), "vocab_size", None)
        tokenizer = self.tokenizer
        if tokenizer is None and self.checkpoint and size:
            tokenizer = load_pretrained(AutoTokenizer, self.checkpoint)
        if size is None or (tokenizer is None and not is_loaded):
            fix = "Leave it out, or give a tokenizer" if size else "Leave it out"
            reason = f"a model of type '{self.config.model_type}' comes without words"
            raise ConfigError(f"'word_dropout' leaves out words, and {reason}. {fix}")
        return word_marks(tokenizer, size) if tokenizer else torch.zeros(size, dtype=torch.uint8)
