"""Each fusion against its formula written out, and all of them: sizes at six inputs, tokens, one input."""

import itertools

import pytest
import torch

from polymodal.errors import ConfigError
from polymodal.models.fusion import FUSIONS, FeatureFusion
from polymodal.models.fusion.product import bounded_size, outer_product
from polymodal.models.outputs import EmbeddedInput
from tests.support.component_cases import FUSION_CASES

SIX = ["photo", "voice", "note", "bedrooms", "district", "clip"]
MOST_PARAMETERS = 3_000_000
MOST_KEPT = 2**30
"""Bytes kept for the backward pass of 64 rows of six inputs, 32 tokens each, at width 128."""


def embed(names, *, rows=3, length=5, width=16, seed=0):
    """Embedded inputs as a LayerNorm leaves them, of unequal lengths; the last token of each is padding."""
    torch.manual_seed(seed)
    embedded = {}
    for place, name in enumerate(names):
        tokens = torch.nn.functional.layer_norm(torch.randn(rows, length + place, width), (width,))
        mask = torch.ones(rows, length + place, dtype=torch.bool)
        mask[:, -1] = False
        embedded[name] = EmbeddedInput(tokens, mask, torch.ones(rows, dtype=torch.bool))
    return embedded


def make(name, inputs, *, width=16, **options):
    torch.manual_seed(1)
    return FeatureFusion(name, width=width, inputs=inputs, **options).fusion.eval()


def means(embedded):
    return [entry.tokens[:, :-1].mean(dim=1) for entry in embedded.values()]


def test_sum_adds_what_each_input_says():
    embedded, fusion = embed(SIX[:3]), make("sum", SIX[:3])
    expected = fusion.project[0].bias + sum(
        x @ layer.weight.T for layer, x in zip(fusion.project, means(embedded), strict=True)
    )
    torch.testing.assert_close(fusion(embedded).pooled, expected)


def test_the_outer_product_holds_every_product_of_entries():
    a, b, c = torch.randn(2, 2), torch.randn(2, 3), torch.randn(2, 4)
    product = outer_product([a, b, c])
    assert product.shape == (2, 24)
    places = itertools.product(range(2), range(3), range(4))
    for column, (i, j, k) in zip(product.T, places, strict=True):
        torch.testing.assert_close(column, a[:, i] * b[:, j] * c[:, k])


def test_tensor_is_the_outer_product_of_one_and_the_reduced_inputs():
    embedded, fusion = embed(SIX[:3]), make("tensor", SIX[:3], limit=64)
    assert fusion.size == 3
    small = [layer(x) for layer, x in zip(fusion.reduce, means(embedded), strict=True)]
    assert all(z.shape == (3, 3) and z.abs().max() <= 1 for z in small)
    a, b, c = (torch.cat([torch.ones(len(z), 1), z], dim=1) for z in small)
    written_out = torch.einsum("ni,nj,nk->nijk", a, b, c)
    torch.testing.assert_close(written_out[:, 0, 0, 0], torch.ones(3))
    torch.testing.assert_close(written_out[:, 2, 0, 0], small[0][:, 1])
    torch.testing.assert_close(fusion(embedded).pooled, fusion.net(written_out.flatten(1)))


def test_low_rank_is_the_whole_tensor_contracted():
    width, rank, embedded = 4, 3, embed(SIX[:3], width=4)
    fusion = make("low_rank", SIX[:3], width=width, rank=rank)
    vectors = means(embedded)
    with torch.no_grad():
        for factor in fusion.factors:
            factor.bias.normal_()
    factors = [
        torch.cat([f.bias.unsqueeze(1), f.weight], dim=1).view(rank, width, width + 1) for f in fusion.factors
    ]
    weights = torch.einsum("rhi,rhj,rhk->hijk", *factors)
    a, b, c = (torch.cat([torch.ones(len(x), 1), x], dim=1) for x in vectors)
    product = torch.einsum("ni,nj,nk->nijk", a, b, c)
    expected = torch.einsum("hijk,nijk->nh", weights, product)
    torch.testing.assert_close(fusion.contract(vectors), expected)
    torch.testing.assert_close(fusion(embedded).pooled, fusion.norm(expected))


@pytest.mark.parametrize("inputs", [1, 2, 6, 20])
def test_products_of_many_inputs_start_neither_tiny_nor_huge(inputs):
    names = [f"input {number}" for number in range(inputs)]
    fusion = make("low_rank", names, width=64, rank=1)
    product = fusion.contract(means(embed(names, rows=50, length=2, width=64)))
    assert 0.5 < product.square().mean() < 6
    assert product.std(dim=1).min() > 0.2


