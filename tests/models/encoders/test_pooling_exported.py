"""What is pooled for an exporter is what is pooled otherwise."""

import pytest
import torch

from polymodal.models.encoders import base


@pytest.mark.parametrize("length", [3, 6, 7, 15])
def test_sequences(length, monkeypatch):
    torch.manual_seed(0)
    tokens = torch.randn(4, length, 5)
    mask = torch.arange(length) < torch.tensor([1, length, length // 2 + 1, length]).unsqueeze(1)
    usual = base.pool_sequence(tokens, mask, 6)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    exported = base.pool_sequence(tokens, mask, 6)
    assert torch.equal(usual[1], exported[1])
    torch.testing.assert_close(usual[0] * usual[1].unsqueeze(-1), exported[0])


@pytest.mark.parametrize("limit", [4, 10, 40])
def test_clips(limit, monkeypatch):
    torch.manual_seed(0)
    clips = torch.randn(2, 3, 7, 5, 6)
    usual, grid = base.pool_clip(clips, limit)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    exported, same = base.pool_clip(clips, limit)
    assert grid == same
    torch.testing.assert_close(usual, exported)
