"""The models, registered with Transformers' Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoProcessor

from polymodal.data.processor import PolymodalProcessor
from polymodal.models.configuration import PolymodalConfig
from polymodal.models.encoders.plain_cnn import PlainCnnConfig, PlainCnnModel
from polymodal.models.language import PolymodalForConditionalGeneration, PolymodalLanguageConfig
from polymodal.models.modeling import PolymodalForPrediction, PolymodalForPreTraining, PolymodalModel

AutoConfig.register("polymodal", PolymodalConfig, exist_ok=True)
AutoModel.register(PolymodalConfig, PolymodalModel, exist_ok=True)
AutoProcessor.register(PolymodalConfig, PolymodalProcessor, exist_ok=True)
AutoConfig.register(PlainCnnConfig.model_type, PlainCnnConfig, exist_ok=True)
AutoModel.register(PlainCnnConfig, PlainCnnModel, exist_ok=True)
AutoConfig.register(PolymodalLanguageConfig.model_type, PolymodalLanguageConfig, exist_ok=True)
AutoModelForImageTextToText.register(
    PolymodalLanguageConfig, PolymodalForConditionalGeneration, exist_ok=True
)

__all__ = [
    "PolymodalConfig", "PolymodalForConditionalGeneration", "PolymodalForPreTraining",
    "PolymodalForPrediction", "PolymodalLanguageConfig", "PolymodalModel",
]  # fmt: skip
