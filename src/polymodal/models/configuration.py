"""The model's configuration; lists keep the declared order, for ``config.json`` sorts its keys."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import PreTrainedConfig

from polymodal.errors import RunError
from polymodal.utils.records import JsonObject
from polymodal.utils.version import __version__

FORMAT = 1
"""Version of the artifact's format; it grows when an older version could no longer read it."""


class PolymodalConfig(PreTrainedConfig):
    """Everything that rebuilds a model, without its weights.

    Args:
        inputs: ``{"name", "encoder"}`` each, in declared order; ``encoder`` is an index into ``encoders``.
        encoders: Settings of each encoder, as :func:`build_encoder` takes them; shared encoders appear once.
        fusion: ``{"name", "width", **options}``.
        heads: ``{"name", "task", **settings}`` each, in declared order.
        objectives: ``{"name", **settings}`` each, in declared order.
        space: Width of the vectors by which inputs are compared; None where no objective compares them.
        space_projection: Whether these are projected once more after the embedding.
        embedding_dropout: Dropout on the embedded tokens.
        weighting: Weighting of the losses of heads and objectives, ``fixed`` or ``uncertainty``.
        format: Version of the artifact's format, see :data:`FORMAT`.
        polymodal_version: The version that wrote it.

    Raises:
        RunError: If a newer version wrote it, in a format that this one does not know.
    """

    model_type = "polymodal"
    keys_to_ignore_at_inference = ["embeddings", "fused", "losses", "present"]

    inputs: list[dict[str, Any]] = field(default_factory=list)
    encoders: list[dict[str, Any]] = field(default_factory=list)
    fusion: dict[str, Any] = field(default_factory=lambda: {"name": "transformer", "width": 128})
    heads: list[dict[str, Any]] = field(default_factory=list)
    objectives: list[dict[str, Any]] = field(default_factory=list)
    space: int | None = None
    space_projection: bool = True
    embedding_dropout: float = 0.1
    weighting: str = "fixed"
    format: int = FORMAT
    polymodal_version: str = __version__

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse a format that this version does not know."""
        refuse_newer(self)
        super().__post_init__(**kwargs)

    def to_dict(self) -> JsonObject:
        """The configuration as a dictionary, with the format and version of this package."""
        return super().to_dict() | {"format": FORMAT, "polymodal_version": __version__}

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs in declared order."""
        return [entry["name"] for entry in self.inputs]

    @property
    def head_names(self) -> list[str]:
        """Names of the targets in declared order."""
        return [entry["name"] for entry in self.heads]


def refuse_newer(config: Any) -> None:
    """Refuse an artifact of a format that this version does not know.

    Raises:
        RunError: If a newer version wrote it.
    """
    if config.format > FORMAT:
        raise RunError(
            f"written by polymodal {config.polymodal_version} in format {config.format}, "
            f"this is {__version__} and knows formats up to {FORMAT}. Upgrade: pip install -U polymodal"
        )
