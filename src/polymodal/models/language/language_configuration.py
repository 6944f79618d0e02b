"""The configuration of a model that answers in words: encoders, connectors, the language model's own."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from polymodal.models.configuration import FORMAT, refuse_newer
from polymodal.utils.records import JsonObject
from polymodal.utils.version import __version__


class PolymodalLanguageConfig(PreTrainedConfig):
    """Everything that builds a model again, without its weights.

    Args:
        inputs: ``{"name", "encoder", "connector", "placeholder", "missing"}`` each, in declared order:
            ``encoder`` is a place in ``encoders``, ``connector`` its type and options, ``placeholder`` and
            ``missing`` the tokens that stand for an item, and for none.
        encoders: What :func:`build_encoder` takes, each encoder once however many inputs share it.
        text_config: Of the language model.
        pretrained: Whether the language model came with weights.
        lora: Settings of the adapters beside the language model's layers; None where it has none.
        format: Of the artifact, see :data:`FORMAT`.
        polymodal_version: That wrote it.

    Raises:
        RunError: If a newer version wrote it, in a format that this one does not know.
    """

    model_type = "polymodal_language"
    sub_configs = {"text_config": AutoConfig}

    inputs: list[dict[str, Any]] = field(default_factory=list)
    encoders: list[dict[str, Any]] = field(default_factory=list)
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    pretrained: bool = False
    lora: dict[str, Any] | None = None
    format: int = FORMAT
    polymodal_version: str = __version__

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse what cannot be known here; the language model's part becomes a configuration of its own."""
        refuse_newer(self)
        if self.text_config is not None:
            # A copy: the base class hands its own choice of attention down, which is none as yet.
            given = self.text_config
            values = dict(given) if isinstance(given, dict) else given.to_dict()
            self.text_config = AutoConfig.for_model(values.pop("model_type"), **values)
        super().__post_init__(**kwargs)

    def to_dict(self) -> JsonObject:
        """The configuration as JSON, with the version that writes it."""
        return super().to_dict() | {"format": FORMAT, "polymodal_version": __version__}

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs in declared order."""
        return [entry["name"] for entry in self.inputs]

    @property
    def head_names(self) -> list[str]:
        """None: it answers in words."""
        return []
