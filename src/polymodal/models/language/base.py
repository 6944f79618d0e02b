"""The causal language model: from a checkpoint, with a merged adapter, or from scratch by type and sizes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from polymodal.config import LanguageModelConfig
from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.encoders.backbone import (
    fixed_weights,
    from_scratch,
    hold_fixed,
    known_sizes,
    own_memory,
)
from polymodal.utils.expansion import expanded
from polymodal.utils.hub import REFUSED, load_pretrained
from polymodal.utils.progress import quiet_libraries

DEFAULT_TYPE = "qwen3"
SMALL: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
"""A language model that can be trained on a CPU, in place of Qwen3-0.6B."""
OF_THE_TOKENIZER = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")
"""Sizes of a model from scratch that its tokenizer defines."""


def build_language_model(
    config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase, vocabulary: int | None
) -> PreTrainedModel:
    """The language model of a declaration.

    Args:
        config: Its section of the declaration.
        tokenizer: Its tokenizer, with placeholders.
        vocabulary: Size of the tokenizer's vocabulary without placeholders, which the checkpoint must cover;
            None where the tokenizer is that of an earlier fit, which checked it and added tokens.

    Raises:
        ConfigError: If the checkpoint or adapter cannot be loaded or do not fit, a size is unknown, or the
            model is not causal.
    """
    if not config.checkpoint:
        return _fresh(config, tokenizer)
    model = _read(config, config.checkpoint)
    rows: Any = model.get_input_embeddings().num_embeddings
    if vocabulary is not None and vocabulary > rows:
        reason = f"the language model '{config.checkpoint}' knows {rows} tokens, its tokenizer {vocabulary}"
        raise ConfigError(f"{reason}: they are of different models. Give the folder of both")
    if config.adapter:
        model = with_adapter(model, config.adapter, config.checkpoint)
    if len(tokenizer) > rows:
        with quiet_libraries():
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    own_memory(model)
    return model


def _read(config: LanguageModelConfig, name: str) -> PreTrainedModel:
    """Load a checkpoint, which must hold all weights."""
    for size in config.sizes:
        raise ConfigError(f"{name} is a checkpoint: it has its own sizes, '{size}' cannot be set")
    model, result = load_pretrained(
        AutoModelForCausalLM, name, output_loading_info=True, **_attention(config)
    )
    for key in sorted(result["missing_keys"]):
        raise ConfigError(f"the checkpoint '{name}' is of no language model: it lacks the weights {key}")
    return require_causal(model.float(), f"the checkpoint '{name}'")


def _fresh(config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    kind = config.type or DEFAULT_TYPE
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        fix = did_you_mean(kind, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
        raise ConfigError(f"there is no causal language model of the type '{kind}'. {fix}")
    for name in OF_THE_TOKENIZER:
        if name in config.sizes:
            fix = "Leave it out; generation.vocabulary sets the number of tokens"
            raise ConfigError(f"'{name}' of a language model from scratch is its tokenizer's. {fix}")
    sizes = (SMALL if kind == DEFAULT_TYPE else {}) | config.sizes
    sizes = _first_weights(kind, sizes) | sizes
    own = {name: getattr(tokenizer, name) for name in OF_THE_TOKENIZER[1:]} | {"vocab_size": len(tokenizer)}
    model = from_scratch(kind, sizes, AutoModelForCausalLM, own | dict(_attention(config)))
    return require_causal(model, f"the model type '{kind}'")


def _first_weights(kind: str, sizes: Mapping[str, Any]) -> dict[str, float]:
    """Standard deviation of initial weights: by default ``1 / √width`` (LeCun et al. 1998, section 4.6).

    Transformers' 0.02 suits models of width 2,500; in narrow ones the signal would vanish.
    """
    known = known_sizes(kind)
    width = next(
        (sizes.get(name, known.get(name)) for name in ("hidden_size", "n_embd") if name in known), None
    )
    if "initializer_range" not in known or not isinstance(width, int):
        return {}
    return {"initializer_range": width**-0.5}


def _attention(config: LanguageModelConfig) -> Mapping[str, Any]:
    return {"attn_implementation": config.attention} if config.attention else {}


@torch.no_grad()
def require_causal(model: PreTrainedModel, name: str) -> PreTrainedModel:
    """Check that a model is causal, so that it cannot copy the next token; returns ``model``.

    Raises:
        ConfigError: If tokens attend to later ones, such as in BERT.
    """
    learns = model.training
    ids = torch.tensor([[0, 0], [0, 1]])
    logits = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, 0]
    if not torch.allclose(logits[0], logits[1], atol=1e-5):
        raise ConfigError(f"{name} reads what comes after a word too. Take a causal one, such as qwen3")
    return model.train(learns)


def with_adapter(model: PreTrainedModel, folder: str, checkpoint: str) -> PreTrainedModel:
    """Merge a PEFT adapter into the weights of ``model``.

    Raises:
        ConfigError: If the folder holds no adapter, or one that does not fit the model.
    """
    from peft import PeftModel

    folder = expanded(folder)
    adapter, fixed = _adapter_config(folder), fixed_weights(model)
    base = adapter.base_model_name_or_path
    other = f"adapter '{folder}' is not of '{checkpoint}'"
    other += f", but of '{base}'" if base and base != checkpoint else ""
    try:
        wrapped = PeftModel(model, adapter)
        result: Any = wrapped.load_adapter(folder, "default", is_trainable=False)
    except REFUSED as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{other} ({reason})") from None
    own = (wrapped.base_model.prefix, "modules_to_save")
    lacking = [key for key in result.missing_keys if any(mark in key for mark in own)]
    for key in [*lacking, *result.unexpected_keys]:
        raise ConfigError(f"{other}: {key} is in one of them only")
    merged = wrapped.merge_and_unload()
    merged.requires_grad_(True)  # PEFT freezes the weights beside an adapter
    hold_fixed(merged, fixed)
    # An adapter may bring its own last layer, which is then not tied to the first, and has to be saved.
    merged.all_tied_weights_keys = merged.get_expanded_tied_weights_keys(all_submodels=True)
    return merged


def _adapter_config(folder: str) -> Any:
    """The PEFT configuration of an adapter.

    Raises:
        ConfigError: If there is none in the folder, or one that cannot be merged.
    """
    from peft import PeftConfig

    files = os.listdir(folder) if os.path.isdir(folder) else []
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not any(file.startswith(name.removesuffix("safetensors")) for file in files):
            raise ConfigError(f"adapter '{folder}': there is no {name}, expected a folder of PEFT's")
    try:
        config: Any = PeftConfig.from_pretrained(folder)
    except REFUSED as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"adapter '{folder}': its adapter_config.json cannot be read ({reason})") from None
    if config.is_prompt_learning or config.is_adaption_prompt:
        kind = str(config.peft_type.value)
        raise ConfigError(
            f"adapter '{folder}' is of the kind {kind}, which goes beside no weights. Give LoRA"
        )
    return config
