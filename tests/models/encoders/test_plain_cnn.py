"""The plain convolutional network: standardized filters, and signals that stay as large."""

import torch

from polymodal.models.encoders import ImageEncoder, build_encoder, encoder_settings
from polymodal.models.encoders.plain_cnn import PlainCnnConfig, PlainCnnModel, StandardizedConv2d


def test_filters_have_mean_0_and_variance_1_by_fan_in_times_their_gain():
    torch.manual_seed(0)
    conv = StandardizedConv2d(8, 4, 3)
    with torch.no_grad():
        conv.weight.mul_(5).add_(1)
        conv.gain.copy_(torch.tensor([1.0, 2.0, 0.5, 0.0]))
    filters = conv.standardized().flatten(1)
    torch.testing.assert_close(filters.mean(1), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.std(1, correction=0) * 72**0.5, conv.gain, atol=1e-4, rtol=1e-4)
    picture = torch.randn(2, 8, 6, 6)
    expected = torch.nn.functional.conv2d(picture, conv.standardized(), conv.bias)
    torch.testing.assert_close(conv(picture), expected)


def test_signals_stay_about_as_large_from_block_to_block_and_contrast_is_kept():
    torch.manual_seed(0)
    model = PlainCnnModel(PlainCnnConfig(hidden_sizes=[16] * 6))
    picture = torch.randn(4, 3, 64, 64)
    made = model(picture).last_hidden_state
    assert made.shape == (4, 16, 1, 1) and 0.3 < made.pow(2).mean().sqrt() < 10
    fainter = model(0.1 * picture).last_hidden_state  # GroupNorm would make them alike
    assert fainter.norm() < 0.5 * made.norm()


def test_odd_and_small_sides_are_read():
    model = PlainCnnModel(PlainCnnConfig(hidden_sizes=[4, 4, 4]))
    for sides, left in {(9, 5): (2, 1), (1, 1): (1, 1), (16, 8): (2, 1)}.items():
        assert model(torch.randn(1, 3, *sides)).last_hidden_state.shape == (1, 4, *left)


def test_it_begins_anew_with_each_seed_and_is_built_again_from_its_settings():
    torch.manual_seed(0)
    encoder = ImageEncoder("plain_cnn", hidden_sizes=[4, 8], size=16)
    again = build_encoder(encoder_settings(encoder))
    assert again.backbone.config.hidden_sizes == [4, 8] and again.width == encoder.width == 8
    first, second = encoder.backbone.blocks[0], again.backbone.blocks[0]
    assert not torch.equal(first.weight, second.weight) and torch.equal(first.gain, torch.ones(4))
    again.load_state_dict(encoder.state_dict())
    pictures = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    given = {"row": torch.arange(2), "pixel_values": pictures}
    assert torch.equal(encoder.eval()(**given).tokens, again.eval()(**given).tokens)
