"""The section ``inputs``: the columns that are read, and their encoders."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from polymodal.config.base import Section
from polymodal.config.basics import MODALITIES, MOST, MOST_ITEMS, READ_MODALITIES
from polymodal.config.encoders import ConnectorConfig, EncoderConfig, LoraSettings, named_encoder

SUITS = {
    "tokens": ("text", "image", "audio", "video", "sequence"),
    "size": ("image", "video"),
    "full_scale": ("image",),
    "frames": ("video",),
    "rate": ("audio",),
    "seconds": ("audio",),
    "max_length": ("text",),
    "augment": ("text", "image", "audio", "video", "sequence"),
    "crop": ("image", "video"),
    "flip": ("image", "video"),
    "colour": ("image", "video"),
    "time_shift": ("audio",),
    "noise": ("audio",),
    "word_dropout": ("text",),
    "top_db": ("audio",),
    "masking": ("audio", "sequence"),
    "warp": ("audio", "sequence"),
    "equalize": ("audio", "sequence"),
    "length": ("sequence",),
    "items": ("text", "image", "audio", "video", "sequence"),
    "format": ("number", "date"),
    "separator": ("categories",),
}
"""The modalities that a setting of an input applies to, where not to all."""
CHANGES: dict[str, Any] = {
    "crop": 1.0,
    "flip": False,
    "colour": 0.0,
    "time_shift": 0.0,
    "noise": None,
    "equalize": 0.0,
    "warp": 0.0,
    "masking": 0.0,
    "word_dropout": 0.0,
}
"""Augmentations of an input, each with the value that disables it."""
TUNING = ("freeze", "lora", "unfreeze_last")
"""The settings that freeze a pretrained encoder, or a part of it."""


class InputConfig(Section):
    """A column the model reads."""

    modality: str
    encoder: EncoderConfig | None = Field(
        None, description="A name, {checkpoint: …}, {type: …, sizes}, or auto."
    )
    connector: ConnectorConfig | None = Field(
        None, description="From the encoder to a language model: mlp, or {type: resampler, …}."
    )
    freeze: bool = Field(False, description="Freeze a pretrained encoder.")
    lora: LoraSettings | None = Field(None, description="Train low-rank adapters instead of the encoder.")
    unfreeze_last: int | None = Field(
        None, ge=1, description="Train only this many last layers of a pretrained encoder."
    )
    share: bool = Field(True, description="Share the encoder with equal inputs of the same modality.")
    tokens: int = Field(64, ge=1, le=MOST, description="Most tokens per item of this input.")
    size: int | None = Field(None, ge=8, le=8192, description="image, video: side in pixels.")
    full_scale: float | None = Field(
        None, gt=0, le=2**31 - 1,
        description="image: white in pictures of more than 8 bits; by default from training rows.",
    )  # fmt: skip
    frames: int | None = Field(None, ge=1, le=10_000, description="video: frames sampled evenly over a clip.")
    rate: int | None = Field(None, ge=1000, le=768_000, description="audio: samples per second.")
    seconds: float | None = Field(None, gt=0, le=600, description="audio: fixed length; cut or padded to it.")
    max_length: int | None = Field(None, ge=2, le=MOST, description="text: most tokens read.")
    top_db: float = Field(
        80.0, gt=0, description="audio: dynamic range of the log-mel, in decibels below its maximum."
    )
    length: int | None = Field(
        None, ge=1, le=MOST, description="sequence: most steps read; the rest is truncated."
    )
    items: int = Field(
        MOST_ITEMS, ge=1, le=MOST, description="Most items in a cell that holds a list of them."
    )
    format: str | None = Field(
        None,
        description="number: how the column's texts write the number 1234.5, such as '1.234,5 €'; date: how "
        "they write the last day of 2024, '31/12/2024' or '12/31/2024'.",
    )
    separator: str | None = Field(
        None, min_length=1, description="categories: between the labels of a text; lists need none."
    )
    augment: bool = Field(
        True,
        description="In training, shift pictures and clips, mask stretches of sound and of sequences. False: "
        "change nothing.",
    )
    crop: float = Field(
        1.0,
        gt=0,
        le=1,
        description="image, video: in training, smallest share of the area that a random crop keeps; 1: all.",
    )
    flip: bool = Field(False, description="image, video: in training, mirror half of them, left to right.")
    colour: float = Field(
        0.0,
        ge=0,
        le=1,
        description="image, video: in training, strength of changes of light and colour.",
    )
    time_shift: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="audio: in training, most that a recording starts early or late, as a share of itself.",
    )
    noise: float | None = Field(
        None,
        ge=-20,
        le=100,
        description="audio: in training, least decibels of the sound above white noise; null: no noise.",
    )
    masking: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="audio, sequence: widest share of time and features masked in training.",
    )
    warp: float = Field(
        0.0, ge=0, lt=0.5, description="audio, sequence: in training, most stretch of pitch and time."
    )
    equalize: float = Field(
        0.0,
        ge=0,
        description="audio, sequence: in training, deviation of random gains over bins, of a log-mel's.",
    )

    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="text: in training, probability of each word to be dropped."
    )

    @property
    def changes(self) -> dict[str, Any]:
        """The settings of :data:`CHANGES` that the section names."""
        given = {name: getattr(self, name) for name in CHANGES}
        return {name: value for name, value in given.items() if value not in (None, CHANGES[name])}

    def unchanged(self) -> InputConfig:
        """The same input without augmentation."""
        return self.model_copy(update={"augment": False, **CHANGES})

    @field_validator("modality", mode="before")
    @classmethod
    def _known_modality(cls, value: Any) -> Any:
        known = list(dict.fromkeys([*READ_MODALITIES, *MODALITIES]))
        if isinstance(value, str) and value in known:
            return value
        *others, last = map(repr, known)
        expected = f"{', '.join(others)} or {last}"
        raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})

    @model_validator(mode="before")
    @classmethod
    def _short_encoder(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("encoder"), str):
            values = values | {"encoder": named_encoder(values["encoder"])}
        if isinstance(values, dict) and isinstance(values.get("connector"), str):
            values = values | {"connector": {"type": values["connector"]}}
        if isinstance(values, dict) and isinstance(values.get("lora"), bool):
            values = values | {"lora": {} if values["lora"] else None}
        return values

    def _suits(self, name: str) -> bool:
        """Whether a setting applies to this modality; plug-in modalities declare it themselves."""
        if self.modality in READ_MODALITIES:
            return self.modality in SUITS[name]
        return name in MODALITIES[self.modality].input_settings

    @model_validator(mode="after")
    def _no_idle_setting(self) -> InputConfig:
        """Refuse settings that would have no effect."""
        checkpoint = self.encoder.checkpoint if self.encoder else None
        ways = [name for name in TUNING if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"'{ways[0]}' and '{ways[1]}' exclude each other: each names what is frozen")
        for name, modalities in SUITS.items():
            if getattr(self, name) == type(self).model_fields[name].default:
                continue
            if not self._suits(name):
                raise ValueError(
                    f"'{name}' is a setting of {' and '.join(modalities)}, not of {self.modality}"
                )
            if checkpoint and name in ("size", "rate"):
                raise ValueError(f"'{name}' cannot be set: the checkpoint '{checkpoint}' has its own")
        for name in self.changes:
            if not self.augment:
                raise ValueError(f"'{name}' and 'augment: false' exclude each other. Leave one of them out")
            if self.freeze:
                raise ValueError(
                    f"'{name}' and 'freeze' exclude each other: a frozen encoder runs once a cell"
                )
        return self
