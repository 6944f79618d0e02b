"""Polymodal: models that read text, images, audio, video and tables together. Importing it loads no torch."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import TYPE_CHECKING, Any

from polymodal.utils.version import __version__

if TYPE_CHECKING:
    from polymodal.api import (
        check,
        compare,
        encoders,
        export,
        fit,
        fit_folds,
        fit_fusions,
        fit_searched,
        init,
        list_runs,
        load,
        pretrain,
    )  # fmt: skip
    from polymodal.data.media.cells import MediaError
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.data.readers import READERS, Content, Reader
    from polymodal.errors import ConfigError, DataError, InputWarning, PolymodalError, RunError
    from polymodal.estimators import PolymodalClassifier, PolymodalRegressor
    from polymodal.evaluation.metrics.metrics import METRICS
    from polymodal.language_run import LanguageRun
    from polymodal.models import (
        PolymodalConfig,
        PolymodalForConditionalGeneration,
        PolymodalForPrediction,
        PolymodalForPreTraining,
        PolymodalModel,
    )  # fmt: skip
    from polymodal.models.connectors import CONNECTORS, Connector
    from polymodal.models.encoders import (
        ENCODERS,
        AudioEncoder,
        CategoriesEncoder,
        CategoryEncoder,
        DateEncoder,
        Encoder,
        ImageEncoder,
        NumberEncoder,
        SequenceEncoder,
        TextEncoder,
        VideoEncoder,
    )  # fmt: skip
    from polymodal.models.encoders.adapters import merge_lora
    from polymodal.models.fusion import FUSIONS, FeatureFusion, Fusion
    from polymodal.models.heads import (
        HEADS,
        Classifier,
        Head,
        MultilabelClassifier,
        OrdinalClassifier,
        Regressor,
    )  # fmt: skip
    from polymodal.models.objectives import (
        OBJECTIVES,
        ContrastiveObjective,
        MaskedPatchObjective,
        MaskedTextObjective,
        MatchingObjective,
        Objective,
        SigmoidObjective,
    )  # fmt: skip
    from polymodal.models.outputs import FusedState, PolymodalOutput, TokenSequence
    from polymodal.pipelines.multi_fit import Fits
    from polymodal.run import Run
    from polymodal.search.index import Index
    from polymodal.tasks import TASKS, Task

# Read once, when torch is loaded: threads that wait sleep, so that a busy neighbour does not stall them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read once, at the first convolution: with AMX, bf16 convolutions of torch are wrong, silently, where the
# result is one pixel wide and the stride is above 1 (pytorch/pytorch issue 169688).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

_HOMES = {
    "polymodal.api": (
        "check", "compare", "encoders", "export", "fit", "fit_folds", "fit_fusions", "fit_searched", "init",
        "list_runs", "load", "pretrain",
    ),
    "polymodal.language_run": ("LanguageRun",),
    "polymodal.run": ("Run",),
    "polymodal.estimators": ("PolymodalClassifier", "PolymodalRegressor"),
    "polymodal.models.connectors": ("Connector", "CONNECTORS"),
    "polymodal.search.index": ("Index",),
    "polymodal.pipelines.multi_fit": ("Fits",),
    "polymodal.data.processor": ("PolymodalProcessor",),
    "polymodal.data.readers": ("Content", "Reader", "READERS"),
    "polymodal.data.media.cells": ("MediaError",),
    "polymodal.models": (
        "PolymodalConfig", "PolymodalForConditionalGeneration", "PolymodalForPreTraining",
        "PolymodalForPrediction", "PolymodalModel",
    ),
    "polymodal.models.encoders": (
        "AudioEncoder", "CategoriesEncoder", "CategoryEncoder", "DateEncoder", "Encoder", "ImageEncoder",
        "NumberEncoder", "SequenceEncoder", "TextEncoder", "VideoEncoder", "ENCODERS",
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
__all__ = [
    "__version__", "check", "compare", "export", "fit", "fit_folds", "fit_fusions", "fit_searched", "init",
    "load", "pretrain", "LanguageRun", "Run", "Connector", "CONNECTORS", "Index", "Fits",
    "PolymodalProcessor", "Content", "Reader", "READERS", "MediaError", "PolymodalConfig",
    "PolymodalForConditionalGeneration", "PolymodalForPreTraining", "PolymodalForPrediction",
    "PolymodalModel", "AudioEncoder", "CategoryEncoder", "Encoder", "ImageEncoder", "NumberEncoder",
    "SequenceEncoder", "TextEncoder", "VideoEncoder", "ENCODERS", "merge_lora", "FeatureFusion", "Fusion",
    "FUSIONS", "Classifier", "Head", "MultilabelClassifier", "OrdinalClassifier", "Regressor", "HEADS",
    "Task", "TASKS", "METRICS", "ContrastiveObjective", "MaskedPatchObjective", "MaskedTextObjective",
    "MatchingObjective", "Objective", "SigmoidObjective", "OBJECTIVES", "FusedState", "PolymodalOutput",
    "TokenSequence", "ConfigError", "DataError", "InputWarning", "PolymodalError", "RunError",
    "CategoriesEncoder", "DateEncoder", "encoders", "list_runs", "PolymodalClassifier", "PolymodalRegressor",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name on first access."""
    if name not in _HOME_OF:
        near = difflib.get_close_matches(name, [] if name.startswith("_") else __all__, n=1)
        meant = f". Did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"module 'polymodal' has no attribute '{name}'{meant}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
