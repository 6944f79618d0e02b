"""What a cell is, what it is called, and one line for each that cannot be read."""

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from polymodal.data.media import (
    MediaError,
    audio_info,
    describe,
    image_size,
    is_empty,
    load_audio,
    load_image,
    recognise,
)
from polymodal.data.media.formats import OF_SUFFIX
from polymodal.data.media.video import load_video


def photo(width: int = 40, height: int = 30) -> np.ndarray:
    """Noise that no decoder can finish early."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


PNG = saved(Image.fromarray(photo()))


@pytest.mark.parametrize(
    "cell",
    [None, "", "  \n", float("nan"), np.float32("nan"), {}, {"path": None, "bytes": None}, {"path": ""}],
)
def test_cell_is_empty(cell):
    assert is_empty(cell)


@pytest.mark.parametrize(
    "cell", ["NA", 0, 0.0, b"", False, {"bytes": b"x"}, {"array": np.zeros(2)}, {"path": "a"}]
)
def test_cell_is_not_empty(cell):
    assert not is_empty(cell)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("a/b.PNG", "image"),
        (Path("my photo.jpeg"), "image"),
        ("a.wav", "audio"),
        ("a.opus", "audio"),
        ("a.mp4", "video"),
        ("a.npy", "sequence"),
        *[(f"a{suffix}", kind) for suffix, kind in OF_SUFFIX.items()],
        (b"FORM\0\0\0\0AIFFCOMM", "audio"),
        (b"\0\0\0\x1cftypavif", "image"),
        (b"\0\0\0\x18ftypheic", "image"),
        ("data:image/png;base64,AAAA", "image"),
        ("data:audio/wav;base64,AAAA", "audio"),
        ("data:text/plain,hello", None),
        (PNG, "image"),
        (bytearray(PNG), "image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"fLaC....", "audio"),
        (b"\0\0\0\x20ftypisom", "video"),
        (b"\0\0\0\x20ftypM4A ", "audio"),
        (b"hello", None),
        ({"path": "x.jpg", "bytes": None}, "image"),
        ({"path": None, "bytes": PNG}, "image"),
        ({"array": [0.1], "sampling_rate": 8000}, "audio"),
        (Image.new("L", (2, 2)), "image"),
        (photo(), "image"),
        ([0.1, 0.2], "sequence"),
        ([[0.1, 0.2], [0.3, 0.4]], "sequence"),
        (np.zeros((3, 2), np.float32), "sequence"),
        (["a", "b"], None),
        ([], None),
        ("a plain sentence.", None),
        ("first line\nsecond.png", None),
        (3.5, None),
        (None, None),
    ],
)
def test_recognise(cell, kind):
    assert recognise(cell) == kind


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("a.png", "a.png"),
        (b"x" * 1234, "1234 bytes"),
        ("data:image/png;base64,AA", "data: URI of 24 characters"),
        ({"path": "b.png", "bytes": b"x"}, "b.png"),
        ({"path": None, "bytes": b"x"}, "1 bytes"),
    ],
)
def test_describe(cell, name):
    assert describe(cell) == name


@pytest.mark.parametrize(
    ("cell", "load"),
    [
        ("a.heic", load_image),
        ("a.svg", image_size),
        ({"path": "a.ppm", "bytes": b"P5 1 1 255 x"}, load_image),
        ("a.mid", audio_info),
        ("a.dv", lambda *cell: load_video(*cell, frames=1, size=8)),
    ],
)
def test_a_known_format_that_is_not_opened_is_refused_with_the_way_to_convert_it(tmp_path, cell, load):
    if isinstance(cell, str):
        (tmp_path / cell).write_bytes(b"\0\0\0\x18ftypheic....mif1heic")
    name = cell if isinstance(cell, str) else cell["path"]
    with pytest.raises(
        MediaError, match=rf"^{name} is a file of the kind \.\w+, which is not .*Convert it, such"
    ):
        load(cell, tmp_path)


def test_error_is_one_line_and_survives_a_worker_process():
    error = MediaError(found="a\nb", expected="c", cure="d")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a\\nb, expected c. d"
    assert (again.found, again.expected, again.cure) == ("a\nb", "c", "d")


@pytest.mark.parametrize("load", [load_image, image_size, audio_info, lambda *a: load_audio(*a, rate=8000)])
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("missing.png", "missing.png does not exist"),
        ("photo.png/x", "does not exist"),
        ("folder", "folder is a folder, expected a file"),
        ("empty.wav", "empty.wav: the file is empty"),
        ("text.txt", "text.txt cannot be decoded"),
        ("a\0b.png", "cannot be opened"),
        ("x" * 5000, "cannot be opened"),
        ("https://example.org/a.png", "an address on the network"),
        ("file:///photos/a%20b.png", "is an address, expected a path. Give the plain path: /photos/a b.png"),
        ("photos\\a.png", "write '/' between folders"),
        ("~/a.png", "'~' is not replaced by the home folder"),
        ("/dev/zero", "is a device or pipe"),
        ("", "an empty cell"),
        (None, "an empty cell"),
        (b"", "an empty file"),
        (b"no medium at all", "16 bytes cannot be decoded"),
        ("data:image/png;base64,a", "cannot be decoded"),
        ("data:image/png", "cannot be decoded"),
        (3, "int, expected a path"),
    ],
)
def test_unreadable_cell_is_named_in_one_line(tmp_path, load, cell, message):
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.txt").write_text("hello, this is text\n" * 20)
    with pytest.raises(MediaError) as caught:
        load(cell, tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
