"""Real picture files in, upright RGB out; damage comes out as one line."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from polymodal.data.media import Limits, MediaError, describe, image_size, load_image


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
    [
        "photo.png",
        Path("photo.png"),
        PNG,
        bytearray(PNG),
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
        {"path": "photo.png", "bytes": None},
        {"path": "elsewhere.png", "bytes": PNG},
        photo(),
        photo().tolist(),
        Image.fromarray(photo()),
    ],
    ids=lambda cell: describe(cell)[:30],
)
def test_every_kind_of_cell_gives_the_same_picture(tmp_path, cell):
    (tmp_path / "photo.png").write_bytes(PNG)
    image = load_image(cell, tmp_path)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), photo())
    assert image_size(cell, tmp_path) == (40, 30)


def test_absolute_path_needs_no_root(tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    assert load_image(str(tmp_path / "photo.png"), Path("/elsewhere")).size == (40, 30)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_cut(format):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    image = load_image(saved(Image.fromarray(ramp), format))
    expected = np.rint(ramp / 257).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image), np.repeat(expected[:, :, None], 3, axis=2))


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_float_picture_keeps_its_range(scale):
    ramp = np.linspace(0, scale, 256, dtype=np.float32).reshape(16, 16)
    image = np.asarray(load_image(saved(Image.fromarray(ramp), "TIFF")))
    assert (image.min(), image.max()) == (0, 255)


def test_cmyk_jpeg_keeps_its_colour():
    red = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert Image.open(BytesIO(red)).mode == "CMYK"
    np.testing.assert_allclose(np.asarray(load_image(red)).mean(axis=(0, 1)), [255, 0, 0], atol=6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(mode):
    image = (
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode) if mode != "P" else Image.new("P", (8, 8), 0)
    )
    options = {"transparency": 0} if mode == "P" else {}
    assert np.asarray(load_image(saved(image, **options))).min() == 255


def test_half_transparent_black_is_grey():
    half = load_image(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))
    assert 125 <= np.asarray(half)[0, 0, 0] <= 129


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_other_modes_become_rgb(mode):
    assert load_image(saved(Image.new("RGB", (4, 4), "white").convert(mode))).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    marked = np.zeros((20, 40), np.uint8)
    marked[:8, :8] = 255  # bright corner: top left as stored
    cell = saved(Image.fromarray(marked), "JPEG", exif=exif)
    image = np.asarray(load_image(cell))[:, :, 0]
    corner = {1: image[3, 3], 3: image[-4, -4], 6: image[3, -4], 8: image[-4, 3]}[orientation]
    assert corner > 200
    assert image.shape == ((20, 40) if orientation in (1, 3) else (40, 20))
    assert image_size(cell) == (image.shape[1], image.shape[0])


def test_a_users_own_picture_is_not_turned_in_place():
    exif = Image.Exif()
    exif[0x0112] = 6
    own = Image.open(BytesIO(saved(Image.fromarray(photo()), "JPEG", exif=exif)))
    assert load_image(own).size == (30, 40)
    assert own.size == (40, 30)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_truncated_picture_is_refused(tmp_path, format):
    whole = saved(Image.fromarray(photo(120, 90)), format)
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=r"^cut cannot be decoded \(.+\), expected a picture\. .+$"):
        load_image("cut", tmp_path)


def test_damage_in_the_middle_is_no_other_kind_of_error():
    whole = saved(Image.fromarray(photo(60, 60)))
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(8, len(whole), 4):
            damaged[place] = random.integers(256)
        try:
            assert load_image(damaged).mode == "RGB"
        except MediaError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "array", [np.zeros(4), np.zeros((7, 2, 5), np.uint8), np.zeros((0, 2), np.uint8), [300], [["a"]]]
)
def test_array_that_is_no_picture_is_refused(array):
    with pytest.raises(MediaError, match="expected numbers of shape"):
        load_image(array)


def test_too_many_pixels_are_refused_before_decoding():
    header = saved(Image.new("1", (3000, 3000)))[:60]  # decoding would fail as truncated
    with pytest.raises(MediaError, match=r"3000 x 3000 pixels, expected at most 1,000,000 pixels"):
        load_image(header, limits=Limits(pixels=1_000_000))


def test_pillows_own_bomb_is_a_media_error(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(MediaError, match="has 1,200 pixels, expected at most 200 pixels"):
        load_image(PNG)


@pytest.mark.parametrize(
    "cell", ["photo.png", PNG, "data:image/png;base64," + base64.b64encode(PNG).decode()]
)
def test_too_many_bytes_are_refused(tmp_path, cell):
    (tmp_path / "photo.png").write_bytes(PNG)
    with pytest.raises(MediaError, match="expected at most 100 bytes"):
        load_image(cell, tmp_path, Limits(bytes=100))
