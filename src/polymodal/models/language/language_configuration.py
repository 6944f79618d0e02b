"""The configuration of a generation model: encoders, connectors and language model."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from polymodal.config.generation import LANGUAGE_TYPE
from polymodal.models.configuration import FORMAT, refuse_newer
from polymodal.utils.records import JsonObject
from polymodal.utils.version import __version__


class PolymodalLanguageConfig(PreTrainedConfig):
    """Everything that rebuilds a generation model, without its weights.

    Args:
        inputs: ``{"name", "encoder", "connector", "placeholder", "missing"}`` each, in declared order:
            ``encoder`` is an index into ``encoders``, ``connector`` its type and options, ``placeholder`` and
            ``missing`` the tokens of an item and of a missing one.
        encoders: Settings of each encoder, as :func:`build_encoder` takes them; shared encoders appear once.
        text_config: Configuration of the language model.
        pretrained: Whether the language model is pretrained.
        lora: Settings of the adapters beside the language model's layers; None where it has none.
        format: Version of the artifact's format, see :data:`FORMAT`.
        polymodal_version: The version that wrote it.

    Raises:
        RunError: If a newer version wrote it, in a format that this one does not know.
    """

    model_type = LANGUAGE_TYPE
    sub_configs = {"text_config": AutoConfig}

    inputs: list[dict[str, Any]] = field(default_factory=list)
    encoders: list[dict[str, Any]] = field(default_factory=list)
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    pretrained: bool = False
    lora: dict[str, Any] | None = None
    format: int = FORMAT
    polymodal_version: str = __version__

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse an unknown format, and build the language model's configuration."""
        refuse_newer(self)
        if self.text_config is not None:
            # A copy, for the base class sets its own choice of attention in it.
            given = self.text_config
            values = dict(given) if isinstance(given, dict) else given.to_dict()
            self.text_config = AutoConfig.for_model(values.pop("model_type"), **values)
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
        """No targets: the model generates text."""
        return []
