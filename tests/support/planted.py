"""Runs whose vectors are known: what the model would make of a cell is planted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from polymodal.data.processor import PolymodalProcessor
from polymodal.models.inference import Batch
from polymodal.models.outputs import PolymodalOutput
from polymodal.run import Run

Plant = Callable[[str, Any], np.ndarray]
"""An input and its cell → its vector."""


def share_space(patch: pytest.MonkeyPatch) -> None:
    """Every run counts as one that shares a space."""
    patch.setattr(Run, "shares_space", True)


def plant(patch: pytest.MonkeyPatch, vector: Plant, width: int) -> None:
    """Every run's model makes these vectors; the fused one is the mean of those that are there."""

    def batches(run: Run, rows: Any, batch_size: int) -> Any:
        for start in range(0, len(rows), batch_size):
            numbers = np.arange(start, min(start + batch_size, len(rows)))
            cells = [rows.table.row(number) for number in numbers]
            yield Batch(numbers, planted_output(run.processor, cells, vector, width), {})

    patch.setattr(Run, "batches", batches)
    share_space(patch)


def planted_output(
    processor: PolymodalProcessor, cells: list[dict[str, Any]], vector: Plant, width: int
) -> PolymodalOutput:
    """What the model gives for a batch of rows."""
    embeddings, present = {}, []
    for name, reader in processor.readers.items():
        has = np.array([not reader.is_empty(row.get(name)) for row in cells])
        rows = [
            vector(name, row[name]) if there else np.full(width, 9.0)
            for row, there in zip(cells, has, strict=True)
        ]
        embeddings[name], present = torch.tensor(np.array(rows)).float(), [*present, torch.tensor(has)]
    there = torch.stack(present, dim=1)
    stacked = torch.stack(list(embeddings.values()), dim=1) * there[..., None]
    fused = stacked.sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)
    return PolymodalOutput(embeddings=embeddings, fused=fused, present=there)


def numbered(word: Any, width: int = 64) -> np.ndarray:
    """The same vector for the same number in a text or path, and for no other."""
    digits = "".join(letter for letter in str(word) if letter.isdigit())
    return np.random.default_rng(int(digits)).normal(size=width)


def write_pairs(folder: Path, rows: int = 40, **columns: Any) -> Path:
    """``pairs.csv``: ``photo`` (the houses' own) and ``note`` of one number, and ``columns``."""
    numbers = range(rows)
    frame = pd.DataFrame(
        {"photo": [f"photos/{n}.png" for n in numbers], "note": [f"note {n}" for n in numbers]}
    )
    frame.assign(**columns).convert_dtypes().to_csv(folder / "pairs.csv", index=False)
    return folder / "pairs.csv"
