"""The run's declaration: what is read, what is learnt, how. YAML in, JSON Schema out, unknown keys refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polymodal.errors import ConfigError, did_you_mean

Modality = Literal["text", "image", "audio", "video", "number", "category", "sequence"]
READ_MODALITIES = ("text", "image", "audio", "number", "category")
"""The modalities this version reads; the others are recognised and named."""


class Section(BaseModel):
    """A part of the declaration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class DataConfig(Section):
    """Where the rows come from and how they are split."""

    train: str | None = Field(None, description="The table: CSV, TSV, JSONL, Parquet or a saved dataset folder.")
    validation: float | str = Field(0.1, description="Share of the rows held out for validation, or a table.")
    test: float | str = Field(0.1, description="Share of the rows held out for the test, or a table.")
    split: str | None = Field("split", description="Column that names each row's split; it wins over any share.")
    group: str | None = Field(None, description="Column whose equal values never stand in two splits.")


class EncoderConfig(Section):
    """Which Transformers backbone encodes an input; any other key is a size of that backbone."""

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
        """The backbone's sizes that were given."""
        return dict(self.model_extra or {})


class InputConfig(Section):
    """A column the model reads."""

    modality: Modality
    encoder: EncoderConfig | None = Field(None, description="A name, or {checkpoint: …} or {type: …, sizes}.")
    freeze: bool = Field(False, description="Leave a pretrained encoder as it is.")
    share: bool = Field(True, description="Share the encoder with equal inputs of the same modality.")
    tokens: int = Field(64, ge=1, description="Most tokens an item of this input may take.")
    size: int | None = Field(None, ge=8, description="image: side in pixels that the model sees.")
    rate: int | None = Field(None, ge=1000, description="audio: samples a second that the model hears.")
    seconds: float | None = Field(None, gt=0, description="audio: fixed length; longer is cut, shorter padded.")
    max_length: int | None = Field(None, ge=2, description="text: most tokens read.")
    augment: bool = Field(True, description="Vary pictures (shift) and sound (shift, masking) in training.")

    @model_validator(mode="before")
    @classmethod
    def _short_encoder(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("encoder"), str):
            return values | {"encoder": named_encoder(values["encoder"])}
        return values


def named_encoder(name: str) -> dict[str, str]:
    """``bert`` is a model type, built from scratch; ``owner/name`` or a folder is a checkpoint."""
    is_checkpoint = "/" in name or "\\" in name or Path(name).is_dir()
    return {"checkpoint": name} if is_checkpoint else {"type": name}


class TargetConfig(Section):
    """A column the model learns to answer."""

    task: Literal["classification", "regression"]
    weight: float = Field(1.0, gt=0, description="Share of this target in the loss.")
    class_weights: Literal["none", "balanced"] = Field("none", description="classification: 'balanced' lifts rare classes.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="classification: probability given to the other classes.")
    transform: Literal["none", "log"] = Field("none", description="regression: 'log' learns log(1 + x) of amounts.")


class FusionConfig(Section):
    """How the inputs become one state; any other key is an option of that fusion."""

    model_config = ConfigDict(extra="allow")

    name: str = "transformer"
    width: int = Field(128, ge=8, description="The shared space.")

    @property
    def options(self) -> dict[str, Any]:
        """The fusion's own options that were given."""
        return dict(self.model_extra or {})


class TrainConfig(Section):
    """How the model is trained; other fields of ``transformers.TrainingArguments`` go by their own names."""

    model_config = ConfigDict(extra="allow")

    epochs: float | None = Field(None, gt=0, description="num_train_epochs; by default from the number of rows.")
    batch_size: int = Field(64, ge=1, description="per_device_train_batch_size")
    learning_rate: float = Field(1e-3, gt=0, description="learning_rate, of everything that is new.")
    pretrained_learning_rate: float = Field(5e-5, ge=0, description="The learning rate of pretrained encoders.")
    weight_decay: float = Field(0.05, ge=0, description="weight_decay")
    warmup: float = Field(0.1, ge=0, lt=1, description="warmup_ratio: share of the steps.")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="bf16 or fp16")
    patience: int = Field(10, ge=0, description="Epochs without a better validation metric before stopping; 0: never.")
    metric: str | None = Field(None, description="Validation metric that picks the best epoch: accuracy, label.macro_f1, …")
    modality_dropout: float = Field(0.15, ge=0, lt=1, description="Chance that a row's input is left out in training.")
    seed: int = Field(0, ge=0, description="seed")
    workers: int = Field(0, ge=0, description="dataloader_num_workers")

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields of TrainingArguments given by their own names."""
        return dict(self.model_extra or {})


class Declaration(Section):
    """Everything a run is made from."""

    data: DataConfig = Field(default_factory=DataConfig)
    inputs: dict[str, InputConfig] = Field(default_factory=dict)
    targets: dict[str, TargetConfig] = Field(default_factory=dict)
    fusion: FusionConfig = Field(default_factory=FusionConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)

    def to_yaml(self) -> str:
        """The declaration with every default written out, in declared order."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)


