"""The contract of all connectors, over every registered one; a new one needs its own case here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from polymodal.errors import ConfigError
from polymodal.models.connectors import CONNECTORS, Connector, build_connector, sinusoids
from polymodal.models.outputs import TokenSequence

WIDTH, LANGUAGE_WIDTH = 6, 16
CASES: dict[str, dict[str, Any]] = {"mlp": {}, "resampler": {"queries": 3, "layers": 2, "heads": 2}}
LENGTHS = (5, 1, 3)


@pytest.fixture(params=list(CONNECTORS))
def connector(request: pytest.FixtureRequest) -> Connector:
    if request.param not in CASES:
        pytest.fail(f"'{request.param}' is registered, but has no case in tests/models/test_connectors.py")
    torch.manual_seed(0)
    return build_connector(request.param, WIDTH, LANGUAGE_WIDTH, CASES[request.param])


def items(lengths: tuple[int, ...] = LENGTHS, padding: int = 0, behind: float = 9.0) -> TokenSequence:
    """So many items of random tokens; what stands behind them must not matter."""
    generator = torch.Generator().manual_seed(3)
    longest = max(lengths) + padding
    tokens = torch.full((len(lengths), longest, WIDTH), behind)
    for place, length in enumerate(lengths):
        tokens[place, :length] = torch.randn(length, WIDTH, generator=generator)
    mask = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    return TokenSequence(tokens, mask, torch.arange(len(lengths)), (longest,))


def test_an_item_becomes_as_many_vectors_as_are_counted(connector):
    sequence = items()
    vectors, mask = connector(sequence)
    assert vectors.shape == (*mask.shape, LANGUAGE_WIDTH) and mask.dtype == torch.bool
    assert len(vectors) == len(LENGTHS) and vectors.isfinite().all()
    counted = connector.count(sequence.mask.sum(dim=1))
    assert counted.shape == (len(LENGTHS),) and torch.equal(mask.sum(dim=1), counted)
    first = torch.arange(mask.shape[1]) < counted.unsqueeze(1)
    assert torch.equal(mask, first)  # content first


def of_items(connector: Connector, sequence: TokenSequence) -> list[Tensor]:
    vectors, mask = connector(sequence)
    return [own[kept] for own, kept in zip(vectors, mask, strict=True)]


@pytest.mark.parametrize("learns", [False, True])
def test_neither_other_items_nor_padding_change_an_item(connector, learns):
    connector.train(learns)
    whole = items()
    together = of_items(connector, whole)
    for padded in (items(padding=4), items(padding=4, behind=-1e4)):
        torch.testing.assert_close(of_items(connector, padded), together, atol=1e-6, rtol=1e-5)
    for place, length in enumerate(LENGTHS):
        chosen = slice(place, place + 1)
        alone = TokenSequence(
            whole.tokens[chosen, :length], whole.mask[chosen, :length], torch.arange(1), (length,)
        )
        torch.testing.assert_close(of_items(connector, alone)[0], together[place], atol=1e-6, rtol=1e-5)


def test_the_order_of_tokens_counts(connector):
    one = items((4,))
    turned = TokenSequence(one.tokens.flip(1), one.mask, one.row, one.grid)
    assert not torch.allclose(connector(one)[0], connector(turned)[0], atol=1e-4)


def test_gradients_reach_every_weight_and_every_token(connector):
    sequence = items()
    sequence.tokens.requires_grad_()
    vectors, mask = connector(sequence)
    (vectors[mask] * torch.randn_like(vectors[mask])).sum().backward()
    for name, weight in connector.named_parameters():
        if name == "missing":  # stands where there is no item
            assert weight.grad is None and weight.shape == (LANGUAGE_WIDTH,)
        else:
            assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any(), name
    gradient = sequence.tokens.grad
    assert gradient.isfinite().all()
    assert torch.equal(gradient.ne(0).any(dim=2), sequence.mask)


def test_an_item_without_tokens_harms_nothing(connector):
    sequence = items((3, 0))
    vectors, _ = connector(sequence)
    vectors.sum().backward()
    assert vectors.isfinite().all()
    assert all(w.grad.isfinite().all() for name, w in connector.named_parameters() if name != "missing")
    torch.testing.assert_close(of_items(connector, sequence)[0], of_items(connector, items((3,)))[0])


def test_settings_and_weights_build_it_again(connector):
    name = CONNECTORS.name_of(type(connector))
    assert connector.settings() == CASES[name]
    again = build_connector(name, WIDTH, LANGUAGE_WIDTH, connector.settings())
    again.load_state_dict(connector.state_dict())
    assert torch.equal(again(items())[0], connector(items())[0])


def test_vectors_start_about_as_large_as_words(connector):
    assert connector.missing.std().item() == pytest.approx(0.02, rel=0.5)


def test_sinusoids_tell_places_apart_at_any_width():
    for width in (5, 16):
        codes = sinusoids(40, width)
        assert codes.shape == (40, width) and codes.abs().max() <= 1
        apart = torch.cdist(codes, codes) + torch.eye(40)
        assert apart.min() > 0.1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mpl", {}, r"there is no connector named 'mpl'\. Did you mean 'mlp'\?"),
        ("mlp", {"queries": 4}, r"the connector 'mlp' has no option 'queries'\. It has none"),
        ("resampler", {"query": 4}, r"has no option 'query'\. Its options are queries, layers, heads"),
        ("resampler", {"width": 4}, r"the connector 'resampler' has no option 'width'"),
        ("resampler", {"queries": 0}, r"the connector 'resampler' refuses \{'queries': 0\}"),
        ("resampler", {"heads": 3}, r"the connector 'resampler' refuses \{'heads': 3\}"),
        ("resampler", {"layers": "two"}, r"the connector 'resampler' refuses \{'layers': 'two'\}"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name, options, message):
    with pytest.raises(ConfigError, match=message) as refused:
        build_connector(name, WIDTH, LANGUAGE_WIDTH, options)
    assert "\n" not in str(refused.value)
