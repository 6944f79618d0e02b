"""Text: any Transformers text encoder."""

from __future__ import annotations

import os
import sys
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from polymodal.data.tokenizer import VOCABULARY
from polymodal.models.encoders.backbone import SMALL_BERT, BackboneEncoder, is_checkpoint, known_sizes
from polymodal.models.encoders.base import ENCODERS, pool_sequence
from polymodal.models.outputs import TokenSequence


@ENCODERS.register("text")
class TextEncoder(BackboneEncoder):
    """Token ids to a vector each: ``TextEncoder("bert", hidden_size=128)``, ``TextEncoder("owner/name")``.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small bidirectional Transformer (BERT).
        tokenizer: Of a backbone from scratch; without one, ``PolymodalProcessor.for_model(model, rows)``
            trains one on its rows, and without rows takes bytes as tokens.
        max_length: Most tokens that are read of a text.
    """

    modality = "text"
    DEFAULT_TYPE = "bert"
    DEFAULT_SIZES = SMALL_BERT | {"max_position_embeddings": 256}

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> None:
        kind = backbone or self.DEFAULT_TYPE
        if tokenizer is not None:
            options |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        elif isinstance(kind, str) and not is_checkpoint(kind) and "vocab_size" in known_sizes(kind):
            options = {"vocab_size": VOCABULARY, "pad_token_id": 0} | options
        super().__init__(backbone, **options)
        self.tokenizer = tokenizer
        self.width: int = self.config.get_text_config().hidden_size
        longest = getattr(self.config.get_text_config(), "max_position_embeddings", None) or 512
        longest = longest if longest > 0 else sys.maxsize  # XLNet says -1: its positions have no end
        self.max_length = min(max_length or 128, longest)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return super().settings() | {"max_length": self.max_length}

    def forward(  # type: ignore[override]
        self, *, row: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> TokenSequence:
        """Encode ``input_ids`` ``(items, length)``; ``attention_mask``, as long, is 1 on content."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        tokens, mask = pool_sequence(hidden, attention_mask.bool(), self.tokens)
        return TokenSequence(tokens, mask, row, (tokens.shape[1],))
