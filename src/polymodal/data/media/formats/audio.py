"""Recordings."""

from __future__ import annotations

from polymodal.data.media.formats.base import FileFormats

AUDIO = FileFormats(
    modality="audio",
    noun="a recording",
    suffixes=(
        ".wav", ".wave", ".mp3", ".mp2", ".mpga", ".flac", ".ogg", ".oga", ".opus", ".spx", ".m4a", ".m4b",
        ".aac", ".aif", ".aiff", ".aifc", ".au", ".snd", ".wma", ".amr", ".caf", ".ac3", ".mka", ".weba",
        ".w64",
    ),
    unopened=(".mid", ".midi", ".ape", ".wv", ".ra", ".ram", ".dsf", ".dff", ".tta", ".mpc", ".voc", ".aax"),
    opened="WAV, FLAC, MP3, Ogg, M4A or the like",
    convert="Convert it, such as by FFmpeg: ffmpeg -i {} {}.wav",
    magic=(
        b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa", b"\xff\xf1",
        b"\xff\xf9",        b".snd", b"#!AMR", b"caff", b"MThd", b"\x0b\x77",
    ),
    riff=(b"WAVE",),
    brands=(b"M4A", b"M4B"),
)  # fmt: skip
