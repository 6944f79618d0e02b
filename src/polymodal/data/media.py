"""Pictures and recordings, and what a cell is before it is opened: the names used outside this room."""

from polymodal.data.cells import LIMITS, Limits, MediaError, describe, is_empty, open_cell, recognise
from polymodal.data.pictures import image_size, load_image
from polymodal.data.recordings import audio_info, load_audio

__all__ = [
    "LIMITS", "Limits", "MediaError", "audio_info", "describe", "image_size", "is_empty", "load_audio",
    "load_image", "open_cell", "recognise",
]  # fmt: skip
