"""Schema of the keys of ``metrics.json`` that report, comparison and resumed fits read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from polymodal.errors import RunError, one_line


class _Part(BaseModel):
    """Other keys are allowed; a key that is not there has the default."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Trained(_Part):
    seconds: float | None = None
    rows_per_second: float | None = None
    epochs: float | None = None
    threads: int | None = Field(None, ge=1, le=4096)


class _Best(_Part):
    epoch: float | None = None


class _Entry(_Part):
    """One line of the log of training."""

    epoch: float

    @model_validator(mode="after")
    def _losses(self) -> _Entry:
        for name, value in (self.model_extra or {}).items():
            if (name == "loss" or name.startswith("eval_")) and not isinstance(value, int | float):
                raise ValueError(f"'{name}' is {value!r}, expected a number")
        return self


class Recorded(_Part):
    """The keys of ``metrics.json`` that are read later; runs of earlier versions lack some."""

    test: dict[str, dict[str, Any]] = {}
    validation: _Best | None = None
    train: _Trained = _Trained()
    parameters: int | None = None
    rows: dict[str, int] = {}
    notes: list[str] = []
    warnings: list[str] = []
    versions: dict[str, str] = {}
    history: list[_Entry] = []
    sample_weight: str | None = None


def check_recorded(path: Path, content: Any) -> dict[str, Any]:
    """The content of a ``metrics.json``, if it has the shape that a fit writes.

    Raises:
        RunError: If it has not.
    """
    if not isinstance(content, dict):
        raise RunError(f"{path}: holds no JSON object. Fit again")
    try:
        Recorded.model_validate(content)
    except ValidationError as error:
        wrong = error.errors()[0]
        location, value = ".".join(map(str, wrong["loc"])), one_line(repr(wrong["input"]), 80)
        reason = f"'{location}' is {value}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}"
        raise RunError(f"{path}: was not written by a fit ({reason}). Fit again") from None
    return content
