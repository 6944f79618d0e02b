"""p-values of several comparisons, so that many of them do not find by chance what is not there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected so that the chance of any false one at a level is at most the level (Holm 1979).

    The smallest of ``m`` is multiplied by ``m``, the next by ``m - 1``, and none becomes smaller than one
    before it.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p, dtype=float)[order] * factors))
    return corrected.tolist()
