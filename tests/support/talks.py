"""Answers in words on small real files: settings with which such a fit takes seconds, and conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from polymodal.data.chat.chat_templates import set_chat_template
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer

LANGUAGE = {
    "generation.language_model.hidden_size": 32, "generation.language_model.num_hidden_layers": 1,
    "generation.language_model.intermediate_size": 32, "generation.language_model.num_attention_heads": 2,
    "generation.language_model.num_key_value_heads": 2, "generation.language_model.head_dim": 16,
    "generation.vocabulary": 320, "train.epochs": 1, "train.batch_size": 16, "train.patience": 0,
    "report.write": False,
}  # fmt: skip


SIZES = {
    "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256,
    "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 256,
}  # fmt: skip
"""Of a checkpoint, by the names that model types have for them."""


def language(**more: Any) -> list[str]:
    """:data:`LANGUAGE` as settings, and ``more`` with ``__`` for the dots."""
    chosen = LANGUAGE | {key.replace("__", "."): value for key, value in more.items()}
    return [f"{key}={value}" for key, value in chosen.items()]


def language_options(**more: Any) -> list[str]:
    """The same as options of the command line."""
    return [word for setting in language(**more) for word in ("--set", setting)]


def save_speaker(
    folder: Path,
    kind: str = "qwen3",
    *,
    template: str | None = "chatml",
    vocabulary: int | None = None,
    **sizes: Any,
) -> Path:
    """A checkpoint of a language model as a hub would hold it, with its tokenizer.

    Args:
        folder: To write it to.
        kind: Its model type.
        template: Of ours, for its chats; None: it has none, nor a token that pads.
        vocabulary: Tokens that the model knows; by default the tokenizer's.
        sizes: Over :data:`SIZES`.
    """
    tokenizer = train_language_tokenizer(
        ["flat or house? ", "bright balcony, quiet street, 3 rooms"] * 4, 320
    )
    if template is None:
        tokenizer.chat_template = tokenizer.pad_token = None
    else:
        set_chat_template(tokenizer, template)
    torch.manual_seed(0)
    known = set(hf.AutoConfig.for_model(kind).to_dict())
    given = {name: size for name, size in (SIZES | sizes).items() if name in known}
    config = hf.AutoConfig.for_model(kind, vocab_size=vocabulary or len(tokenizer), **given)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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
