"""Runs of a picture, a text and a number with heads, or with a shared space: made at once, never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import polymodal as pm
from polymodal.config import Declaration
from polymodal.data.processor import PolymodalProcessor
from polymodal.models.encoders import Encoder, ImageEncoder, NumberEncoder, TextEncoder
from tests.support.component_cases import BERT, CNN

MODALITIES = {"photo": "image", "note": "text", "bedrooms": "number"}
CLASSES = ("flat", "house")


def make_run(folder: Path, rows: Sequence[dict[str, Any]], *, shared: bool = False) -> pm.Run:
    """A run in ``folder``, loaded from there: one of a target ``kind``, or with ``shared`` a pre-trained one.

    Args:
        folder: Its files are written there.
        rows: That its processor learns vocabulary and scales from.
        shared: Whether its inputs lie in one space.
    """
    torch.manual_seed(0)
    encoders = {
        "photo": ImageEncoder(size=16, tokens=4, **CNN),
        "note": TextEncoder(tokens=6, **BERT),
        "bedrooms": NumberEncoder(width=8),
    }
    fusion = pm.FeatureFusion("transformer", width=16, layers=1)
    parts: dict[str, Any] = (
        {"objectives": [pm.ContrastiveObjective()], "space": 8}
        if shared
        else {"heads": {"kind": pm.Classifier(CLASSES)}}
    )
    model = pm.PolymodalModel.from_parts(encoders, fusion, **parts).eval()
    processor = PolymodalProcessor.for_model(model, rows)
    declared: dict[str, Any] = {"inputs": {name: {"modality": kind} for name, kind in MODALITIES.items()}}
    declared |= (
        {"objectives": ["contrastive"]} if shared else {"targets": {"kind": {"task": "classification"}}}
    )
    pm.Run(folder, model, processor, Declaration.model_validate(declared)).save(folder)
    run = pm.load(folder, device="cpu")
    assert isinstance(run, pm.Run)
    return run


def run_around(encoders: Mapping[str, Encoder]) -> pm.Run:
    """A run of nothing but an untrained model around encoders, with a target ``kind``; it has no folder."""
    heads = {"kind": pm.Classifier(classes=["a", "b"])}
    model = pm.PolymodalModel.from_parts(encoders, pm.FeatureFusion("concat", width=16), heads).eval()
    return pm.Run(Path("run"), model, model.make_processor([]), Declaration.model_construct())
