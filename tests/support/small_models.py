"""A small model of numbers, untrained, and rows for it, of which some lack inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import polymodal as pm
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.models.encoders import NumberEncoder

INPUTS = ("a", "b", "c")
KINDS = ("red", "green", "blue")
TAGS = ("new", "old")
TARGETS = ("kind", "tags", "price")


def small_model(inputs: Sequence[str] = INPUTS, seed: int = 0) -> Any:
    """A model with a head of each task; its inputs interact."""
    torch.manual_seed(seed)
    model = pm.PolymodalModel.from_parts(
        encoders={name: NumberEncoder(width=8) for name in inputs},
        fusion=pm.FeatureFusion("transformer", width=16, layers=1, heads=2),
        heads={
            "kind": pm.Classifier(classes=KINDS),
            "tags": pm.MultilabelClassifier(classes=TAGS, thresholds=[0.5, 0.6]),
            "price": pm.Regressor(mean=100.0, deviation=20.0),
        },
    )
    with torch.no_grad():
        for _, head in model.named_heads():  # an untrained head says the same of every row
            head.out.weight.mul_(6)
    return model.eval()


def small_cells(rows: int = 40, seed: int = 0) -> list[dict[str, Any]]:
    """Cells with answers that hang on nothing; every fourth row lacks ``b``, every tenth all inputs."""
    random = np.random.default_rng(seed)
    table = []
    for place in range(rows):
        row: dict[str, Any] = {
            name: float(value) for name, value in zip(INPUTS, random.normal(size=3), strict=True)
        }
        if place % 4 == 3:
            row["b"] = None
        if place % 10 == 9:
            row = dict.fromkeys(INPUTS)
        row |= {"kind": str(random.choice(KINDS)), "tags": [t for t in TAGS if random.random() < 0.5]}
        table.append(row | {"price": float(random.normal(100, 20))})
    return table


def small_rows(rows: int = 40, **changed: Any) -> RowDataset:
    """Rows for :func:`small_model`; ``changed`` replaces columns."""
    cells = small_cells(rows)
    for name, values in changed.items():
        for row, value in zip(cells, values, strict=True):
            row[name] = value
    processor = small_model().make_processor(cells)
    return RowDataset(read_table(cells, name="small"), processor, targets=TARGETS)
