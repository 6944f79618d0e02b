"""The run's declaration: what is read, what is learnt, how; unknown keys are refused."""

from __future__ import annotations

import os
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from polymodal import __version__

Modality = Literal["text", "image", "audio", "video", "sequence", "number", "category"]
READ_MODALITIES = ("text", "image", "audio", "video", "sequence", "number", "category")
"""All of them: each has a reader and an encoder of its name."""
SUITS = {
    "tokens": ("text", "image", "audio", "video", "sequence"),
    "size": ("image", "video"),
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
}
"""The modalities that a setting of an input is about, where it is not about all of them."""
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
"""What training may do to an input, each with the value at which it does nothing."""
TUNING = ("freeze", "lora", "unfreeze_last")
"""The ways to let only a part of a pretrained encoder learn, or nothing of it."""
MOST = 1_000_000
"""Of tokens, steps and items: what is larger is a slip, and fits no memory."""
MOST_ITEMS = 8
"""Of a cell that holds a list, where nothing else is said."""


class Section(BaseModel):
    """A part of the declaration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class DataConfig(Section):
    """Where the rows come from and how they are split."""

    train: str | None = Field(None, description="Table: CSV, TSV, JSONL, Parquet or a saved dataset folder.")
    validation: float | str = Field(0.1, description="Share of the rows held out for validation, or a table.")
    test: float | str = Field(0.1, description="Share of the rows held out for the test, or a table.")
    split: str | None = Field("split", description="Column that names each row's split; wins over any share.")
    group: str | None = Field(None, description="Column whose equal values never stand in two splits.")
    on_error: Literal["refuse", "skip"] = Field(
        "refuse", description="Rows that cannot be read: no fit starts, or they are left out and listed."
    )
    folds: int | None = Field(None, ge=2, description="Equal parts of the rows, one of which is the test.")
    fold: int = Field(0, ge=0, description="Which of the folds is the test, from 0.")
    seed: int | None = Field(None, ge=0, description="Of the split; by default train.seed.")
    labels: int | float | None = Field(
        None, description="Labels to learn from: so many training rows, or a share of them, equal by class."
    )

    cache_memory: float = Field(2.0, ge=0, description="GB of memory for what was decoded or encoded once.")
    cache_disk: float = Field(20.0, ge=0, description="GB of disk for the same; see `polymodal cache`.")

    @field_validator("labels", mode="before")
    @classmethod
    def _count_or_share(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or (is_number and (0 < value < 1 or (value >= 1 and value == int(value)))):
            return int(value) if is_number and value >= 1 else value
        raise ValueError(f"is {value!r}, expected a whole number of rows, or a share between 0 and 1")

    @model_validator(mode="after")
    def _fold_is_there(self) -> DataConfig:
        if self.fold >= (self.folds or 1):
            has = f"data.folds is {self.folds}" if self.folds else "data.folds is not given"
            raise ValueError(f"there is no fold {self.fold}: {has}, and folds are counted from 0")
        return self


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


class LoraSettings(Section):
    """Low-rank adapters beside the linear layers of a pretrained encoder."""

    rank: int = Field(8, ge=1, description="Rank of each adapter.")
    alpha: float = Field(16.0, gt=0, description="The adapters' part is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Before each adapter.")
    targets: list[str] | None = Field(
        None, min_length=1, description="Ends of the names of the layers, such as query; by default all."
    )


class InputConfig(Section):
    """A column the model reads."""

    modality: Modality
    encoder: EncoderConfig | None = Field(None, description="A name, or {checkpoint: …} or {type: …, sizes}.")
    freeze: bool = Field(False, description="Leave a pretrained encoder as it is.")
    lora: LoraSettings | None = Field(None, description="Low-rank adapters learn instead of the encoder.")
    unfreeze_last: int | None = Field(
        None, ge=1, description="So many last layers of a pretrained encoder learn, the others stay."
    )
    share: bool = Field(True, description="Share the encoder with equal inputs of the same modality.")
    tokens: int = Field(64, ge=1, le=MOST, description="Most tokens an item of this input may take.")
    size: int | None = Field(
        None, ge=8, le=8192, description="image, video: side in pixels that the model sees."
    )
    frames: int | None = Field(None, ge=1, le=10_000, description="video: frames sampled evenly over a clip.")
    rate: int | None = Field(
        None, ge=1000, le=768_000, description="audio: samples a second that the model hears."
    )
    seconds: float | None = Field(None, gt=0, le=600, description="audio: fixed length; cut or padded to it.")
    max_length: int | None = Field(None, ge=2, le=MOST, description="text: most tokens read.")
    top_db: float = Field(
        80.0, gt=0, description="audio: decibels below its loudest moment that are heard, in a log-mel."
    )
    length: int | None = Field(None, ge=1, le=MOST, description="sequence: most steps read; the rest is cut.")
    items: int = Field(
        MOST_ITEMS, ge=1, le=MOST, description="Most items in a cell that holds a list of them."
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
    flip: bool = Field(False, description="image, video: in training, mirror every other one, left to right.")
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
        0.0, ge=0, lt=1, description="text: in training, chance of each word to be left out."
    )

    @property
    def changes(self) -> dict[str, Any]:
        """What of :data:`CHANGES` was asked for by name."""
        given = {name: getattr(self, name) for name in CHANGES}
        return {name: value for name, value in given.items() if value not in (None, CHANGES[name])}

    def unchanged(self) -> InputConfig:
        """The same input, which training reads as it is."""
        return self.model_copy(update={"augment": False, **CHANGES})

    @model_validator(mode="before")
    @classmethod
    def _short_encoder(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("encoder"), str):
            values = values | {"encoder": named_encoder(values["encoder"])}
        if isinstance(values, dict) and isinstance(values.get("lora"), bool):
            values = values | {"lora": {} if values["lora"] else None}
        return values

    @model_validator(mode="after")
    def _no_idle_setting(self) -> InputConfig:
        """Refuse what would have no effect."""
        checkpoint = self.encoder.checkpoint if self.encoder else None
        ways = [name for name in TUNING if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"'{ways[0]}' and '{ways[1]}' exclude each other: each says what stays as it is")
        for name, modalities in SUITS.items():
            if getattr(self, name) == type(self).model_fields[name].default:
                continue
            if self.modality in READ_MODALITIES and self.modality not in modalities:
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


def named_encoder(name: str) -> dict[str, str]:
    """``bert`` is a model type, built from scratch; ``owner/name`` or a folder is a checkpoint."""
    is_checkpoint = "/" in name or "\\" in name or os.path.isdir(name)
    return {"checkpoint": name} if is_checkpoint else {"type": name}


class TargetConfig(Section):
    """A column the model learns to answer."""

    task: str = Field(
        description="classification, multilabel, regression, or a head that another package offers."
    )
    weight: float = Field(1.0, gt=0, description="Share of this target in the loss.")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="classification, multilabel: 'balanced' lifts rare classes."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="classification: probability given to the other classes."
    )
    transform: Literal["none", "log"] = Field(
        "none", description="regression: 'log' learns log(1 + x) of amounts."
    )
    separator: Literal["|", ";", ","] | None = Field(
        None, description="multilabel: what stands between the labels of a text; lists need none."
    )
    thresholds: float | Literal["validation"] | None = Field(
        None,
        description="multilabel: probability from which a label is said, or 'validation', the default: "
        "each label's best on the validation rows. classification: 'validation', or none: the likeliest.",
    )
    temperature: bool = Field(
        True,
        description="classification, multilabel: make the probabilities as sure as they are right, by a "
        "number that is fitted on the validation rows.",
    )
    interval: float | None = Field(
        0.9, gt=0, lt=1, description="regression: share of the answers that the interval is to hold."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="What a head of another package takes besides."
    )
    _family: str = PrivateAttr("")

    @property
    def family(self) -> str:
        """The task whose cells are read alike: that of the head, once it is known, else the task itself."""
        return self._family or self.task

    def belongs_to(self, family: str) -> None:
        """Set the family."""
        self._family = family if family != self.task else ""

    @model_validator(mode="before")
    @classmethod
    def _chosen_thresholds(cls, values: Any) -> Any:
        is_open = isinstance(values, dict) and values.get("thresholds") is None
        return (
            values | {"thresholds": "validation"}
            if is_open and values.get("task") == "multilabel"
            else values
        )

    @field_validator("thresholds", mode="before")
    @classmethod
    def _one_threshold(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value in (None, "validation") or (is_number and 0 < value < 1):
            return value
        raise ValueError(f"is {value!r}, expected 'validation' or a number between 0 and 1")

    @model_validator(mode="after")
    def _no_idle_setting(self) -> TargetConfig:
        """Refuse what would have no effect."""
        others = {
            "classification": ("transform", "separator", "interval"),
            "multilabel": ("transform", "label_smoothing", "interval"),
            "regression": ("class_weights", "label_smoothing", "separator", "thresholds", "temperature"),
        }
        for name in others.get(self.task, ()):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"'{name}' is no setting of a {self.task}")
        if self.task == "classification" and self.thresholds not in (None, "validation"):
            raise ValueError(
                "'thresholds' of a classification is 'validation', or nothing: the likeliest class"
            )
        return self


class ObjectiveConfig(Section):
    """What is learned from rows without targets; any other key is an option of that objective."""

    model_config = ConfigDict(extra="allow")

    weight: float = Field(1.0, gt=0, description="Share of this objective in the loss.")
    inputs: list[str] | None = Field(
        None, min_length=1, description="Inputs that take part; by default all that can."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The objective's own options that were given."""
        return dict(self.model_extra or {})


