"""Base of the models: their inputs, loading and saving, and running an encoder on an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polymodal.data.readers import AudioReader, ImageReader, TextReader, VideoReader
from polymodal.models.configuration import PolymodalConfig
from polymodal.models.encoders import Encoder
from polymodal.models.encoders.backbone import fixed_weights, hold_fixed, own_memory
from polymodal.models.outputs import TokenSequence
from polymodal.models.processor_for_model import processor_for_model

PIECE = 2**18
"""Pixels times colours that go through an encoder at once on a CPU, in evaluation; one item at least."""
Inputs = Mapping[str, Mapping[str, Tensor]]
"""Each input's tensors by their names, in one of three forms:

- with ``row`` ``(items,)``, the row of each item: only existing items are encoded. An input without items may
  be omitted.
- with ``present`` ``(batch, slots)`` instead: every row has equally many items, blank ones where it is false.
  No shape then depends on the data, as ``torch.export`` and ``torch.compile`` require.
- with an empty ``row`` and one blank item: it is encoded without effect, so that every weight has a gradient.
"""


class PolymodalPreTrainedModel(PreTrainedModel):
    """Base of the models: loading, saving, and initialization by their own modules."""

    config_class = PolymodalConfig
    base_model_prefix = "model"
    main_input_name = "index"
    input_modalities = [kind.modality for kind in (TextReader, ImageReader, AudioReader, VideoReader)]
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a model, bit by bit as it was saved: :meth:`transformers.PreTrainedModel.from_pretrained`."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        own_memory(model)
        hold_fixed(model, model.fixed)
        return loaded

    def finish(self) -> None:
        """End of every constructor: keep the weights that exist, and let Transformers load the others."""
        for module in self.modules():
            tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
            if not any(tensor.is_meta for tensor in tensors):
                module._is_hf_initialized = True  # type: ignore[assignment]
        self.fixed = fixed_weights(self)
        self.post_init()

    def make_processor(self, rows: Sequence[Mapping[str, Any]] = ()) -> Any:
        """Build the processor for this model: see :meth:`PolymodalProcessor.for_model`."""
        return processor_for_model(self, rows)

    def named_heads(self) -> list[tuple[str, Any]]:
        """Targets and their heads, in declared order; none without heads."""
        return []

    def named_objectives(self) -> list[tuple[str, Any]]:
        """Objectives by name, in declared order."""
        return [(objective.name, objective) for objective in getattr(self, "objectives", ())]

    def _init_weights(self, module: nn.Module) -> None:
        """Initialize a weight that a checkpoint does not have as its module does."""
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()


def encode(encoder: Encoder, values: Mapping[str, Tensor]) -> TokenSequence:
    """Run an encoder on one input's tensors, or use its cached tokens.

    Args:
        encoder: The input's encoder.
        values: See :data:`Inputs`; or cached ``tokens`` ``(items, *grid, width)`` of a frozen encoder with
            their ``row``, and ``mask`` ``(items, length)`` where they are padded.

    Returns:
        The input's token sequence.
    """
    if "tokens" not in values:
        return encode_in_pieces(encoder, values)
    tokens = values["tokens"].flatten(1, -2)
    mask = values.get("mask", torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))
    return TokenSequence(tokens, mask, values["row"], tuple(values["tokens"].shape[1:-1]))


def encode_in_pieces(encoder: Encoder, values: Mapping[str, Tensor]) -> TokenSequence:
    """Run an encoder on one input's tensors; pictures and clips in small pieces, where that is faster.

    The activations of many pictures at once do not fit into a processor's cache: of 48 with 224 × 224 pixels
    EfficientNet takes 4.4 s at once and 1.7 s one by one (one thread).

    Args:
        encoder: The input's encoder.
        values: ``row`` ``(items,)``, and the tensors of the items.
    """
    row = values["row"]
    content = [value for name, value in values.items() if name != "row"]
    size = sum(value[0].numel() for value in content if len(value)) or 1
    step = max(1, PIECE // size)
    whole = torch.is_grad_enabled() or encoder.training or not encoder.even or row.device.type != "cpu"
    if whole or len(row) <= step or any(len(value) != len(row) for value in content):
        return encoder(**values)
    starts = range(0, len(row), step)
    pieces = [
        encoder(**{name: value[start : start + step] for name, value in values.items()}) for start in starts
    ]
    tokens, mask = (torch.cat([getattr(piece, part) for piece in pieces]) for part in ("tokens", "mask"))
    return TokenSequence(tokens, mask, row, pieces[0].grid)
