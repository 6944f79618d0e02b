"""Run frozen encoders once per cell before the first step, instead of in every epoch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from polymodal.config import TrainConfig
from polymodal.data.cache.memory import ReadCache, digest
from polymodal.data.media.path_access import Root
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.models.base import encode
from polymodal.models.encoders import Encoder, encoder_settings
from polymodal.models.modeling import LearningModel
from polymodal.training.loop.arguments import training_device
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.read_rows import GB
from polymodal.utils.deadline import NO_LIMIT, Deadline, bounded
from polymodal.utils.out_of_memory import RowsAtOnce
from polymodal.utils.progress import progress

MOST_TIME = 0.8
"""Share of the time left that encoding may take: the epochs after it, which have the rest, are short."""
FEWEST_EPOCHS = 2
"""Smallest number of epochs in which encoding in advance saves time."""


def encode_frozen(
    job: PredictionJob, model: LearningModel, *, deadline: Deadline = NO_LIMIT, quiet: bool = False
) -> None:
    """Replace the readers of inputs with a frozen encoder by readers of the encoder's output, in ``job``.

    The test rows are encoded after the others, and only with readers for whose outputs there is room.

    Args:
        job: Gets ``features`` (processors with these readers) and notes on what was encoded.
        model: With the encoders.
        deadline: Of the encoding and of the training after it.
        quiet: Show no progress.

    Raises:
        OutOfTime: If it takes most of the time that is left.
    """
    readers, notes = frozen_readers(
        frozen_encoders(model.model.encoders, model.model.encoder_of), job.batching, job.cells, job.cache,
        train=job.declaration.train, deadline=deadline, quiet=quiet,
    )  # fmt: skip
    job.notes += notes
    if readers:
        job.features = dict.fromkeys(("train", "validation"), _reading(job, readers))
    if tested := _for_test_rows(job, readers, deadline, quiet=quiet):
        job.features["test"] = _reading(job, tested)


def _reading(job: PredictionJob, readers: Mapping[str, Reader]) -> PolymodalProcessor:
    """The processor of a job with other readers of some inputs."""
    return PolymodalProcessor(
        {**job.processor.readers, **readers}, job.processor.targets, job.processor.missing
    )


def _for_test_rows(
    job: PredictionJob, readers: Mapping[str, FrozenReader], deadline: Deadline, *, quiet: bool
) -> dict[str, FrozenReader]:
    """Those of ``readers`` whose outputs for the cells of the test rows are kept as well.

    Raises:
        OutOfTime: If it takes most of the time until ``deadline``.
    """
    kept: dict[str, FrozenReader] = {}
    for reader in dict.fromkeys(readers.values()):
        names = [name for name, other in readers.items() if other is reader]
        listed = ", ".join(f"'{name}'" for name in names)
        cells = list(job.cells(names, ("test",)))
        if fill_cache(reader, cells, job.cache, listed, deadline=deadline, quiet=quiet):
            kept |= dict.fromkeys(names, reader)
    return kept


def frozen_readers(
    encoders: Iterable[tuple[list[str], Encoder]],
    processor: PolymodalProcessor,
    cells: Callable[[Sequence[str]], Iterable[tuple[Any, Root]]],
    cache: ReadCache,
    *,
    train: TrainConfig,
    deadline: Deadline = NO_LIMIT,
    quiet: bool = False,
) -> tuple[dict[str, FrozenReader], list[str]]:
    """Encode ``cells`` with frozen encoders; by input the reader of the cached outputs.

    Args:
        encoders: Frozen ones, each with the names of the inputs that it reads.
        processor: Reads the cells for the encoders.
        cells: Yields the distinct items of some inputs, each with the folder that its path is relative to.
        cache: Keeps the outputs.
        train: With the device and the number of epochs.
        deadline: Of the encoding and of the training after it.
        quiet: Show no progress.

    Returns:
        The readers, and notes on what was encoded.

    Raises:
        OutOfTime: If it takes most of the time that is left.
    """
    made: dict[str, FrozenReader] = {}
    notes = []
    for names, encoder in encoders:
        listed = ", ".join(f"'{name}'" for name in names)
        if (train.epochs or 0) < FEWEST_EPOCHS:
            notes.append(f"{listed}: encoded in the one epoch, since keeping that would not pay")
            continue
        reader = frozen_reader(encoder, processor, names[0], train)
        distinct = list(cells(names))
        if fill_cache(reader, distinct, cache, listed, deadline=deadline, quiet=quiet):
            made |= dict.fromkeys(names, reader)
            notes.append(f"{listed}: {len(distinct)} cells encoded once, for all epochs")
        else:
            room = f"more than the {cache.room() / GB:.2g} GB that the cache has left"
            fix = "Raise data.cache_memory or data.cache_disk"
            notes.append(f"{listed}: encoded in every epoch, for it is {room}. {fix}")
    return made, notes


def frozen_reader(
    encoder: Encoder, processor: PolymodalProcessor, name: str, train: TrainConfig
) -> FrozenReader:
    """The reader of a frozen encoder's outputs for the input ``name``, on the device of the training."""
    encode = partial(encode_items, encoder, processor, name, at_once=items_at_once(train))
    return FrozenReader(processor.readers[name], encode, weights_digest(encoder), encoder.tokens)