@pytest.mark.parametrize(
    ("limit", "inputs", "size"),
    [(4096, 1, 100), (4096, 2, 63), (4096, 3, 15), (4096, 4, 7), (4096, 6, 3), (4096, 12, 1), (4095, 6, 2)],
)
def test_the_product_stays_below_its_limit(limit, inputs, size):
    assert bounded_size(limit, inputs, 100) == size


def test_a_product_that_cannot_stay_below_its_limit_is_refused():
    thirteen = [f"input {number}" for number in range(13)]
    with pytest.raises(ConfigError, match="13 inputs has 8192 features or more, limit is 4096"):
        FeatureFusion("tensor", inputs=thirteen)
    assert make("tensor", thirteen, limit=8192).size == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [("low_rank", {"rank": 0}), ("tensor", {"limit": 1}), ("cross_attention", {"layers": 0}),
     ("cross_attention", {"heads": 3}), ("cross_attention", {"pairwise": 0}), ("perceiver", {"latents": 0}),
     ("perceiver", {"heads": 0})],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(name, options):
    with pytest.raises(ConfigError, match=f"the fusion '{name}' cannot be built"):
        FeatureFusion(name, width=16, inputs=SIX, **options)


def test_pairs_have_layers_of_their_own_up_to_a_number_of_inputs():
    three, four = make("cross_attention", SIX[:3]), make("cross_attention", SIX[:4])
    assert three.sources["voice"] == [["photo"], ["note"]]
    assert four.sources["voice"] == [["photo", "note", "bedrooms"]]
    more = make("cross_attention", SIX[:4], pairwise=4)
    assert more.sources["note"] == [["photo"], ["voice"], ["bedrooms"]]
    embedded = embed(SIX[:4])
    assert four(embedded).pooled.shape == three(embedded).pooled.shape == (3, 16)


def test_cross_attention_reads_each_other_input_and_not_the_padding():
    fusion, embedded = make("cross_attention", SIX[:3]), embed(SIX[:3])
    before = fusion(embedded)
    for name, entry in embedded.items():
        entry.tokens[:, -1] = 99.0
        again = fusion(embedded)
        torch.testing.assert_close(again.pooled, before.pooled)
        changed = EmbeddedInput(entry.tokens.flip(-1), entry.mask, entry.present)
        other = fusion(embedded | {name: changed})
        for span in before.spans.values():
            assert not torch.allclose(other.tokens[:, span][:, 0], before.tokens[:, span][:, 0], atol=1e-3)


def test_a_perceiver_does_not_mind_the_order_of_its_tokens():
    fusion, embedded = make("perceiver", SIX[:2]), embed(SIX[:2])
    turned = {
        name: EmbeddedInput(entry.tokens.flip(1), entry.mask.flip(1), entry.present)
        for name, entry in embedded.items()
    }
    torch.testing.assert_close(fusion(turned).pooled, fusion(embedded).pooled)


@pytest.mark.parametrize("name", FUSIONS)
def test_tokens_stand_where_their_input_says_or_nowhere(name):
    embedded = embed(SIX[:3])
    fusion = make(name, SIX[:3], **FUSION_CASES[name])
    state = fusion(embedded)
    assert state.pooled.shape == (3, 16)
    if not fusion.gives_tokens:
        assert state.tokens is state.mask is state.spans is None
        return
    assert list(state.spans) == SIX[:3]
    for key, span in state.spans.items():
        assert state.tokens[:, span].shape == embedded[key].tokens.shape
        assert torch.equal(state.mask[:, span], embedded[key].mask)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", FUSIONS)
def test_one_input_is_enough_and_each_of_two_counts(name, count):
    fusion, embedded = make(name, SIX[:count], **FUSION_CASES[name]), embed(SIX[:count])
    before = fusion(embedded).pooled
    for key, entry in embedded.items():
        changed = EmbeddedInput(-entry.tokens, entry.mask, entry.present)
        assert not torch.allclose(fusion(embedded | {key: changed}).pooled, before, atol=1e-3)


@pytest.mark.parametrize("name", FUSIONS)
def test_none_explodes_at_six_inputs(name):
    """By its defaults: parameters, what 64 rows keep for the backward pass, the size of what comes out."""
    fusion = make(name, SIX, width=128).train()
    assert sum(parameter.numel() for parameter in fusion.parameters()) <= MOST_PARAMETERS
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        pooled = fusion(embed(SIX, rows=64, length=32, width=128)).pooled
    assert sum(kept.values()) <= MOST_KEPT
    assert pooled.shape == (64, 128)
    assert 0.01 < pooled.detach().std(dim=0).mean() < 3
    pooled.sum().backward()
