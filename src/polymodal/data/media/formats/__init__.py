"""The file formats of all media: one file per kind; nothing here opens a file."""

from polymodal.data.media.formats.audio import AUDIO
from polymodal.data.media.formats.base import FileFormats
from polymodal.data.media.formats.image import IMAGE
from polymodal.data.media.formats.sequence import SEQUENCE
from polymodal.data.media.formats.video import VIDEO

__all__ = ["AUDIO", "FORMATS", "IMAGE", "OF_SUFFIX", "SEQUENCE", "VIDEO", "FileFormats"]

FORMATS = {each.modality: each for each in (IMAGE, AUDIO, VIDEO, SEQUENCE)}
"""By modality."""
OF_SUFFIX = {
    suffix: each.modality
    for opened in (False, True)
    for each in FORMATS.values()
    for suffix in (each.suffixes if opened else each.unopened)
}
"""The modality of every suffix that is known, opened or not."""
