"""Long token sequences and grids are shortened evenly, each by its own length."""

import pytest
import torch

from polymodal.models.encoders.base import pool_clip, pool_grid, pool_sequence


def masked(lengths, longest, width=3):
    torch.manual_seed(0)
    tokens = torch.randn(len(lengths), longest, width)
    return tokens, torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)


def test_short_sequences_stay_as_they_are():
    tokens, mask = masked([4, 2], 4)
    pooled, kept = pool_sequence(tokens, mask, 4)
    assert torch.equal(pooled, tokens) and torch.equal(kept, mask)


def test_means_are_even_and_of_content_alone():
    tokens, mask = masked([8, 3, 5], 8)
    pooled, kept = pool_sequence(tokens, mask, 4)
    assert kept.sum(dim=1).tolist() == [4, 3, 4]
    torch.testing.assert_close(pooled[0], tokens[0].view(4, 2, 3).mean(dim=1))
    torch.testing.assert_close(pooled[1, :3], tokens[1, :3])
    # five tokens into four places: the first place takes two
    torch.testing.assert_close(pooled[2, 0], tokens[2, :2].mean(dim=0))
    torch.testing.assert_close(pooled[2, 1:], tokens[2, 2:5])


@pytest.mark.parametrize("padding", [0, 1, 7, 40])
@pytest.mark.parametrize("limit", [1, 4, 7, 64])
def test_padding_changes_nothing(padding, limit):
    tokens, mask = masked([9, 6, 2, 1], 9)
    pooled, kept = pool_sequence(tokens, mask, limit)
    longer = torch.nn.functional.pad(tokens, (0, 0, 0, padding), value=99.0)
    again, kept_again = pool_sequence(longer, torch.nn.functional.pad(mask, (0, padding)), limit)
    assert again.shape[1] == min(limit, 9 + padding)
    for row in range(4):
        torch.testing.assert_close(again[row][kept_again[row]], pooled[row][kept[row]])


@pytest.mark.parametrize("limit", [1, 2, 5, 16, 64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (1, 30), (30, 1), (14, 14)])
def test_a_grid_keeps_its_shape_and_the_limit(limit, shape):
    features = torch.randn(2, 5, *shape)
    tokens, (rows, columns) = pool_grid(features, limit)
    assert tokens.shape == (2, rows * columns, 5)
    assert rows * columns <= limit
    if shape[0] * shape[1] <= limit:
        assert (rows, columns) == shape
        assert torch.equal(tokens[:, -1], features[:, :, -1, -1])


@pytest.mark.parametrize("limit", [1, 2, 7, 64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (16, 1, 1), (8, 14, 14), (16, 2, 2), (1, 9, 4)])
def test_a_clip_keeps_its_three_dimensions_and_the_limit(limit, shape):
    features = torch.randn(2, 5, *shape)
    tokens, grid = pool_clip(features, limit)
    frames, rows, columns = grid
    assert tokens.shape == (2, frames * rows * columns, 5)
    assert frames * rows * columns <= limit
    if features[0, 0].numel() <= limit:
        assert grid == shape and torch.equal(tokens[:, -1], features[:, :, -1, -1, -1])
    torch.testing.assert_close(pool_clip(torch.ones_like(features), limit)[0], torch.ones_like(tokens))


@pytest.mark.parametrize(
    ("shape", "grid"), [((32, 2, 2), (16, 2, 2)), ((8, 8, 8), (4, 4, 4)), ((8, 14, 14), (3, 4, 5))]
)
def test_no_dimension_of_a_clip_is_given_up_for_another(shape, grid):
    assert pool_clip(torch.randn(1, 2, *shape), 64)[1] == grid


def test_a_constant_grid_stays_constant():
    tokens, _ = pool_grid(torch.full((1, 2, 9, 9), 3.0), 10)
    torch.testing.assert_close(tokens, torch.full_like(tokens, 3.0))
