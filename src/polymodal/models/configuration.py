"""The model's configuration: lists keep the declared order, for ``config.json`` is written with sorted keys."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig


class PolymodalConfig(PreTrainedConfig):
    """Everything that builds a model again, without its weights.

    Args:
        inputs: ``{"name", "encoder"}`` each, in declared order; ``encoder`` is a place in ``encoders``.
        encoders: What :func:`build_encoder` takes, each encoder once however many inputs share it.
        fusion: ``{"name", "width", **options}``.
        heads: ``{"name", "task", **settings}`` each, in declared order.
        embedding_dropout: Dropout on the embedded tokens.
    """

    model_type = "polymodal"
    keys_to_ignore_at_inference = ["embeddings", "fused", "losses", "present"]  # noqa: RUF012

    inputs: list[dict[str, Any]] | None = None
    encoders: list[dict[str, Any]] | None = None
    fusion: dict[str, Any] | None = None
    heads: list[dict[str, Any]] | None = None
    embedding_dropout: float = 0.1

    def __post_init__(self, **kwargs: Any) -> None:
        self.inputs = self.inputs or []
        self.encoders = self.encoders or []
        self.fusion = self.fusion or {"name": "transformer", "width": 128}
        self.heads = self.heads or []
        super().__post_init__(**kwargs)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs in declared order."""
        return [entry["name"] for entry in self.inputs or []]

    @property
    def head_names(self) -> list[str]:
        """Names of the targets in declared order."""
        return [entry["name"] for entry in self.heads or []]
