"""The shape of ``trainer_state.json``, which ``--resume`` reads before the Trainer does."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Control(_Part):
    args: dict[str, bool]
    attributes: dict[str, Any] = Field(max_length=0)


class State(BaseModel):
    """What a training needs of it to go on; other keys are Transformers' own and checked by it."""

    model_config = ConfigDict(extra="allow", strict=True)

    global_step: int = Field(ge=0)
    epoch: FiniteFloat = Field(ge=0)
    max_steps: int = 0
    num_train_epochs: int = 0
    logging_steps: FiniteFloat = Field(1, gt=0)
    eval_steps: FiniteFloat = Field(1, gt=0)
    save_steps: FiniteFloat = Field(1, gt=0)
    train_batch_size: int | None = Field(None, ge=1, le=2**24)
    num_input_tokens_seen: int = 0
    total_flos: FiniteFloat = 0
    best_metric: float | None = None
    best_global_step: int | None = Field(None, ge=0)
    best_model_checkpoint: str | None = None
    log_history: list[dict[str, float | int | str | bool | None]] = []
    stateful_callbacks: dict[str, Any]


def has_shape(state: Any) -> bool:
    """Whether a training can go on from such a state."""
    try:
        checked = State.model_validate(state)
        _Control.model_validate(checked.stateful_callbacks["TrainerControl"])
    except (ValidationError, KeyError):
        return False
    parts = checked.stateful_callbacks.values()
    return all(isinstance(part, dict) and part.keys() == {"args", "attributes"} for part in parts)
