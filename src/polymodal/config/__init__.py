"""The declaration of a run: inputs, targets and training; unknown keys are refused."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from polymodal.config.basics import MODALITIES, MOST, MOST_ITEMS, READ_MODALITIES

if TYPE_CHECKING:
    from polymodal.config.base import Section
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
_HOMES = {
    "base": ("Section",),
    "data": ("DataConfig",),
    "declaration": ("Declaration",),
    "encoders": ("ConnectorConfig", "EncoderConfig", "LoraSettings"),
    "generation": ("DecodingConfig", "GenerationConfig", "LanguageModelConfig", "StageConfig"),
    "inputs": ("TUNING", "InputConfig"),
    "targets": ("TargetConfig",),
    "training": ("FusionConfig", "ObjectiveConfig", "ReportConfig", "TrainConfig"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a section on first access: reading rows needs none of them, and pydantic takes its time."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'polymodal.config' has no attribute '{name}'")
    return getattr(importlib.import_module(f"polymodal.config.{_HOME_OF[name]}"), name)
