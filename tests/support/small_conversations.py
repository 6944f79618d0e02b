"""Language models of a few thousand weights, and conversations of random tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

WORDS = 50
LIKE_LLAMA = {
    "vocab_size": WORDS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", LIKE_LLAMA),
    "qwen3": ("qwen3", LIKE_LLAMA | {"head_dim": 8}),
    "qwen3 sliding": (
        "qwen3",
        LIKE_LLAMA
        | {"head_dim": 8, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    ),
    "gpt2": ("gpt2", {"vocab_size": WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}),
    "opt": (
        "opt",
        {"vocab_size": WORDS, "hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48,
         "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Encoded:
    """See :class:`polymodal.training.language.conversation_collator.Row`."""

    ids: np.ndarray
    learned: np.ndarray


def language_model(kind: str, attention: str = "sdpa", seed: int = 0) -> PreTrainedModel:
    """One of :data:`KINDS`, without dropout, its weights large enough for each token to tell."""
    torch.manual_seed(seed)
    name, sizes = KINDS[kind]
    config = AutoConfig.for_model(name, **sizes)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.eval()


def conversations(*lengths: int, seed: int = 0) -> list[Encoded]:
    """Random tokens, two in three of them learned."""
    random = np.random.default_rng(seed)
    return [Encoded(random.integers(1, WORDS, n), random.random(n) < 0.67) for n in lengths]
