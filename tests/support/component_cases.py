"""One small case for every registered encoder, fusion, head and weighting; a new one needs its own here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from polymodal.data.processor import PolymodalProcessor
from polymodal.models import PolymodalModel
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
)
from polymodal.models.fusion import FUSIONS, FeatureFusion
from polymodal.models.heads import (
    HEADS,
    IGNORED,
    Classifier,
    Head,
    MultilabelClassifier,
    OrdinalClassifier,
    Regressor,
)
from polymodal.models.weighting import WEIGHTINGS

PARTS = (("encoder", ENCODERS), ("fusion", FUSIONS), ("head", HEADS), ("weighting", WEIGHTINGS))
COMPONENTS = [(kind, name) for kind, registry in PARTS for name in registry]
Item = dict[str, Tensor]
Row = dict[str, list[Item]]
"""By input, the items of one row: none, one or several."""
BERT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
SMALL_CNN = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
CNN = SMALL_CNN | {"layer_type": "basic"}


@dataclass
class EncoderCase:
    """A small encoder, and an item of what it reads."""

    make: Callable[[], Encoder]
    item: Callable[[], Item]


def text_item() -> Item:
    length = int(torch.randint(2, 12, ()))
    return {
        "input_ids": torch.randint(3, 50, (length,)),
        "attention_mask": torch.ones(length, dtype=torch.long),
    }


def audio_item() -> Item:
    length = int(torch.randint(200, 1000, ()))
    waveform = torch.nn.functional.pad(torch.randn(length), (0, 1000 - length))
    return {"waveform": waveform, "length": torch.tensor(length)}


def sequence_item() -> Item:
    length = int(torch.randint(1, 20, ()))
    return {"steps": torch.randn(length, 5), "length": torch.tensor(length)}


CATEGORIES = itertools.cycle(range(4))
"""One after another: two equal ones in a row would count as one."""
ENCODER_CASES = {
    "text": EncoderCase(lambda: TextEncoder(vocab_size=50, tokens=6, **BERT), text_item),
    "image": EncoderCase(
        lambda: ImageEncoder(size=16, tokens=4, **CNN),
        lambda: {"pixel_values": torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)},
    ),
    "audio": EncoderCase(lambda: AudioEncoder(rate=2000, seconds=0.5, bins=16, tokens=8, **CNN), audio_item),
    "video": EncoderCase(
        lambda: VideoEncoder(frames=3, size=16, tokens=8, **CNN),
        lambda: {"pixel_values": torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)},
    ),
    "sequence": EncoderCase(
        lambda: SequenceEncoder(features=5, length=20, patch=2, tokens=6, **BERT), sequence_item
    ),
    "number": EncoderCase(lambda: NumberEncoder(features=3, width=8), lambda: {"value": torch.randn(3)}),
    "category": EncoderCase(
        lambda: CategoryEncoder(categories=3, width=8), lambda: {"value": torch.tensor(next(CATEGORIES))}
    ),
    "date": EncoderCase(lambda: DateEncoder(features=11, width=8), lambda: {"value": torch.randn(11)}),
    "categories": EncoderCase(
        lambda: CategoriesEncoder(categories=3, width=8),
        lambda: {"value": torch.eye(4)[next(CATEGORIES)]},
    ),
}
FEW = ["text", "image", "sequence", "number", "category"]
"""Inputs of most models here: of a token and of several, padded and not."""
MODALITIES = {("fusion", "transformer"): list(ENCODER_CASES), ("fusion", "concat"): list(ENCODER_CASES)}
"""Models of all inputs."""
FUSION_CASES: dict[str, dict[str, Any]] = {
    "concat": {},
    "sum": {},
    "gated": {},
    "tensor": {"limit": 250},
    "low_rank": {"rank": 2},
    "transformer": {"heads": 2},
    "bottleneck": {"heads": 2, "bottlenecks": 2},
    "cross_attention": {"heads": 2, "layers": 1},
    "perceiver": {"heads": 2, "latents": 3},
}


@dataclass
class HeadCase:
    """A small head, and a target for it, empty where ``known`` is false."""

    make: Callable[[], Head]
    target: Callable[[Tensor], Tensor]


HEAD_CASES = {
    "classification": HeadCase(
        lambda: Classifier(["no", "yes", "may be"], label_smoothing=0.1),
        lambda known: torch.where(known, torch.randint(0, 3, known.shape), IGNORED),
    ),
    "multilabel": HeadCase(
        lambda: MultilabelClassifier(["a", "b", "c"], pos_weight=[1, 2, 3], thresholds=[0.2, 0.5, 0.7]),
        lambda known: torch.where(
            known.unsqueeze(1), torch.randint(0, 2, (len(known), 3)).float(), torch.nan
        ),
    ),
    "ordinal": HeadCase(
        lambda: OrdinalClassifier(["low", "mid", "high"]),
        lambda known: torch.where(known, torch.randint(0, 3, known.shape), IGNORED),
    ),
    "regression": HeadCase(
        lambda: Regressor(mean=2.0, deviation=3.0),
        lambda known: torch.where(known, torch.randn(known.shape), torch.nan),
    ),
}


def find(cases: Mapping[str, Any], name: str) -> Any:
    if name not in cases:
        pytest.fail(f"'{name}' is registered, but has no case in tests/support/component_cases.py")
    return cases[name]


@dataclass
class Case:
    """A model around one component, and rows for it."""

    model: Any
    items: dict[str, Callable[[], Item]]
    targets: dict[str, Callable[[Tensor], Tensor]]

    def rows(self) -> list[Row]:
        """Six rows that hold every case: all there, two items, each input alone, one missing, nothing."""
        names = list(self.items)
        whole = {name: [make()] for name, make in self.items.items()}
        double = {name: [make(), make()] for name, make in self.items.items()}
        others = [{name: [self.items[name]()]} for name in names]
        without = {name: [make()] for name, make in list(self.items.items())[1:]}
        return [whole, *others, {}, double, without]

    def answers(self, rows: int) -> dict[str, Tensor]:
        """Targets for ``rows`` rows; each target is empty in a row of its own."""
        place = torch.arange(rows)
        return {name: make(place != 1 + i) for i, (name, make) in enumerate(self.targets.items())}


def make_case(kind: str, name: str, names: Sequence[str] = ()) -> Case:
    """A model that holds the component; ``names`` rename the columns."""
    modalities = [name, "number", name] if kind == "encoder" else MODALITIES.get((kind, name), FEW)
    encoders = {modality: find(ENCODER_CASES, modality).make() for modality in dict.fromkeys(modalities)}
    columns = list(names) or ["type", "items", "a.b", "values", "half", "Ünï cødé", "index"]
    inputs = dict(zip(columns, modalities, strict=False))
    fusion, options = (name, find(FUSION_CASES, name)) if kind == "fusion" else ("concat", {})
    tasks = [name, name] if kind == "head" else ["classification", "regression"]
    heads = dict(zip(["type", "half"], tasks, strict=True))
    model = PolymodalModel.from_parts(
        {column: encoders[modality] for column, modality in inputs.items()},
        FeatureFusion(fusion, width=16, **options),
        {target: find(HEAD_CASES, task).make() for target, task in heads.items()},
        weighting=name if kind == "weighting" else "fixed",
    )
    items = {column: ENCODER_CASES[modality].item for column, modality in inputs.items()}
    return Case(model.eval(), items, {target: HEAD_CASES[task].target for target, task in heads.items()})


def collate(rows: Sequence[Row], padding: int = 0) -> dict[str, Any]:
    """``index`` and ``inputs`` of a batch; texts and sequences are padded ``padding`` beyond the longest."""
    inputs: dict[str, dict[str, Tensor]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        placed = [(place, item) for place, row in enumerate(rows) for item in row.get(name, [])]
        inputs[name] = {"row": torch.tensor([place for place, _ in placed])}
        for key in placed[0][1]:
            inputs[name][key] = stack([item[key] for _, item in placed], key, padding)
    return {"index": torch.arange(len(rows)), "inputs": inputs}


def stack(values: Sequence[Tensor], key: str, padding: int) -> Tensor:
    if key not in ("input_ids", "attention_mask", "steps"):
        return torch.stack(list(values))
    longest = max(map(len, values)) + padding
    filler = 0 if key == "attention_mask" else 7  # what stands behind a text or sequence must not matter
    behind = [(0, 0) * (value.dim() - 1) + (0, longest - len(value)) for value in values]
    padded = [nn.functional.pad(v, pad, value=filler) for v, pad in zip(values, behind, strict=True)]
    return torch.stack(padded)


def blanks(model: Any) -> dict[str, Item]:
    """By input, the blank item of its reader."""
    inputs = PolymodalProcessor.for_model(model).collate([{}], form="dense")
    return {
        name: {key: values[key][0] for key in values if key != "present"} for name, values in inputs.items()
    }


def collate_dense(model: Any, rows: Sequence[Row], padding: int = 0) -> dict[str, Any]:
    """The batch of :func:`collate` with equally many items a row, blank where the row has fewer."""
    full: list[Row] = [{} for _ in rows]
    present = {}
    for name, blank in blanks(model).items():
        items = [row.get(name, []) for row in rows]
        slots = max(1, *map(len, items))
        present[name] = torch.tensor([[slot < len(own) for slot in range(slots)] for own in items])
        for row, own in zip(full, items, strict=True):
            row[name] = [*own, *[blank] * (slots - len(own))]
    batch = collate(full, padding)
    for name, values in batch["inputs"].items():
        del values["row"]
        values["present"] = present[name]
    return batch
