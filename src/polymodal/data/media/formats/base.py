"""Formats of one kind of media: how its files are recognized, and which of them are opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileFormats:
    """The file formats of one kind of media.

    Attributes:
        modality: That reads them.
        noun: What one file holds, in messages.
        suffixes: Of files that are opened.
        unopened: Suffixes of files that are known, and refused with the way to convert them.
        opened: What is opened, in words.
        convert: How to convert other files: the name of the file and its stem take the places of ``{}``.
        magic: First bytes of such files.
        riff: The type in a RIFF file.
        brands: First three letters of the brand in an ISO media file; any other brand means a clip.
    """

    modality: str
    noun: str
    suffixes: tuple[str, ...]
    unopened: tuple[str, ...]
    opened: str
    convert: str
    magic: tuple[bytes, ...]
    riff: tuple[bytes, ...] = ()
    brands: tuple[bytes, ...] = ()
