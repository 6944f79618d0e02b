"""Generation: encoders, connectors, and a causal language model."""

from polymodal.models.language.language_configuration import PolymodalLanguageConfig
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration

__all__ = ["PolymodalForConditionalGeneration", "PolymodalLanguageConfig"]
