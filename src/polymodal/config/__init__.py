"""The declaration of a run: inputs, targets and training; unknown keys are refused."""

from polymodal.config.base import MOST, Section
from polymodal.config.data import DataConfig
from polymodal.config.declaration import Declaration
from polymodal.config.encoders import ConnectorConfig, EncoderConfig, LoraSettings
from polymodal.config.generation import (
    DecodingConfig,
    GenerationConfig,
    LanguageModelConfig,
    StageConfig,
)
from polymodal.config.inputs import (
    MODALITIES,
    MOST_ITEMS,
    READ_MODALITIES,
    TUNING,
    InputConfig,
)
from polymodal.config.targets import TargetConfig
from polymodal.config.training import FusionConfig, ObjectiveConfig, ReportConfig, TrainConfig

__all__ = [
    "MODALITIES", "MOST", "MOST_ITEMS", "READ_MODALITIES", "TUNING", "ConnectorConfig", "DataConfig",
    "Declaration", "DecodingConfig", "EncoderConfig", "FusionConfig", "GenerationConfig", "InputConfig",
    "LanguageModelConfig", "LoraSettings", "ObjectiveConfig", "ReportConfig", "Section",
    "StageConfig", "TargetConfig", "TrainConfig",
]  # fmt: skip
