"""Build a generation model from a declaration and its processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig

from polymodal.config import ConnectorConfig, Declaration, LanguageModelConfig
from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.models.build import build_encoders
from polymodal.models.encoders.backbone import known_sizes
from polymodal.models.language.base import DEFAULT_TYPE, SMALL, build_language_model
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.utils.hub import load_pretrained


def build_generation_model(
    declaration: Declaration,
    processor: ConversationProcessor,
    vocabulary: int | None,
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> PolymodalForConditionalGeneration:
    """Build the untrained model of a declaration.

    Args:
        declaration: The complete declaration.
        processor: Its processor.
        vocabulary: See :func:`polymodal.models.language.base.build_language_model`.
        known: By input the settings of an encoder of a run, which is built again.

    Raises:
        ConfigError: If an encoder, a connector or the language model cannot be built.
    """
    assert declaration.generation is not None
    encoders = build_encoders(declaration, processor, known)
    named = declaration.generation.language_model
    connectors = {}
    for name, entry in declaration.inputs.items():
        chosen = entry.connector or ConnectorConfig()
        connectors[name] = {"type": chosen.type, **chosen.options}
    model = PolymodalForConditionalGeneration.from_parts(
        encoders, build_language_model(named, processor.tokenizer, vocabulary), processor.placeholders,
        connectors, pretrained=bool(named.checkpoint),
    )  # fmt: skip
    unsaid = sorted(token for pair in processor.placeholders.values() for token in pair)
    settings: Any = model.generation_config
    settings.eos_token_id = list(dict.fromkeys(processor.renderer.ends))
    settings.pad_token_id = processor.tokenizer.pad_token_id
    settings.suppress_tokens = unsaid or None
    processor.count = model.count_tokens
    return model


def context_of(config: LanguageModelConfig) -> int | None:
    """Context length of the language model, if it is known."""
    if config.checkpoint:
        text: Any = load_pretrained(AutoConfig, config.checkpoint).get_text_config()
        return getattr(text, "max_position_embeddings", None)
    kind = config.type or DEFAULT_TYPE
    sizes = (SMALL if kind == DEFAULT_TYPE else {}) | config.sizes
    known = known_sizes(kind)
    return next(
        (sizes.get(name, known.get(name)) for name in ("max_position_embeddings", "n_positions")
         if sizes.get(name, known.get(name))), None,
    )  # fmt: skip
