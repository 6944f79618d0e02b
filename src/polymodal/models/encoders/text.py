"""Text: any Transformers text encoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from polymodal.models.encoders.backbone import BackboneEncoder
from polymodal.models.encoders.base import ENCODERS, pool_sequence
from polymodal.models.outputs import TokenSequence


@ENCODERS.register("text")
class TextEncoder(BackboneEncoder):
    """Token ids to one vector a token: ``TextEncoder("bert", hidden_size=128)``, ``TextEncoder("owner/name")``.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small bidirectional Transformer (BERT).
        tokenizer: Of a backbone from scratch; without one, the processor takes bytes as tokens.
        max_length: Most tokens that are read of a text.
    """

    modality = "text"
    DEFAULT_TYPE = "bert"
    DEFAULT_SIZES = {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 256,
    }

    def __init__(
        self,
        backbone: str | dict[str, Any] | None = None,
        *,
        tokenizer: PreTrainedTokenizerBase | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> None:
        if tokenizer is not None:
            options |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        super().__init__(backbone, **options)
        self.tokenizer = tokenizer
        self.width: int = self.config.get_text_config().hidden_size
        longest = getattr(self.config.get_text_config(), "max_position_embeddings", None) or 512
        self.max_length = min(max_length or 128, longest)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return super().settings() | {"max_length": self.max_length}

    def forward(self, *, row: Tensor, input_ids: Tensor, attention_mask: Tensor) -> TokenSequence:  # type: ignore[override]
        """Encode ``input_ids`` ``(items, length)``; ``attention_mask`` ``(items, length)`` is 1 on content."""
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        tokens, mask = pool_sequence(hidden, attention_mask.bool(), self.tokens)
        return TokenSequence(tokens, mask, row, (tokens.shape[1],))
