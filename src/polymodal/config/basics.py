"""What is known of settings without the declaration of a run: modalities, and how large a number may be."""

from __future__ import annotations

from typing import Any

from polymodal.utils.registry import Registry

READ_MODALITIES = (
    "text", "image", "audio", "video", "sequence", "number", "category", "date", "categories",
)  # fmt: skip
"""Our own modalities: each has a reader and an encoder of its name."""
MODALITIES: Registry[Any] = Registry("modality", group="polymodal.modalities")
"""The reader classes of all modalities; `data.readers` enters ours, other packages offer theirs."""
MOST_ITEMS = 8
"""Default of the most items of a cell that holds a list."""
MOST = 1_000_000
"""Upper bound of tokens, steps and items; larger numbers are typing errors and fit no memory."""
