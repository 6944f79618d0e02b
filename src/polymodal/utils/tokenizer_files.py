"""``tokenizer.json`` of a run or an export, which may come from a stranger: checked before it is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polymodal.errors import RunError
from polymodal.utils.records import JsonObject

MOST_TOKENS, MOST_GROWN = 2**22, 1000
"""The largest number of a token (libraries keep a list that long), and how long a character may become."""


def check_tokenizer(content: dict[str, Any], path: Path) -> None:
    """Refuse a tokenizer with huge token ids, or a normalizer that expands texts excessively.

    Raises:
        RunError: Naming the file and the value.
    """
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    largest = max((at for at in ids if isinstance(at, int)), default=0)
    if largest > MOST_TOKENS:
        raise RunError(f"{path}: a token has the number {largest:,}, expected at most {MOST_TOKENS:,}")
    grown = 1
    for step in _steps(content.get("normalizer")):
        grown *= max(1, len(str(step.get("content") or "")), len(str(step.get("prepend") or "")))
    if grown > MOST_GROWN:
        raise RunError(f"{path}: its normalizer makes a character {grown:,} long. Do not trust this folder")


def _steps(normalizer: Any) -> Iterator[JsonObject]:
    """Steps of a normalizer, including those of nested sequences."""
    if isinstance(normalizer, dict):
        yield normalizer
        inner = normalizer.get("normalizers")
        for step in inner if isinstance(inner, list) else ():
            yield from _steps(step)
