"""The section ``targets``: the columns that are predicted."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from polymodal.config.base import Section


class TargetConfig(Section):
    """A column that the model predicts."""

    task: str = Field(
        description="classification, ordinal, multilabel, regression, or a task that another package offers."
    )
    weight: float = Field(1.0, gt=0, description="Share of this target in the loss.")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="classification, multilabel: 'balanced' lifts rare classes."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="classification: probability given to the other classes."
    )
    transform: Literal["none", "log", "auto"] = Field(
        "none",
        description="regression: 'log' learns log(1 + x) of amounts; 'auto', its default, becomes 'log' or "
        "'none' before the training, by the training rows.",
    )
    separator: Literal["|", ";", ","] | None = Field(
        None, description="multilabel: separator of the labels in a text; lists need none."
    )
    format: str | None = Field(
        None,
        description="regression: how the column's texts write the number 1234.5, such as '1.234,5 €'.",
    )
    unit: str | None = Field(
        None,
        description="regression: the unit of its numbers on pages, such as '€'; by default that of 'format'.",
    )
    thresholds: float | Literal["validation"] | None = Field(
        None,
        description="multilabel: probability from which a label is predicted, or 'validation', the default: "
        "each label's best on the validation rows. classification: 'validation', or none: the likeliest.",
    )
    temperature: bool = Field(
        True,
        description="classification, multilabel: calibrate the probabilities by a temperature that is "
        "fitted on the validation rows.",
    )
    classes: list[str] | None = Field(
        None,
        description="ordinal: the classes from the lowest to the highest. By default numbers by their size.",
        exclude_if=lambda value: value is None,
    )
    interval: float | None = Field(
        0.9, gt=0, lt=1, description="regression: coverage of the prediction intervals."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Options of a head of another package.")
    _family: str = PrivateAttr("")
    _ordered: bool = PrivateAttr(False)

    @property
    def shown_unit(self) -> str:
        """The unit beside its numbers: as given, or what ``format`` has beside its digits; else empty."""
        if self.unit is not None:
            return self.unit.strip()
        return re.sub(r"[\d.,'’\s+-]", "", self.format or "")

    @property
    def family(self) -> str:
        """The task family, by which cells are read: that of the head once it is known, otherwise the task."""
        return self._family or self.task

    @property
    def ordered(self) -> bool:
        """Whether the classes have an order, by the task once it is known."""
        return self._ordered

    def belongs_to(self, family: str, *, ordered: bool = False) -> None:
        """Set the family, and whether its classes have an order."""
        self._family = family if family != self.task else ""
        self._ordered = ordered

    @model_validator(mode="before")
    @classmethod
    def _chosen_thresholds(cls, values: Any) -> Any:
        is_open = isinstance(values, dict) and values.get("thresholds") is None
        return (
            values | {"thresholds": "validation"}
            if is_open and values.get("task") == "multilabel"
            else values
        )

    @model_validator(mode="before")
    @classmethod
    def _chosen_transform(cls, values: Any) -> Any:
        is_open = isinstance(values, dict) and values.get("transform") is None
        return values | {"transform": "auto"} if is_open and values.get("task") == "regression" else values

    @field_validator("classes", mode="before")
    @classmethod
    def _named_classes(cls, value: Any) -> Any:
        if value is None:
            return value
        if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
            raise ValueError(f"is {value!r}, expected the classes in their order, such as [low, high]")
        names = [str(entry) for entry in value]
        if len(names) < 2 or len({*names}) < len(names):
            raise ValueError(f"is {value!r}, expected two classes or more, each once")
        return names

    @field_validator("thresholds", mode="before")
    @classmethod
    def _one_threshold(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value in (None, "validation") or (is_number and 0 < value < 1):
            return value
        raise ValueError(f"is {value!r}, expected 'validation' or a number between 0 and 1")

    @model_validator(mode="after")
    def _no_idle_setting(self) -> TargetConfig:
        """Refuse settings that would have no effect."""
        others = {
            "classification": ("transform", "separator", "interval", "format", "classes"),
            "multilabel": ("transform", "label_smoothing", "interval", "format", "classes"),
            "regression": (
                "class_weights",
                "label_smoothing",
                "separator",
                "thresholds",
                "temperature",
                "classes",
            ),
        }
        for name in others.get(self.task, ()):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"'{name}' is no setting of a {self.task}")
        if self.task == "classification" and self.thresholds not in (None, "validation"):
            raise ValueError(
                "'thresholds' of a classification is 'validation', or nothing: the likeliest class"
            )
        return self