class FusionConfig(Section):
    """How the inputs become one state; any other key is an option of that fusion."""

    model_config = ConfigDict(extra="allow")

    name: str = "transformer"
    width: int = Field(128, ge=8, description="Of all tokens, once they are embedded.")
    space: int | None = Field(
        None, ge=2, description="Width of the vectors that an objective compares; by default the width."
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Of embedded tokens, inside the fusion, before heads."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The fusion's own options that were given."""
        return dict(self.model_extra or {})


class TrainConfig(Section):
    """How the model is trained; other fields of ``transformers.TrainingArguments`` go by their own names."""

    model_config = ConfigDict(extra="allow")

    epochs: float | None = Field(None, gt=0, description="num_train_epochs; by default from the rows.")
    batch_size: int | None = Field(
        None, ge=1, description="per_device_train_batch_size; by default from the rows."
    )
    learning_rate: float = Field(1e-3, gt=0, description="learning_rate, of everything that is new.")
    pretrained_learning_rate: float = Field(
        5e-5, ge=0, description="Learning rate of what came with weights."
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Factor from each layer of a pretrained encoder to the one below it."
    )
    weight_decay: float = Field(0.05, ge=0, description="weight_decay")
    warmup: float = Field(0.1, ge=0, lt=1, description="warmup_ratio: share of the steps.")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="bf16 or fp16")
    device: str | None = Field(None, description="cpu, cuda or mps; by default the fastest that is there.")
    patience: int | None = Field(
        None, ge=0, description="Epochs without a better metric before stopping; 0: never."
    )
    metric: str | None = Field(
        None, description="Validation metric that picks the best epoch: accuracy, label.macro_f1, …"
    )
    keep_from: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of the steps before which no epoch is evaluated or kept: early ones win by luck. "
        "By default 0, without targets 0.9.",
    )
    weighting: Literal["fixed", "uncertainty"] = Field(
        "fixed", description="Several targets and objectives: by each one's 'weight', or by learned ones."
    )
    modality_dropout: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Chance that a row's input is left out in training; by default 0.15, without targets 0.",
    )
    piece: int | None = Field(
        None,
        ge=1,
        description="Rows that go through the encoders at once: objectives then compare larger batches.",
    )
    augment: bool = Field(
        True, description="False: training reads every input as it is, whatever the inputs' settings say."
    )
    seed: int = Field(0, ge=0, description="seed")
    workers: int = Field(0, ge=0, description="dataloader_num_workers")

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields of TrainingArguments given by their own names."""
        return dict(self.model_extra or {})


class ReportConfig(Section):
    """What is measured and written once a run is trained."""

    write: bool = Field(True, description="Whether a fit ends with report.html and report.json.")
    group: str | None = Field(
        None, description="Column whose equal values are resampled together; by default data.group."
    )
    by: list[str] = Field(
        default_factory=list, description="Columns whose values are compared, inputs of the model or not."
    )
    noise_rows: int = Field(
        500, ge=0, description="Rows whose cells are made worse, level by level; 0 leaves the noise out."
    )


class Declaration(Section):
    """Everything a run is made from."""

    start: str | None = Field(
        None, description="Run folder whose encoders, embedding and fusion go on; heads are new."
    )
    data: DataConfig = Field(default_factory=DataConfig)
    inputs: dict[str, InputConfig] = Field(default_factory=dict)
    targets: dict[str, TargetConfig] = Field(default_factory=dict)
    objectives: dict[str, ObjectiveConfig] = Field(default_factory=dict)
    fusion: FusionConfig = Field(default_factory=FusionConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)

    @model_validator(mode="before")
    @classmethod
    def _bare_objectives(cls, values: Any) -> Any:
        """``contrastive:`` without options, and a list of names, are sections too."""
        given = values.get("objectives") if isinstance(values, dict) else None
        if isinstance(given, list) and all(isinstance(name, str) for name in given):
            given = dict.fromkeys(given)
        if isinstance(given, dict):
            filled = {name: {} if entry is None else entry for name, entry in given.items()}
            return values | {"objectives": filled}
        return values

    def to_yaml(self) -> str:
        """The declaration with every default written out, in declared order, and which version wrote it."""
        text = yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)
        return f"# Written by polymodal {__version__}\n{text}"
