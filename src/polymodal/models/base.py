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
        return encoder(**values)
    tokens = values["tokens"].flatten(1, -2)
    mask = values.get("mask", torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))
    return TokenSequence(tokens, mask, values["row"], tuple(values["tokens"].shape[1:-1]))
