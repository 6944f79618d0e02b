"""Arrays of what is measured, from tensors too, and without importing torch for either."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Values: TypeAlias = "np.ndarray | Tensor"
"""An array, or a tensor on any device."""


def as_array(values: Values) -> np.ndarray:
    """``values`` as an array in main memory."""
    return values if isinstance(values, np.ndarray) else np.asarray(values.detach().cpu().numpy())
