"""Sections of an input's encoder, its LoRA adapters, and its connector to a language model."""

from __future__ import annotations

import os
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from polymodal.config.base import Section


class EncoderConfig(Section):
    """The Transformers backbone of an input; any other key is a size of that backbone."""

    model_config = ConfigDict(extra="allow")

    checkpoint: str | None = Field(None, description="Hub name or local folder of a pretrained model.")
    type: str | None = Field(None, description="A Transformers model type, built from scratch.")

    @model_validator(mode="after")
    def _one_source(self) -> EncoderConfig:
        if self.checkpoint and self.type:
            raise ValueError("give either 'checkpoint' (pretrained) or 'type' (from scratch), not both")
        return self

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes of the backbone that the section names."""
        return dict(self.model_extra or {})


AUTO = "auto"
"""In place of an encoder's name: a recommended pretrained one; see ``polymodal.pretrained.choosing``."""


class LoraSettings(Section):
    """Low-rank adapters (LoRA) beside the linear layers of a pretrained encoder."""

    rank: int = Field(8, ge=1, description="Rank of each adapter.")
    alpha: float = Field(16.0, gt=0, description="The adapters' part is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Before each adapter.")
    targets: list[str] | None = Field(
        None, min_length=1, description="Ends of the names of the layers, such as query; by default all."
    )
    dora: bool = Field(False, description="Learn length and direction of each weight's columns apart.")
    last: int | None = Field(None, ge=1, description="Only in so many last layers; by default in all.")


class ConnectorConfig(Section):
    """From an encoder's tokens to a language model; any other key is an option of that connector."""

    model_config = ConfigDict(extra="allow")

    type: str = Field("mlp", description="mlp (a vector a token of the encoder), resampler (a fixed number).")
    layer: int | None = Field(
        None,
        description="image: the hidden layer that is read, all its patches and nothing added, as LLaVA does "
        "(-2 there); by default the encoder's last, pooled to 'tokens'.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options of the connector that the section names."""
        return dict(self.model_extra or {})


def named_encoder(name: str) -> dict[str, str]:
    """``bert`` is a model type, built from scratch; ``owner/name`` or a folder is a checkpoint."""
    is_checkpoint = "/" in name or "\\" in name or os.path.isdir(name)
    return {"checkpoint": name} if is_checkpoint else {"type": name}
