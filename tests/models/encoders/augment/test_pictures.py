"""Pictures moved, cropped, mirrored, coloured: within bounds, each for itself, a clip's frames alike."""

import math

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image, ImageEnhance

from polymodal.errors import ConfigError
from polymodal.models.encoders.augment.pictures import (
    YIQ,
    levels_of,
    random_colour,
    random_crop,
    random_flip,
    turn_colours,
    vary,
)

STILL = {"shift": 0.0, "crop": 1.0, "flip": False, "colour": 0.0}
ALL = {"shift": 0.1, "crop": 0.5, "flip": True, "colour": 0.5}
EACH = [{name: ALL[name]} for name in ALL]
LUMA = torch.tensor(YIQ[0]).view(3, 1, 1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def ramp(items, side=64):
    """Pictures whose first channel is x, the second y, from -1 to 1 at the edges."""
    place = (2 * torch.arange(side) + 1) / side - 1
    picture = torch.stack(
        [place.expand(side, side), place.view(-1, 1).expand(side, side), torch.zeros(side, side)]
    )
    return picture.expand(items, -1, -1, -1)


def sides_and_middles(pixels):
    """Of crops of :func:`ramp`: width, height, and the middle's x and y; the whole runs from -1 to 1."""
    first, last = pixels[..., 0, 0], pixels[..., -1, -1]
    scale = pixels.shape[-1] / (pixels.shape[-1] - 1) / 2
    sides, middles = (last - first) * scale, (last + first) / 2
    return sides[:, 0], sides[:, 1], middles[:, 0], middles[:, 1]


def test_a_crop_has_the_area_ratio_and_place_that_it_is_said_to_have():
    width, height, x, y = sides_and_middles(random_crop(ramp(4000), 0.3))
    area, ratio = width * height, width / height
    assert area.min() > 0.29 and area.max() < 1.01
    torch.testing.assert_close(area.mean(), torch.tensor(0.65), atol=0.02, rtol=0)
    small = ratio[area < 0.7]
    assert 0.74 < small.min() < 0.77 and 1.3 < small.max() < 1.35
    torch.testing.assert_close(small.log().mean(), torch.tensor(0.0), atol=0.02, rtol=0)
    assert (x.abs() + width).max() < 1.02 and (y.abs() + height).max() < 1.02  # within the picture
    free = (1 - width) > 0.2
    torch.testing.assert_close(
        (x / (1 - width))[free].std(), torch.tensor(1 / math.sqrt(3)), atol=0.02, rtol=0
    )


def test_a_crop_that_keeps_all_is_the_picture():
    pixels = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(random_crop(pixels, 1.0), pixels, atol=1e-5, rtol=0)


def test_about_half_of_the_pictures_are_mirrored():
    pixels = torch.rand(1000, 3, 4, 6)
    flipped = random_flip(pixels)
    mirrored = (flipped == pixels.flip(-1)).flatten(1).all(dim=1)
    assert (mirrored | (flipped == pixels).flatten(1).all(dim=1)).all()
    assert 430 < mirrored.sum() < 570


def test_strength_bounds_the_light():
    white = torch.ones(4000, 3, 2, 2)
    light = (random_colour(white * 0, 0.5) + 1) / 2  # grey: only brightness shows, 0.5 ± 0.2
    assert 0.299 < light.min() < 0.31 and 0.69 < light.max() < 0.701
    torch.testing.assert_close(light.mean(), torch.tensor(0.5), atol=0.01, rtol=0)
    torch.testing.assert_close(light, light[:, :1, :1, :1].expand_as(light))
    assert random_colour(white, 1.0).max() == 1 and random_colour(-white, 1.0).min() == -1


def test_saturation_and_contrast_are_those_of_pillow():
    picture = Image.fromarray(np.random.default_rng(0).integers(60, 200, (8, 8, 3), dtype=np.uint8))
    pixels = torch.from_numpy(np.asarray(picture).transpose(2, 0, 1) / 255).float()
    for factor in (0.3, 1.4):
        expected = np.asarray(ImageEnhance.Color(picture).enhance(factor)).transpose(2, 0, 1)
        found = turn_colours(torch.tensor([factor]), torch.zeros(1))[0] @ pixels.flatten(1) * 255
        assert np.abs(found.view(3, 8, 8).numpy() - expected).max() < 1.6  # bytes, rounded twice
    torch.testing.assert_close(
        turn_colours(torch.ones(1), torch.zeros(1))[0], torch.eye(3), atol=1e-6, rtol=0
    )


def test_hue_turns_without_a_change_of_luma_and_comes_back():
    turned = turn_colours(torch.ones(1), torch.tensor([2 * math.pi / 3]))[0]
    torch.testing.assert_close(LUMA.flatten() @ turned, LUMA.flatten(), atol=1e-5, rtol=0)
    torch.testing.assert_close(turned @ turned @ turned, torch.eye(3), atol=1e-5, rtol=0)
    assert (turned @ torch.tensor([1.0, 0.0, 0.0])).argmax() != 0  # red is red no longer
    torch.testing.assert_close(turned @ torch.ones(3), torch.ones(3), atol=1e-5, rtol=0)


def test_contrast_moves_light_about_its_mean():
    pixels = torch.rand(500, 3, 8, 8) * 0.2 - 0.1
    light, found = (pixels + 1) / 2, (random_colour(pixels, 0.5) + 1) / 2
    brightness = (found * LUMA).sum(dim=1).mean(dim=(1, 2)) / (light * LUMA).sum(dim=1).mean(dim=(1, 2))
    spread = (found * LUMA).sum(dim=1).std(dim=(1, 2)) / (light * LUMA).sum(dim=1).std(dim=(1, 2))
    for factor in (brightness, spread / brightness):
        assert 0.599 < factor.min() < 0.62 and 1.38 < factor.max() < 1.401


@pytest.mark.parametrize("changes", [*EACH, ALL])
@pytest.mark.parametrize("shape", [(6, 3, 16, 16), (6, 4, 3, 16, 16)], ids=["pictures", "clips"])
def test_each_item_changes_for_itself_and_all_frames_alike(changes, shape):
    whole = torch.rand(1, *shape[1:]) * 2 - 1
    pixels = (whole[:, :1] if len(shape) == 5 else whole).expand(shape)
    found = vary(pixels, **STILL | changes)
    assert found.shape == pixels.shape and found.dtype == pixels.dtype
    assert found.min() >= -1 and found.max() <= 1
    assert any(not torch.equal(found[0], other) for other in found[1:])
    if len(shape) == 5:
        torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert torch.equal(vary(pixels, **STILL), pixels)


@pytest.mark.parametrize("changes", EACH)
def test_the_same_seed_gives_the_same_and_nothing_else_is_drawn(changes):
    pixels = torch.rand(4, 3, 8, 8) * 2 - 1
    ways = []
    for _ in range(2):
        torch.manual_seed(3)
        ways.append(vary(pixels, **STILL | changes))
    assert torch.equal(*ways)
    state = torch.get_rng_state()
    vary(pixels, **STILL)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("changes", [*EACH, ALL])
def test_gradients_flow_and_half_precision_changes_no_place(changes):
    pixels = (torch.rand(4, 3, 64, 64) * 2 - 1).requires_grad_()
    torch.manual_seed(1)
    plain = vary(pixels, **STILL | changes)
    plain.sum().backward()
    assert pixels.grad.isfinite().all() and pixels.grad.any()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(vary(pixels, **STILL | changes), plain)
    torch.manual_seed(1)
    half = vary(pixels.detach().bfloat16(), **STILL | changes)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), plain.detach(), atol=0.05, rtol=0)


