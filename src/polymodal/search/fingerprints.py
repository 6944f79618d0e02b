"""Digests of models and rows, by which changes are detected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from polymodal.data.cache.memory import digest
from polymodal.data.media.cells import LIMITS, RAW, MediaError, open_cell
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.data.tables.lists import written_list
from polymodal.runs.prediction_run import PredictionRun

SETTINGS = ("inputs", "encoders", "fusion", "space")
"""Parts of a model's configuration that may affect its vectors; heads and metadata do not."""
ANSWERS = ("heads.", "weighting.")


def model_digest(run: PredictionRun) -> str:
    """Digest of a model's settings and weights: 16 bytes, in hexadecimal, equal in memory and on disk.

    A tokenizer is not part of it: its state changes with use, and another vocabulary has other weights.
    """
    config = {name: getattr(run.model.config, name, None) for name in SETTINGS}
    whole = hashlib.blake2b(json.dumps(config, sort_keys=True, default=str).encode(), digest_size=16)
    for name, tensor in sorted(run.model.state_dict().items()):
        if not name.startswith(ANSWERS):
            raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            whole.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            whole.update(memoryview(raw.numpy()))
    for name, reader in run.processor.readers.items():
        whole.update(json.dumps([name, reader.modality, reader.settings()], default=str).encode())
    return whole.hexdigest()


def row_digest(row: Mapping[str, Any], modalities: Mapping[str, str], root: Root) -> bytes | None:
    """Digest of a row's inputs, 16 bytes; of files, their content.

    Args:
        row: Cells by column.
        modalities: Of the inputs.
        root: The folder that relative paths start from.

    Returns:
        None where a file cannot be read; the reader of the input raises the error.
    """
    parts: list[bytes] = []
    try:
        for name, modality in modalities.items():
            for index, item in each_item(row.get(name), modality):
                parts += [f"{name} {index}".encode(), _item_digest(item, modality, root)]
    except MediaError:
        return None
    return digest(*parts)


def _item_digest(item: Any, modality: str, root: Root) -> bytes:
    is_path = isinstance(item, str) and written_list(item) is None
    is_file = isinstance(item, RAW) or (isinstance(item, Mapping) and item.get("array") is None)
    if not is_media(modality) or not (is_path or is_file):
        return json.dumps(item, sort_keys=True, default=str).encode()
    with open_cell(item, root, LIMITS) as stream:
        return hashlib.file_digest(stream, "blake2b").digest()  # type: ignore[arg-type]
