"""Pictures."""

from __future__ import annotations

from polymodal.data.media.formats.base import FileFormats

IMAGE = FileFormats(
    modality="image",
    noun="a picture",
    suffixes=(
        ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
        ".avif", ".avifs",
    ),
    unopened=(
        ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpf", ".jpx", ".jxl", ".ppm", ".pgm", ".pbm", ".pnm",
        ".pfm", ".pam", ".tga", ".ico", ".cur", ".icns", ".svg", ".svgz", ".eps", ".ps", ".ai", ".pdf",
        ".psd", ".xcf", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".exr", ".hdr",
        ".dds", ".pcx", ".sgi", ".xbm", ".xpm", ".emf", ".wmf", ".dcm", ".dicom", ".nii", ".qoi", ".djvu",
    ),
    opened="PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF",
    convert="Convert it, such as by ImageMagick: magick {} {}.png",
    magic=(
        b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"\0\0\0\x0cjP  ",
        b"\xff\x4f\xff\x51", b"%PDF", b"%!PS", b"8BPS", b"<svg",
    ),
    riff=(b"WEBP",),
    brands=(b"avi", b"hei", b"hev", b"mif"),
)  # fmt: skip