def parse(values: Mapping[str, Any], *, source: str = "declaration", lines: Mapping[tuple, int] | None = None) -> Declaration:
    """Check ``values`` and make them a declaration.

    Args:
        values: Sections by name.
        source: What to call it in an error message.
        lines: Line of each key path, for the error messages.

    Raises:
        ConfigError: One line for every unknown key and every value of a wrong type.
    """
    try:
        return Declaration.model_validate(dict(values))
    except ValidationError as error:
        messages = [_explain(entry, source, lines or {}) for entry in error.errors()]
        raise ConfigError("\n".join(messages)) from None


def load_yaml(path: str | Path, settings: Sequence[str] = ()) -> Declaration:
    """Read a declaration from ``path``; ``settings`` such as ``train.epochs=3`` are put over it.

    Raises:
        ConfigError: If the file is no readable YAML or says something unknown, with its line.
    """
    path = Path(path)
    values, lines = read_yaml(path)
    apply_settings(values, settings)
    return parse(values, source=str(path), lines=lines)


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple, int]]:
    """The values of a YAML file, and the line of each key path.

    Raises:
        ConfigError: If it cannot be read, is no mapping, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not readable as YAML ({getattr(error, 'problem', error)})") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected sections such as 'data:' and 'targets:'")
    lines: dict[tuple, int] = {}
    for key, line in _walk(node):
        if key in lines:
            raise ConfigError(f"{path}, line {line}: '{'.'.join(map(str, key))}' is given twice (first in line {lines[key]})")
        lines[key] = line
    return values, lines


def _walk(node: yaml.Node, prefix: tuple = ()) -> Iterator[tuple[tuple, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*prefix, key.value), key.start_mark.line + 1
            yield from _walk(value, (*prefix, key.value))


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> None:
    """Put settings such as ``train.epochs=3`` into ``values``; the right side is read as YAML.

    Raises:
        ConfigError: If a setting is not of the form ``section.key=value``.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            raise ConfigError(f"--set {setting}: expected section.key=value, such as train.epochs=3")
        section = values
        for key in keys[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(f"--set {setting}: '{key}' holds a value, not a section")
        try:
            section[keys[-1]] = _number(yaml.safe_load(text))
        except yaml.YAMLError:
            raise ConfigError(f"--set {setting}: the value is not readable as YAML") from None


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``3e-4`` as text; everybody means the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: Any, source: str, lines: Mapping[tuple, int]) -> str:
    path = tuple(part for part in error["loc"] if not (isinstance(part, str) and part in ("float", "str")))
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    place = f"{source}, line {line}" if line else source
    name = ".".join(map(str, path)) or "declaration"
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key '{name}'. {did_you_mean(str(path[-1]), _known_keys(path[:-1]))}"
    found = repr(error["input"]) if not isinstance(error["input"], dict) else "a section"
    if error["type"] == "missing":
        return f"{place}: '{name}' is missing"
    return f"{place}: '{name}' is {found}; {error['msg'][0].lower()}{error['msg'][1:]}"


def _known_keys(path: tuple) -> list[str]:
    sections: dict[str, type[Section]] = {
        "data": DataConfig, "inputs": InputConfig, "targets": TargetConfig, "fusion": FusionConfig, "train": TrainConfig,
    }  # fmt: skip
    section = sections.get(str(path[0]), Declaration) if path else Declaration
    return list(section.model_fields)
