"""Conversion of inputs of sentence-transformers to a modality and a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sentence_transformers.base.modality import infer_modality
from torch import Tensor

from polymodal.errors import DataError, Problem

MESSAGE = "message"
"""That library's name of a chat turn, and of a batch of several modalities."""


def read_sample(sample: Any, modalities: Sequence[Any]) -> tuple[str, Any]:
    """Modality and cell of one input, by that library's rules.

    Args:
        sample: A text, image, array, path of an existing image, ``{modality: content}``, or a chat message
            with one of these.
        modalities: Modalities of the model. A text is read as a path only with images among them.

    Raises:
        DataError: If it has several modalities, is a pair of texts, or has another modality.
        ValueError: If that library does not know its type.
    """
    modality = infer_modality(sample, supported_modalities=list(modalities))
    if modality == MESSAGE:
        parts = list(message_parts(sample))
        if len(parts) != 1:
            raise _refused(f"a chat of {len(parts)} parts", "a text or a picture, which have a vector each")
        return read_sample(parts[0], modalities)
    if modality not in modalities:
        result = modality if isinstance(modality, str) else " and ".join(modality)
        raise _refused(f"an input of {result}", f"{' or '.join(m for m in modalities if m != MESSAGE)}")
    if isinstance(sample, (tuple, list)):
        raise _refused("a pair of texts", "one text, or {'text': […]} for several of one row")
    cell = sample[modality] if isinstance(sample, dict) else sample
    return str(modality), cell.cpu().numpy() if isinstance(cell, Tensor) else cell


def message_parts(chat: Any) -> Iterator[Any]:
    """The parts of a chat message, or of a list of them, as separate inputs."""
    for message in chat if isinstance(chat, list) else [chat]:
        content = message["content"]
        if isinstance(content, str):
            yield content
            continue
        for part in content:
            if "type" not in part or part["type"] not in part:
                raise _refused("a part of a chat without its type", "{'type': 'text', 'text': …}")
            yield {part["type"]: part[part["type"]]}


def with_prompt(cell: Any, prompt: str) -> Any:
    """Prepend a prompt to a text, or to each of several."""
    return [prompt + text for text in cell] if isinstance(cell, (list, tuple)) else prompt + cell


def _refused(found: str, expected: str) -> DataError:
    return DataError(Problem(found=found, expected=expected))