PROCESSORS = {
    "clip": lambda: hf.CLIPImageProcessor(),
    "vit": lambda: hf.ViTImageProcessor(size={"height": 32, "width": 32}),
    "not normalized": lambda: hf.ViTImageProcessor(do_normalize=False),
    "frames": lambda: hf.VivitImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_colours_of_a_checkpoints_pixels_are_those_of_plain_ones(name):
    processor = PROCESSORS[name]()
    black, white = (torch.tensor(level).view(3, 1, 1) for level in levels_of(processor, name))
    light = torch.rand(5, 3, 8, 8)
    torch.manual_seed(2)
    plain = random_colour(2 * light - 1, 0.6)
    torch.manual_seed(2)
    own = random_colour(light * (white - black) + black, 0.6, levels_of(processor, name))
    torch.testing.assert_close((own - black) / (white - black), (plain + 1) / 2, atol=1e-5, rtol=0)


def test_levels_are_the_mean_and_deviation_of_a_processor():
    processor = hf.CLIPImageProcessor()
    mean, deviation = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    black, white = torch.tensor(levels_of(processor, "clip"))
    torch.testing.assert_close(black, -mean / deviation, atol=1e-4, rtol=0)
    torch.testing.assert_close(white, (1 - mean) / deviation, atol=1e-4, rtol=0)


def test_a_processor_that_bends_the_light_is_refused():
    def bent(pictures, return_tensors):
        return {"pixel_values": [np.asarray(picture).transpose(2, 0, 1) ** 2.0 for picture in pictures]}

    with pytest.raises(ConfigError, match=r"'colour' cannot be set: the pixels .* of 'a/b' .* evenly"):
        levels_of(bent, "a/b")
