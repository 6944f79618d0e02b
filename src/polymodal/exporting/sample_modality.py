"""What sentence-transformers is given to encode → a modality, and a cell as a processor reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sentence_transformers.base.modality import infer_modality
from torch import Tensor

from polymodal.errors import DataError, Problem

MESSAGE = "message"
"""What that library calls a turn of a chat, and also a batch of several modalities."""


def read_sample(sample: Any, modalities: Sequence[Any]) -> tuple[str, Any]:
    """Modality and cell of one input, told apart as that library does it.

    Args:
        sample: A text, picture, array, path of a picture that is there, ``{modality: content}``, or a chat
            message that holds one of these.
        modalities: Those that are read. A path is a path only where pictures are.

    Raises:
        DataError: If it holds several modalities at once, is a pair of texts, or another modality.
        ValueError: If it is nothing that library knows.
    """
    modality = infer_modality(sample, supported_modalities=list(modalities))
    if modality == MESSAGE:
        parts = list(spoken(sample))
        if len(parts) != 1:
            raise _refused(f"a chat of {len(parts)} parts", "a text or a picture, which have a vector each")
        return read_sample(parts[0], modalities)
    if modality not in modalities:
        found = modality if isinstance(modality, str) else " and ".join(modality)
        raise _refused(f"an input of {found}", f"{' or '.join(m for m in modalities if m != MESSAGE)}")
    if isinstance(sample, (tuple, list)):
        raise _refused("a pair of texts", "one text, or {'text': […]} for several of one row")
    cell = sample[modality] if isinstance(sample, dict) else sample
    return str(modality), cell.cpu().numpy() if isinstance(cell, Tensor) else cell


def spoken(chat: Any) -> Iterator[Any]:
    """The parts of a chat message, or of a list of them, as inputs of their own."""
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
    """A text, or every one of several, behind a prompt."""
    return [prompt + text for text in cell] if isinstance(cell, (list, tuple)) else prompt + cell


def _refused(found: str, expected: str) -> DataError:
    return DataError(Problem(found=found, expected=expected))
