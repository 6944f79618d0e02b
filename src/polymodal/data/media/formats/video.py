"""Clips."""

from __future__ import annotations

from polymodal.data.media.formats.base import FileFormats

VIDEO = FileFormats(
    modality="video",
    noun="a clip",
    suffixes=(
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".3gp",
        ".3g2", ".ogv", ".ogm", ".wmv", ".asf", ".flv", ".f4v", ".ts", ".mts", ".m2ts", ".h264",
    ),
    unopened=(".rm", ".rmvb", ".swf", ".mxf", ".dv", ".divx", ".mod", ".tod", ".y4m", ".m3u8", ".ivf"),
    opened="MP4, MKV, WebM, AVI, MOV or the like",
    convert="Convert it, such as by FFmpeg: ffmpeg -i {} {}.mp4",
    magic=(b"\x1aE\xdf\xa3", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b"\0\0\x01\xba", b"\0\0\x01\xb3"),
    riff=(b"AVI ",),
)  # fmt: skip
