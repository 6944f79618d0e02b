"""Encoders over pieces of a batch."""

import pytest
import torch

import polymodal as pm
from polymodal.models.base import PIECE, encode, encode_in_pieces


@pytest.fixture
def pictures() -> tuple[torch.nn.Module, dict[str, torch.Tensor], list[int]]:
    """An encoder in evaluation mode, five pictures of half a piece, and the sizes of its runs."""
    torch.manual_seed(0)
    encoder = pm.ImageEncoder(size=208).eval()
    values = {"row": torch.tensor([0, 0, 1, 3, 4]), "pixel_values": torch.rand(5, 3, 208, 208)}
    assert PIECE // values["pixel_values"][0].numel() == 2
    runs: list[int] = []
    encoder.register_forward_pre_hook(lambda _, __, given: runs.append(len(given["row"])), with_kwargs=True)
    return encoder, values, runs


def test_pictures_go_through_in_pieces(pictures):
    encoder, values, runs = pictures
    with torch.no_grad():
        pieces, whole = encode(encoder, values), encoder(**values)
    assert runs == [2, 2, 1, 5]
    torch.testing.assert_close(pieces.tokens, whole.tokens, atol=1e-5, rtol=1e-4)
    assert pieces.grid == whole.grid and torch.equal(pieces.mask, whole.mask)
    assert torch.equal(pieces.row, values["row"])


def test_training_and_gradients_take_the_batch_at_once(pictures):
    encoder, values, runs = pictures
    encode_in_pieces(encoder, values)
    with torch.no_grad():
        encode_in_pieces(encoder.train(), values)
    assert runs == [5, 5]
