"""The sections ``objectives``, ``fusion``, ``train`` and ``report``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from polymodal.config.base import Section
from polymodal.utils.deadline import read_limit
from polymodal.utils.records import JsonObject


class ObjectiveConfig(Section):
    """A self-supervised objective; any other key is an option of that objective."""

    model_config = ConfigDict(extra="allow")

    weight: float = Field(1.0, gt=0, description="Share of this objective in the loss.")
    inputs: list[str] | None = Field(
        None, min_length=1, description="Inputs that take part; by default all that can."
    )

    @property
    def options(self) -> JsonObject:
        """The options of the objective that the section names."""
        return dict(self.model_extra or {})


class FusionConfig(Section):
    """The fusion of the inputs; any other key is an option of that fusion."""

    model_config = ConfigDict(extra="allow")

    name: str = "transformer"
    width: int = Field(128, ge=8, description="Width of the embedded tokens.")
    space: int | None = Field(
        None, ge=2, description="Width of the vectors that an objective compares; by default the fusion's."
    )
    space_projection: bool = Field(
        True, description="False: the means of the embedded tokens are compared, not projected once more."
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Dropout of embedded tokens, inside the fusion, and before heads."
    )

    @property
    def options(self) -> JsonObject:
        """The options of the fusion that the section names."""
        return dict(self.model_extra or {})


class TrainConfig(Section):
    """The training; other fields of ``transformers.TrainingArguments`` are set by their own names."""

    model_config = ConfigDict(extra="allow")

    epochs: float | None = Field(None, gt=0, description="num_train_epochs; by default from the rows.")
    batch_size: int | None = Field(
        None, ge=1, description="per_device_train_batch_size; by default from the rows."
    )
    learning_rate: float = Field(1e-3, gt=0, description="learning_rate, of everything that is new.")
    pretrained_learning_rate: float = Field(
        5e-5, ge=0, description="Learning rate of what came with weights."
    )
    continued_learning_rate: float | None = Field(
        None,
        ge=0,
        description="With --from, learning rate of what was trained from scratch there: by default "
        "pretrained_learning_rate where that is given, otherwise learning_rate.",
        exclude_if=lambda value: value is None,
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="Factor from each layer of a pretrained encoder to the one below it."
    )
    weight_decay: float = Field(0.05, ge=0, description="weight_decay")
    warmup: float = Field(0.1, ge=0, lt=1, description="warmup_ratio: share of the steps.")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="bf16 or fp16")
    device: str | None = Field(None, description="cpu, cuda or mps; by default the fastest that is there.")
    patience: int | None = Field(
        None,
        ge=0,
        description="Epochs without a better metric before stopping, counted once the learning rate is below "
        "half of its peak; half as many where the validation loss stays 20 % above its smallest; 0: never.",
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
    candidates: list[str] | None = Field(
        None,
        min_length=1,
        description="Models that are tried, and blended where there are several: plain, frozen, tabicl, "
        "fused, tuned, or one that another package offers. By default plain and fused where these can be "
        "blended, beside frozen and tuned where there are such encoders, otherwise fused.",
        exclude_if=lambda value: value is None,
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
    encoders: Literal["scratch", "auto", "tuned"] | None = Field(
        None,
        description="Of inputs without 'encoder': auto: a recommended pretrained, frozen; tuned: by LoRA. "
        "By default auto where there are targets, otherwise scratch.",
        exclude_if=lambda value: value is None,
    )
    augment: bool = Field(True, description="False: no augmentation, whatever the inputs' settings.")
    seed: int = Field(0, ge=0, description="seed")
    workers: int = Field(0, ge=0, description="dataloader_num_workers")
    threads: int | None = Field(
        None, ge=1, description="Threads on a CPU; by default the fastest number, timed before training."
    )

    time_limit: Annotated[float, BeforeValidator(read_limit)] | None = Field(
        None,
        description="Seconds that the whole fit may take, or such as 10m: what does not fit is left out.",
        exclude_if=lambda value: value is None,
    )

    @property
    def arguments(self) -> JsonObject:
        """The fields of TrainingArguments that the section sets by their own names."""
        return dict(self.model_extra or {})


class ReportConfig(Section):
    """The report of a trained run."""

    write: bool = Field(
        True, description="Whether a fit ends with report.html and report.json; false is amount: none."
    )
    amount: Literal["none", "short", "full"] | None = Field(
        None,
        description="'none': a fit ends without a report; 'short': without corrupted cells and interactions "
        "of inputs; 'full': with all. By default full where that takes about 10 seconds or less, else short.",
    )
    group: str | None = Field(
        None, description="Column whose equal values are resampled together; by default data.group."
    )
    by: list[str] = Field(
        default_factory=list, description="Columns whose values are compared, inputs of the model or not."
    )
    media: bool = Field(True, description="Whether the report shows cells of rows: media, texts, values.")
    predictions: bool = Field(
        True, description="Whether the run keeps the answers to its test rows, and its report shows rows."
    )
    samples: int = Field(
        8,
        ge=0,
        le=100,
        description="Rows that the run keeps in samples/ with its answers, for verify; 0 for none. Without "
        "media or predictions there are none either.",
    )
    noise_rows: int = Field(
        500,
        ge=0,
        description="Rows whose cells are made worse, level by level, at most 100 of a blend over pretrained "
        "encoders; 0 leaves the noise out.",
    )

    @property
    def is_written(self) -> bool:
        """Whether a fit ends with a report."""
        return self.write and self.amount != "none"
