"""Any encoders, connectors, and any causal language model on top: rows in, words out."""

from polymodal.models.language.language_configuration import PolymodalLanguageConfig
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration

__all__ = ["PolymodalForConditionalGeneration", "PolymodalLanguageConfig"]
