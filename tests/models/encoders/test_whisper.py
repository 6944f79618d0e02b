"""Whisper's encoder over the sound: what an exported graph computes for all lengths at once."""

import pytest
import torch

from polymodal.models.encoders.whisper import encode_sound
from tests.support.checkpoints import whisper


@pytest.mark.parametrize("positions, filled", [(50, [1, 26, 50]), (1500, [1, 700, 1475, 1500]), (25, [3])])
@torch.no_grad()
def test_all_lengths_at_once_are_as_each_alone(positions, filled, monkeypatch):
    torch.manual_seed(0)
    backbone = whisper().encoder.eval()
    features = torch.randn(len(filled), 16, 2 * positions)
    for item, sound in zip(features, filled, strict=True):  # silence after its sound
        if sound < 1500:
            item[:, 2 * sound - 1 :] = item[:, -1:].clone()
    usual = encode_sound(backbone, features, torch.tensor(filled).float())
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    together = encode_sound(backbone, features, torch.tensor(filled).float())
    assert together.shape[1] == positions + 25
    common = min(usual.shape[1], together.shape[1])
    torch.testing.assert_close(together[:, :common], usual[:, :common], atol=1e-5, rtol=0)
    assert not together[:, common:].any() and not usual[:, common:].any()
