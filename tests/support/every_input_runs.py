"""A run with an input of every modality, and rows of it with files: made at once, never trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import polymodal as pm
from polymodal.config import Declaration
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.tables.table import read_table
from polymodal.verification.sample_cells import Column
from polymodal.verification.sample_writing import SampleSource, write_samples
from tests.support.clips import moving, write_clip
from tests.support.component_cases import BERT, ENCODER_CASES
from tests.support.tables import write_picture, write_sound

MODALITIES = ("text", "number", "date", "sequence", "category", "categories", "image", "audio", "video")
CLASSES = ("flat", "house")


def every_input_rows(folder: Path) -> list[dict[str, Any]]:
    """Two rows with a column ``my <modality>`` each, their media in ``folder``."""
    for number, brightness in enumerate((0.3, 0.8)):
        write_picture(folder / f"{number}.png", brightness, np.random.default_rng(number))
        write_sound(folder / f"{number}.wav", 400 * (number + 1), seconds=0.4)
        write_clip(folder / f"{number}.mp4", moving(1, number))
    values = [
        ["a quiet street", 3.0, "2020-05-17", [[1.0] * 5, [2.0] * 5], "hill", ["garden"]],
        ["close to the harbour", 1.5, "2024-02-29", [[0.5] * 5], "harbour", ["garage", "garden"]],
    ]
    media = [[str(folder / f"{number}.{suffix}") for suffix in ("png", "wav", "mp4")] for number in (0, 1)]
    names = [f"my {modality}" for modality in MODALITIES]
    return [dict(zip(names, [*row, *files], strict=True)) for row, files in zip(values, media, strict=True)]


def make_every_input_run(folder: Path, rows: Sequence[dict[str, Any]]) -> pm.Run:
    """A run in ``folder`` of targets ``kind`` and ``price`` (in EUR), which keeps the rows as samples.

    Args:
        folder: Its files are written there.
        rows: Of :func:`every_input_rows`.
    """
    torch.manual_seed(0)
    encoders = {f"my {modality}": ENCODER_CASES[modality].make() for modality in MODALITIES}
    encoders["my text"] = pm.TextEncoder(tokens=6, **BERT)
    for modality in ("category", "categories"):
        encoders[f"my {modality}"] = type(encoders[f"my {modality}"])(categories=2, width=8)
    model = pm.PolymodalModel.from_parts(
        encoders,
        pm.FeatureFusion("transformer", width=16, layers=1),
        heads={"kind": pm.Classifier(CLASSES), "price": pm.Regressor()},
    ).eval()
    processor = PolymodalProcessor.for_model(model, rows)
    declaration = Declaration.model_validate(
        {
            "inputs": {f"my {modality}": {"modality": modality} for modality in MODALITIES},
            "targets": {"kind": {"task": "classification"}, "price": {"task": "regression", "unit": "EUR"}},
        }
    )
    pm.Run(folder, model, processor, declaration).save(folder)
    run = pm.load(folder, device="cpu")
    assert isinstance(run, pm.Run)
    columns = {name: Column(entry.modality or "") for name, entry in declaration.inputs.items()}
    source = SampleSource("test", read_table(rows), np.arange(len(rows)), columns, [])
    write_samples(run, source, len(rows))
    return run
