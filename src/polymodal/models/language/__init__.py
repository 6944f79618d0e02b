"""Any encoders, connectors, and any causal language model on top: rows in, words out."""

from polymodal.models.language.configuration import PolymodalLanguageConfig
from polymodal.models.language.modeling import PolymodalForConditionalGeneration

__all__ = ["PolymodalForConditionalGeneration", "PolymodalLanguageConfig"]
