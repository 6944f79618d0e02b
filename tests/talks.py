"""Answers in words on small real files: settings with which such a fit takes seconds, and conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LANGUAGE = {
    "generation.language_model.hidden_size": 32, "generation.language_model.num_hidden_layers": 1,
    "generation.language_model.intermediate_size": 32, "generation.language_model.num_attention_heads": 2,
    "generation.language_model.num_key_value_heads": 2, "generation.language_model.head_dim": 16,
    "generation.vocabulary": 320, "train.epochs": 1, "train.batch_size": 16, "train.patience": 0,
}  # fmt: skip


def language(**more: Any) -> list[str]:
    """:data:`LANGUAGE` as settings, and ``more`` with ``__`` for the dots."""
    chosen = LANGUAGE | {key.replace("__", "."): value for key, value in more.items()}
    return [f"{key}={value}" for key, value in chosen.items()]


def language_options(**more: Any) -> list[str]:
    """The same as options of the command line."""
    return [word for setting in language(**more) for word in ("--set", setting)]


def user(text: str, **items: str) -> dict[str, Any]:
    """A message with items before its text, by their type: ``user("what?", image="a.png")``."""
    parts = [{"type": kind, "path": path} for kind, path in items.items()]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def assistant(text: str) -> dict[str, Any]:
    """An answer."""
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def write_talks(path: Path, talks: list[list[dict[str, Any]]]) -> Path:
    """Conversations, a line each."""
    path.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks), encoding="utf-8")
    return path
