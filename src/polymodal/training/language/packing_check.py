"""Whether a language model keeps packed conversations apart: tried, since nothing in it says so."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from polymodal.errors import ConfigError

FIRST, SECOND = (1, 2, 3, 4, 5), (5, 3, 1, 4)
"""Tokens of two conversations to try it with; any will do."""
NOISE = 0.01
"""Rounding, as a share of what leaking changes; it is a millionth, in half precision a few thousandths."""


def check_packing(model: PreTrainedModel) -> None:
    """Refuse a language model in which conversations of a pack see each other.

    Raises:
        ConfigError: If it is one.
    """
    if not keeps_apart(model):
        found = (
            f"'generation.pack': the language model is '{model.config.model_type}', in which conversations"
        )
        raise ConfigError(f"{found} in one row see each other. Leave 'pack' out, or take another model")


@torch.no_grad()
def keeps_apart(model: PreTrainedModel) -> bool:
    """Whether a conversation that is packed behind another is answered as it is alone.

    What differs is held against what would differ if both were one conversation.
    """
    was_training = model.training
    model.eval()
    try:
        places = [*range(len(FIRST)), *range(len(SECOND))]
        alone = _logits(model, SECOND, range(len(SECOND)))
        behind = _logits(model, FIRST + SECOND, places)[len(FIRST) :]
        joined = _logits(model, FIRST + SECOND, range(len(places)))[len(FIRST) :]
    finally:
        model.train(was_training)
    return bool((behind - alone).abs().max() <= NOISE * (joined - alone).abs().max())


def _logits(model: PreTrainedModel, tokens: tuple[int, ...], places: range | list[int]) -> Tensor:
    """``(tokens, vocabulary)``"""
    ids, positions = (torch.tensor([list(values)], device=model.device) for values in (tokens, places))
    return model(input_ids=ids, position_ids=positions, use_cache=False).logits[0].float()
