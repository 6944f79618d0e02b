"""What every part of a declaration is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

MOST = 1_000_000
"""Of tokens, steps and items: what is larger is a slip, and fits no memory."""


class Section(BaseModel):
    """A part of the declaration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)
