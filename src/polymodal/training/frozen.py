"""Frozen encoders run once a cell: before the first step, instead of in every epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from polymodal.data.cache import digest
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.frozen import FrozenReader
from polymodal.models.encoders import Encoder, encoder_settings
from polymodal.models.modeling import LearningModel
from polymodal.training.arguments import training_device
from polymodal.training.job import GB, Job
from polymodal.training.progress import progress

FEWEST_EPOCHS = 2
"""With fewer, every cell is encoded about once anyhow."""


def encode_frozen(job: Job, model: LearningModel, *, quiet: bool = False) -> None:
    """Let ``job`` read what the frozen encoders of ``model`` make of its training and validation cells.

    Test rows are read once and go through the encoders then. What was done is told in ``job.notes``.
    """
    replaced: dict[str, Reader] = {}
    for names, encoder in frozen_encoders(model):
        told = ", ".join(f"'{name}'" for name in names)
        if (job.declaration.train.epochs or 0) < FEWEST_EPOCHS:
            job.notes.append(f"{told}: encoded in the one epoch, since keeping that would not pay")
            continue
        device = training_device(job.declaration.train.device)
        encode = partial(encode_items, encoder, job.processor, names[0], device=device)
        inner = job.processor.readers[names[0]]
        reader = FrozenReader(inner, encode, weights_digest(encoder), encoder.tokens)
        cells = list(job.cells(names))
        starts = range(0, len(cells), FrozenReader.BATCH)
        shown = starts if quiet else progress(starts, f"encoding {told} once", len(starts))
        if reader.fill(cells, job.cache, shown):
            replaced |= dict.fromkeys(names, reader)
            job.notes.append(f"{told}: {len(cells)} cells encoded once, for all epochs")
        else:
            room = f"more than the {job.cache.room() / GB:.2g} GB that the cache has left"
            cure = "Raise data.cache_memory or data.cache_disk"
            job.notes.append(f"{told}: encoded in every epoch, for it is {room}. {cure}")
    if replaced:
        job.features = PolymodalProcessor(job.processor.readers | replaced, job.processor.targets)


def frozen_encoders(model: LearningModel) -> Iterator[tuple[list[str], Encoder]]:
    """The encoders in which nothing learns, each with the inputs it reads."""
    for place, module in enumerate(model.model.encoders):
        encoder = cast(Encoder, module)
        if encoder.frozen and not any(parameter.requires_grad for parameter in encoder.parameters()):
            yield [name for name, used in model.model.encoder_of.items() if used == place], encoder


@torch.inference_mode()
def encode_items(
    encoder: Encoder, processor: PolymodalProcessor, name: str, items: Sequence[Any], *, device: str
) -> list[np.ndarray]:
    """What ``encoder`` makes of ``items``, as :data:`polymodal.data.readers.frozen.Encode` says."""
    values = processor.collate([{name: item} for item in items])[name]
    sequence = encoder.eval().to(device)(**{key: tensor.to(device) for key, tensor in values.items()})
    tokens, mask = sequence.tokens.float().cpu().numpy(), sequence.mask.cpu().numpy()
    if len(sequence.grid) > 1:
        return list(tokens.reshape(len(tokens), *sequence.grid, -1))
    return [item[kept] for item, kept in zip(tokens, mask, strict=True)]


def weights_digest(encoder: Encoder) -> bytes:
    """What stands for an encoder's weights and settings."""
    settings = json.dumps(encoder_settings(encoder), sort_keys=True, default=str).encode()
    parts = [settings]
    for name, tensor in sorted(encoder.state_dict().items()):
        parts += [name.encode(), tensor.cpu().numpy().tobytes()]
    return digest(*parts)
