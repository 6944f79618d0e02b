"""Real picture files in, upright RGB out; damage comes out as one line."""

import base64
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from polymodal.data.media import Limits, MediaError, describe, image_size, load_image
from polymodal.data.media.arrays import packed
from polymodal.data.tables.table import read_table


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
        {"array": photo()},
        {"array": photo().transpose(2, 0, 1).tolist(), "path": None},
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


@pytest.mark.parametrize("as_tensor", [torch.Tensor.bfloat16, torch.Tensor.half, torch.Tensor.double])
def test_a_tensor_of_any_float_is_read(as_tensor):
    values = as_tensor(torch.tensor(photo() // 4 / 64.0))  # exact in 8 bits of fraction
    expected = np.rint(photo() // 4 / 64 * 255)
    for cell in (values, {"array": values}):
        table = read_table([{"picture": cell}])
        for found in (cell, table.row(0)["picture"]):
            np.testing.assert_array_equal(np.asarray(load_image(found)), expected)


def test_floats_a_little_above_white_are_cut_and_not_taken_for_bytes():
    ramp = np.linspace(0, 1.06, 64).reshape(8, 8)
    expected = np.rint(np.minimum(ramp, 1) * 255)
    for full_scale in (None, 1.0):
        picture = load_image(ramp, full_scale=full_scale)
        np.testing.assert_array_equal(np.asarray(picture)[:, :, 0], expected)


def test_absolute_path_needs_no_root(tmp_path):
    (tmp_path / "photo.png").write_bytes(PNG)
    assert load_image(str(tmp_path / "photo.png"), Path("/elsewhere")).size == (40, 30)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_cut(format):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    image = load_image(saved(Image.fromarray(ramp), format))
    expected = np.rint(ramp / 257).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(image), np.repeat(expected[:, :, None], 3, axis=2))


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
SHADES = np.rint(RAMP * 255).astype(np.uint8)
DEEP = {
    "8 bits in 16": (RAMP * 255).round().astype(np.uint16),
    "10 bits": (RAMP * 1023).astype(np.uint16),
    "12 bits": (RAMP * 4095).astype(np.uint16),
    "16 bits": (RAMP * 65535).astype(np.uint16),
    "8 bits in 32": (RAMP * 255).round().astype(np.int32),
    "31 bits": (RAMP * (2**31 - 1)).astype(np.int32),
    "floats to 1": RAMP.astype(np.float32),
    "floats to 255": (RAMP * 255).astype(np.float32),
    "floats to 65535": (RAMP * 65535).astype(np.float32),
}
CARRIERS = {
    "array": lambda values: values,
    "list": lambda values: values.tolist(),
    "tensor": lambda values: torch.from_numpy(
        values.astype(np.int32) if values.dtype == np.uint16 else values
    ),
    "one channel last": lambda values: values[:, :, None],
    "one channel first": lambda values: values[None],
    "file": lambda values: saved(Image.fromarray(values), "TIFF"),
    "numpy file": packed,
    "in a table": lambda values: read_table([{"p": values[None]}]).row(0)["p"],
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("depth", DEEP)
def test_a_picture_of_more_than_8_bits_is_divided_by_the_smallest_scale_that_holds_it(depth, carrier):
    image = np.asarray(load_image(CARRIERS[carrier](DEEP[depth]), gray=True))
    assert image.shape == (8, 8)
    np.testing.assert_allclose(image.astype(int), SHADES.astype(int), atol=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16])
def test_channels_may_come_first(dtype):
    values = photo() if dtype == np.uint8 else photo().astype(dtype) / (1 if dtype == np.uint16 else 255)
    np.testing.assert_array_equal(np.asarray(load_image(np.moveaxis(values, -1, 0))), photo())
    assert load_image(read_table([{"p": np.moveaxis(values, -1, 0)}]).row(0)["p"]).size == (40, 30)


@pytest.mark.parametrize("pixels", ["rgb48be", "rgba64be"])
def test_colours_of_16_bits_keep_their_lower_8(pixels):
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 8, 8, pixels, Fraction(1)
    values = np.full((8, 8, 3 if pixels == "rgb48be" else 4), 65535, np.uint16)
    values[:, :, :3] = (RAMP * 65535).astype(np.uint16)[:, :, None]
    if pixels == "rgb48be":
        values //= 16  # of 12 bits: Pillow alone would leave 16 shades
    frame = av.VideoFrame.from_ndarray(values, format=pixels)
    raw = b"".join(bytes(packet) for packet in encoder.encode(frame) + encoder.encode(None))
    image = np.asarray(load_image(raw))
    assert image.shape == (8, 8, 3)
    np.testing.assert_allclose(image[:, :, 0].astype(int), SHADES.astype(int), atol=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[-1, 5]], np.int32), "holds values down to -1, expected values from 0"),
        (np.array([[0.0, np.nan]]), "values that are no numbers"),
        (np.array([[0.0, np.inf]]), "values that are no numbers"),
        (np.array([[0, 2**40]]), "values to 1.09951e.12, expected at most 2147483647"),
    ],
)
def test_values_that_no_scale_holds_are_refused(values, message):
    with pytest.raises(MediaError, match=message):
        load_image(values)


def test_a_given_full_scale_keeps_a_dark_picture_dark():
    dark = (RAMP * 200).astype(np.uint16)
    assert np.asarray(load_image(dark, full_scale=4095)).max() == round(200 * 255 / 4095)
    assert np.asarray(load_image(photo(), full_scale=4095)).max() == 255  # of 8 bits: they are its own
    with pytest.raises(
        MediaError, match="holds values to 5000, expected at most 4095 as in the training rows"
    ):
        load_image(np.full((2, 2), 5000, np.uint16), full_scale=4095)


@pytest.mark.parametrize(
    "mode", ["HSV", "LAB", "CMYK", "YCbCr", "P", "LA", "PA", "RGBa", "RGBX", "1", "I;16B"]
)
def test_every_mode_is_read_alone_and_in_a_table(mode):
    image = Image.new(mode, (6, 4))
    alone = load_image(image)
    assert (alone.mode, alone.size) == ("RGB", (6, 4))
    np.testing.assert_array_equal(load_image(read_table([{"p": image}]).row(0)["p"]), alone)


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        b"<svg xmlns='x' width='9'/>",
        b"P5 1 1 255 a",
    ],
    ids=["eps", "svg", "pgm"],
)
def test_formats_beside_those_on_the_list_are_not_opened(content):
    with pytest.raises(MediaError, match="no known picture format"):
        load_image(content)


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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "PROGRESSIVE", "GIF", "WEBP", "AVIF", "TIFF", "BMP"])
def test_truncated_picture_is_refused(tmp_path, format):
    options = {"progressive": True} if format == "PROGRESSIVE" else {}
    whole = saved(Image.fromarray(photo(120, 90)), "JPEG" if options else format, **options)
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
