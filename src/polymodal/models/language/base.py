"""The language model itself: from a checkpoint, an adapter folded in, or from scratch by type and sizes."""

from __future__ import annotations

import os
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from polymodal.config import LanguageModelConfig
from polymodal.errors import ConfigError
from polymodal.hub import REFUSED, load_pretrained
from polymodal.models.encoders.backbone import from_scratch, own_memory
from polymodal.training.progress import quiet_libraries

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


def build_language_model(
    config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase, vocabulary: int
) -> PreTrainedModel:
    """The language model of a declaration.

    Args:
        config: Which.
        tokenizer: Its own, with the placeholders that were added to it.
        vocabulary: Its tokens before these were added.

    Raises:
        ConfigError: If the checkpoint or adapter cannot be had or do not fit, or a size is unknown.
    """
    if not config.checkpoint:
        return _fresh(config, tokenizer)
    model = load_pretrained(AutoModelForCausalLM, config.checkpoint, **_attention(config)).float()
    rows = model.get_input_embeddings().num_embeddings
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


def _fresh(config: LanguageModelConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    kind = config.type or DEFAULT_TYPE
    sizes = (SMALL if kind == DEFAULT_TYPE else {}) | config.sizes
    own = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    own |= {"pad_token_id": tokenizer.pad_token_id}
    return from_scratch(kind, sizes, AutoModelForCausalLM, {"vocab_size": len(tokenizer)} | own)


def _attention(config: LanguageModelConfig) -> dict[str, Any]:
    return {"attn_implementation": config.attention} if config.attention else {}


def with_adapter(model: PreTrainedModel, folder: str, checkpoint: str) -> PreTrainedModel:
    """``model`` with a PEFT adapter folded into its weights.

    Raises:
        ConfigError: If the folder holds no adapter, or one of another model.
    """
    from peft import PeftConfig, PeftModel

    folder = os.path.expandvars(os.path.expanduser(folder))
    if not os.path.isfile(os.path.join(folder, "adapter_config.json")):
        raise ConfigError(f"adapter '{folder}': there is no adapter_config.json, expected a folder of PEFT's")
    other = f"adapter '{folder}' is not of '{checkpoint}'"
    try:
        adapter = PeftConfig.from_pretrained(folder)
        wrapped = PeftModel(model, adapter)
        found: Any = wrapped.load_adapter(folder, "default", is_trainable=False)
    except REFUSED as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{other}, but of '{_base(folder)}' ({reason})") from None
    lacking = [key for key in found.missing_keys if "lora_" in key or "modules_to_save" in key]
    if lacking or found.unexpected_keys:
        key = (lacking or list(found.unexpected_keys))[0]
        raise ConfigError(f"{other}, but of '{_base(folder)}': {key} stands in one of them alone")
    return wrapped.merge_and_unload()


def _base(folder: str) -> str:
    from peft import PeftConfig

    return str(PeftConfig.from_pretrained(folder).base_model_name_or_path)
