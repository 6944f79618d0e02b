"""Media in cells: opened within limits, decoded, described; the names used outside this room, loaded
lazily."""

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
_MODULES = {"audio_info": "audio", "load_audio": "audio", "image_size": "image", "load_image": "image"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'cells')}"), name)
