"""Polymodal: models that read text, images, audio, video and tables together. Importing it loads no torch."""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# Read once, when torch is loaded: threads that wait sleep, so that a busy neighbour does not stall them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read once, at the first convolution: with AMX, bf16 convolutions of torch are wrong, silently, where the
# result is one pixel wide and the stride is above 1 (pytorch/pytorch issue 169688).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

_HOMES = {
    "polymodal.api": ("check", "compare", "export", "fit", "init", "load", "pretrain"),
    "polymodal.pipelines.fusion_comparison": ("fit_fusions",),
    "polymodal.pipelines.cross_validation": ("fit_folds",),
    "polymodal.run": ("Run",),
    "polymodal.generation.language_run": ("LanguageRun",),
    "polymodal.models.connectors": ("Connector", "CONNECTORS"),
    "polymodal.search.index": ("Index",),
    "polymodal.pipelines.multi_fit": ("Fits",),
    "polymodal.pipelines.hyperparameter_search": ("fit_searched",),
    "polymodal.data.processor": ("PolymodalProcessor",),
    "polymodal.data.readers": ("Content", "Reader", "READERS"),
    "polymodal.data.media.cells": ("MediaError",),
    "polymodal.models": (
        "PolymodalConfig", "PolymodalForConditionalGeneration", "PolymodalForPreTraining",
        "PolymodalForPrediction", "PolymodalModel",
    ),
    "polymodal.models.encoders": (
        "AudioEncoder", "CategoryEncoder", "Encoder", "ImageEncoder", "NumberEncoder",
        "SequenceEncoder", "TextEncoder", "VideoEncoder", "ENCODERS",
    ),
    "polymodal.models.encoders.adapters": ("merge_lora",),
    "polymodal.models.fusion": ("FeatureFusion", "Fusion", "FUSIONS"),
    "polymodal.models.heads": (
        "Classifier", "Head", "MultilabelClassifier", "OrdinalClassifier", "Regressor", "HEADS",
    ),
    "polymodal.tasks": ("Task", "TASKS"),
    "polymodal.evaluation.metrics.metrics": ("METRICS",),
    "polymodal.models.objectives": (
        "ContrastiveObjective", "MaskedPatchObjective", "MaskedTextObjective", "MatchingObjective",
        "Objective", "SigmoidObjective", "OBJECTIVES",
    ),
    "polymodal.models.outputs": ("FusedState", "PolymodalOutput", "TokenSequence"),
    "polymodal.errors": ("ConfigError", "DataError", "InputWarning", "PolymodalError", "RunError"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    """A public name is imported when it is first asked for."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'polymodal' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