def items_at_once(train: TrainConfig) -> RowsAtOnce:
    """How many items an encoder reads at once on the device of the training."""
    return RowsAtOnce(FrozenReader.BATCH, training_device(train.device))


def fill_cache(
    reader: FrozenReader,
    cells: Sequence[tuple[Any, Root]],
    cache: ReadCache,
    listed: str,
    *,
    deadline: Deadline = NO_LIMIT,
    quiet: bool,
) -> bool:
    """Encode ``cells`` into ``cache``, with a progress line about the inputs ``listed``; see
    :meth:`FrozenReader.fill`.

    Raises:
        OutOfTime: If it takes most of the time until ``deadline``.
    """
    starts = range(0, len(cells), FrozenReader.BATCH)
    with closing(progress(starts, f"encoding {listed} once", len(starts), quiet=quiet)) as shown:
        timed = bounded(shown, len(starts), deadline, f"encoding {listed}", share=MOST_TIME)
        return reader.fill(cells, cache, timed)


def frozen_encoders(
    encoders: Iterable[nn.Module], encoder_of: Mapping[str, int]
) -> Iterator[tuple[list[str], Encoder]]:
    """Encoders without trainable parameters, each with the names of the inputs that it reads."""
    for index, module in enumerate(encoders):
        encoder = cast(Encoder, module)
        if encoder.frozen and not any(parameter.requires_grad for parameter in encoder.parameters()):
            yield [name for name, used in encoder_of.items() if used == index], encoder


def encode_items(
    encoder: Encoder, processor: PolymodalProcessor, name: str, items: Sequence[Any], *, at_once: RowsAtOnce
) -> list[np.ndarray]:
    """Outputs of ``encoder``, in the form of :data:`polymodal.data.readers.frozen_reader.Encode`.

    Returns:
        By item an array ``(tokens, width)`` float32; ``(*grid, width)`` of encoders with a grid.

    Raises:
        RunError: If memory is too small for a single item.
    """
    encode_part = partial(_encode_at_once, encoder, processor, name, device=at_once.device)
    return [output for _, outputs in at_once.work(items, encode_part) for output in outputs]


@torch.inference_mode()
def _encode_at_once(
    encoder: Encoder,
    processor: PolymodalProcessor,
    name: str,
    items: Sequence[Any],
    *,
    device: str | torch.device,
) -> list[np.ndarray]:
    """Outputs of ``encoder`` for items that fit into memory."""
    values = processor.collate([{name: item} for item in items])[name]
    encoder.eval().to(device)
    sequence = encode(encoder, {key: tensor.to(device) for key, tensor in values.items()})
    tokens, mask = sequence.tokens.float().cpu().numpy(), sequence.mask.cpu().numpy()
    if len(sequence.grid) > 1:
        return list(tokens.reshape(len(tokens), *sequence.grid, -1))
    return [item[kept] for item, kept in zip(tokens, mask, strict=True)]


def weights_digest(encoder: Encoder) -> bytes:
    """Digest of an encoder's weights, settings and revision."""
    settings = json.dumps(encoder_settings(encoder), sort_keys=True, default=str)
    parts = [(settings + encoder.revision).encode()]
    for name, tensor in sorted(encoder.state_dict().items()):
        parts += [name.encode(), tensor.cpu().numpy().tobytes()]
    return digest(*parts)
