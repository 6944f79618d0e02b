"""The image processor of an export makes what that of Transformers makes."""

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessor, SiglipImageProcessor, ViTImageProcessor

from polymodal.data.readers import ImageReader
from polymodal.runtime.image_processor import FileImageProcessor

SIZES = [(40, 30), (30, 41), (16, 16), (200, 31), (17, 99)]
PARTS = {
    "vit": ViTImageProcessor(size={"height": 16, "width": 20}),
    "clip": CLIPImageProcessor(size={"shortest_edge": 18}, crop_size={"height": 16, "width": 16}),
    "siglip": SiglipImageProcessor(size={"height": 24, "width": 24}),
    "unscaled": ViTImageProcessor(do_rescale=False, do_normalize=False, size={"height": 8, "width": 8}),
}


@pytest.mark.parametrize("name", PARTS)
def test_pictures_become_the_same_pixels(name):
    random = np.random.default_rng(0)
    own, written = ImageReader(PARTS[name]), ImageReader(FileImageProcessor(PARTS[name].to_dict()))
    for width, height in SIZES:
        picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected, made = own.read(picture, None), written.read(picture, None)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)
    black = Image.new("RGB", (30, 30))
    np.testing.assert_allclose(written._pixels(black), own._pixels(black), rtol=0, atol=1e-6)


def test_a_step_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="an image processor with the step 'do_pad'"):
        FileImageProcessor(PARTS["vit"].to_dict() | {"do_pad": True})
    with pytest.raises(ValueError, match="with the size"):
        FileImageProcessor(PARTS["vit"].to_dict() | {"size": {"longest_edge": 8}})
