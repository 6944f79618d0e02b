"""The language model itself: from a checkpoint, an adapter folded in, or from scratch by type and sizes."""

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
from polymodal.utils.hub import REFUSED, expanded, load_pretrained
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
"""A language model that learns on a CPU, in place of Qwen3-0.6B."""
OF_THE_TOKENIZER = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")
"""What a model from scratch takes from its tokenizer."""


def build_language_model(
    config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> PreTrainedModel:
    """The language model of a declaration.

    Args:
        config: Which.
        tokenizer: Its own, with the placeholders that were added to it.
        vocabulary: Its tokens before these were added.

    Raises:
        ConfigError: If the checkpoint or adapter cannot be had or do not fit, a size is unknown, or the
            model is no causal one.
    """
    if not config.checkpoint:
        return _fresh(config, tokenizer)
    model = _read(config, config.checkpoint)
    rows: Any = model.get_input_embeddings().num_embeddings
    if vocabulary > rows:
        found = f"the language model '{config.checkpoint}' knows {rows} tokens, its tokenizer {vocabulary}"
        raise ConfigError(f"{found}: they are of different models. Give the folder of both")
    if config.adapter:
        model = with_adapter(model, config.adapter, config.checkpoint)
    if len(tokenizer) > rows:
        with quiet_libraries():
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    own_memory(model)
    return model


def _read(config: LanguageModelConfig, name: str) -> PreTrainedModel:
    """The model of a checkpoint, all of whose weights are there."""
    for size in config.sizes:
        raise ConfigError(f"{name} is a checkpoint: it has its own sizes, '{size}' cannot be set")
    model, found = load_pretrained(AutoModelForCausalLM, name, output_loading_info=True, **_attention(config))
    for key in sorted(found["missing_keys"]):
        raise ConfigError(f"the checkpoint '{name}' is of no language model: it lacks the weights {key}")
    return require_causal(model.float(), f"the checkpoint '{name}'")


def _fresh(config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    kind = config.type or DEFAULT_TYPE
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        cure = did_you_mean(kind, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
        raise ConfigError(f"there is no causal language model of the type '{kind}'. {cure}")
    for name in OF_THE_TOKENIZER:
        if name in config.sizes:
            cure = "Leave it out; generation.vocabulary says how many tokens there may be"
            raise ConfigError(f"'{name}' of a language model from scratch is its tokenizer's. {cure}")
    sizes = (SMALL if kind == DEFAULT_TYPE else {}) | config.sizes
    sizes = _first_weights(kind, sizes) | sizes
    own = {name: getattr(tokenizer, name) for name in OF_THE_TOKENIZER[1:]} | {"vocab_size": len(tokenizer)}
    model = from_scratch(kind, sizes, AutoModelForCausalLM, own | dict(_attention(config)))
    return require_causal(model, f"the model type '{kind}'")


def _first_weights(kind: str, sizes: Mapping[str, Any]) -> dict[str, float]:
    """How large weights begin: ``1 / √width`` (LeCun et al. 1998, section 4.6), where nothing else is said.

    Transformers' 0.02 is that of models some 2,500 wide; in narrow ones signals would die away.
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
    """``model``, if no token sees those that come after it; else it would learn to copy them.

    Raises:
        ConfigError: If one does, as in BERT, which Transformers takes for a language model too.
    """
    learns = model.training
    ids = torch.tensor([[0, 0], [0, 1]])
    logits = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, 0]
    if not torch.allclose(logits[0], logits[1], atol=1e-5):
        raise ConfigError(f"{name} reads what comes after a word too. Take a causal one, such as qwen3")
    return model.train(learns)


def with_adapter(model: PreTrainedModel, folder: str, checkpoint: str) -> PreTrainedModel:
    """``model`` with a PEFT adapter folded into its weights.

    Raises:
        ConfigError: If the folder holds no adapter, or one of another model, or one that is beside no weight.
    """
    from peft import PeftModel

    folder = expanded(folder)
    adapter, fixed = _adapter_config(folder), fixed_weights(model)
    base = adapter.base_model_name_or_path
    other = f"adapter '{folder}' is not of '{checkpoint}'"
    other += f", but of '{base}'" if base and base != checkpoint else ""
    try:
        wrapped = PeftModel(model, adapter)
        found: Any = wrapped.load_adapter(folder, "default", is_trainable=False)
    except REFUSED as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{other} ({reason})") from None
    own = (wrapped.base_model.prefix, "modules_to_save")
    lacking = [key for key in found.missing_keys if any(mark in key for mark in own)]
    for key in [*lacking, *found.unexpected_keys]:
        raise ConfigError(f"{other}: {key} stands in one of them alone")
    merged = wrapped.merge_and_unload()
    merged.requires_grad_(True)  # PEFT fixes all that an adapter goes beside
    hold_fixed(merged, fixed)
    # An adapter may bring a last layer of its own, which is then tied to the first no more, and to be saved.
    merged.all_tied_weights_keys = merged.get_expanded_tied_weights_keys(all_submodels=True)
    return merged


def _adapter_config(folder: str) -> Any:
    """What PEFT says of an adapter.

    Raises:
        ConfigError: If there is none in the folder, or one that cannot be folded into weights.
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
