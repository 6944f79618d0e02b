"""Media in cells: opened within limits, decoded and described; names are imported lazily."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polymodal.data.media.audio import audio_info, load_audio
    from polymodal.data.media.cells import (
        LIMITS,
        Limits,
        MediaError,
        describe,
        is_empty,
        open_cell,
        recognise,
    )
    from polymodal.data.media.image import image_size, load_image

__all__ = [
    "LIMITS", "Limits", "MediaError", "audio_info", "describe", "image_size", "is_empty", "load_audio",
    "load_image", "open_cell", "recognise",
]  # fmt: skip
_HOMES = {
    "polymodal.data.media.audio": ("audio_info", "load_audio"),
    "polymodal.data.media.image": ("image_size", "load_image"),
    "polymodal.data.media.cells": (
        "LIMITS", "Limits", "MediaError", "describe", "is_empty", "open_cell", "recognise",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
