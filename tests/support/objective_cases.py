"""A small model for every registered objective, over rows of seven inputs with empty cells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import polymodal as pm
from polymodal.data.collator import Collator
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.data.text_tokenizer import train_tokenizer
from tests.support.clips import ramp, write_clip
from tests.support.tables import house_rows

STILL_BERT = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 64,
}  # fmt: skip
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
MEDIA = ("photo", "note", "voice", "track", "clip")


@dataclass
class Case:
    """A model that learns by some objectives, and rows to learn from.

    Attributes:
        model: In training mode, without dropout and augmentation.
        rows: Read as the model wants them.
    """

    model: Any
    rows: RowDataset

    def batch(self, places: list[int] | range) -> dict[str, Any]:
        """The rows at some places, as a training in several processes gets them."""
        batch = Collator(self.rows.processor, form="idle", for_objectives=True)(
            self.rows.__getitems__(list(places))
        )
        return {key: value for key, value in batch.items() if key != "targets"}

    def gradients(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of every weight that learns, those without a gradient left out."""
        self.model.zero_grad()
        loss.backward()
        return {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}


def encoders(texts: list[str]) -> dict[str, pm.Encoder]:
    """One an input, each of another modality."""
    return {
        "photo": pm.ImageEncoder("resnet", size=16, **RESNET),
        "note": pm.TextEncoder("bert", tokenizer=train_tokenizer(texts, vocabulary=300), **STILL_BERT),
        "voice": pm.AudioEncoder("resnet", rate=4000, seconds=0.1, bins=16, **RESNET),
        "bedrooms": pm.NumberEncoder(features=4, width=8),
        "district": pm.CategoryEncoder(categories=3, width=8),
        "track": pm.SequenceEncoder("resnet", features=3, length=20, **RESNET),
        "clip": pm.VideoEncoder("resnet", frames=2, size=16, **RESNET),
    }


def write_rows(folder: Path, rows: int = 12) -> Path:
    """Houses with a track and a clip each, written as ``rows.jsonl``; the first row is whole."""
    random = np.random.default_rng(1)
    table = house_rows(folder, rows, empty=0.2)
    table[0] |= house_rows(folder, 1, empty=0.0)[0]
    for number, row in enumerate(table):
        write_clip(folder / f"clips/{number}.mp4", ramp(2, 16, 16, seed=number))
        steps = int(random.integers(8, 20))
        row |= {"track": random.normal(size=(steps, 3)).tolist(), "clip": f"clips/{number}.mp4"}
    lines = "".join(json.dumps(row) + "\n" for row in table)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    return folder


def make_case(folder: Path, *objectives: pm.Objective, heads: Any = None) -> Case:
    """The case of some objectives, over the rows that :func:`write_rows` put into ``folder``."""
    torch.manual_seed(0)
    table = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    model: Any = pm.PolymodalModel.from_parts(
        encoders([row["note"] or "" for row in table]),
        pm.FeatureFusion("transformer", width=16, layers=1, heads=2, dropout=0.0),
        heads=heads, objectives=list(objectives), embedding_dropout=0.0,
    )  # fmt: skip
    processor = pm.PolymodalProcessor.for_model(model, table)
    rows = RowDataset(read_table(folder / "rows.jsonl"), processor)
    return Case(model.train(), rows)
