"""Encoders of feature sequences from scratch: any type, blind to padding, varied in training alone."""

import pytest
import torch
from torch import nn

from polymodal.errors import ConfigError
from polymodal.models.encoders import SequenceEncoder
from polymodal.models.encoders.augment.signals import mask_stretches, stretch
from tests.support.component_cases import BERT, SMALL_CNN


def features(lengths, count=6, longest=None):
    """Steps that hold noise, with noise behind them too."""
    steps = torch.randn(len(lengths), longest or max(lengths), count)
    return {"row": torch.arange(len(lengths)), "steps": steps, "length": torch.tensor(lengths)}


SEQUENCES = {
    "bert": BERT,
    "roberta": BERT,
    "modernbert": BERT,
    "electra": BERT | {"embedding_size": 8},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "t5": {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 24},
    "resnet": SMALL_CNN,
    "bit": SMALL_CNN | {"num_groups": 4},
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_sequence_type_reads_trains_and_is_blind_to_padding(kind):
    encoder = SequenceEncoder(kind, features=6, length=40, tokens=8, **SEQUENCES[kind])
    values = features([40, 1, 13])
    sequence = encoder(**values)
    assert sequence.tokens.shape == (3, sequence.grid[0], encoder.width) and sequence.grid[0] <= 8
    sequence.tokens.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    encoder.eval()
    together = encoder(**values)
    for place, length in enumerate((40, 1, 13)):
        alone = {
            "steps": values["steps"][place : place + 1, :length],
            "length": values["length"][place, None],
        }
        alone = encoder(row=torch.arange(1), **alone)
        count = int(alone.mask.sum())
        assert together.mask[place].sum() == count >= 1
        torch.testing.assert_close(
            together.tokens[place, :count], alone.tokens[0, :count], atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize(("length", "patch"), [(64, 1), (65, 2), (1000, 16)])
def test_a_long_sequence_is_read_in_stretches_that_leave_its_tokens(length, patch):
    encoder = SequenceEncoder(features=2, length=length, **BERT)
    assert encoder.patch == patch
    assert encoder(**features([length, length // 2], 2)).mask.sum(dim=1).tolist() == [
        -(-length // patch), -(-(length // 2) // patch),
    ]  # fmt: skip


def test_a_sequence_longer_than_the_length_is_cut():
    encoder = SequenceEncoder(features=2, length=10, **BERT).eval()
    values = features([15], 2)
    cut = {"steps": values["steps"][:, :10], "length": torch.tensor([10])}
    assert torch.equal(encoder(**values).tokens, encoder(row=torch.arange(1), **cut).tokens)


@pytest.mark.parametrize(
    ("kind", "change"),
    [(kind, change) for kind in ("bert", "resnet") for change in ("masking", "warp")]
    + [("resnet", "equalize")],
)
def test_sequences_vary_in_training_alone(kind, change):
    encoder = SequenceEncoder(kind, features=6, length=40, **{change: 0.4}, **SEQUENCES[kind])
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    values = features([40, 30])
    for training in (True, False):
        encoder.train(training)
        first, second = (encoder(**values).tokens for _ in range(2))
        assert torch.equal(first, second) is not training


def test_only_time_is_stretched_where_features_have_no_neighbours():
    steps = torch.arange(6.0).expand(2, 30, 6)  # the same in every step
    stretched, _ = stretch(steps, 0.4, bins=False)
    torch.testing.assert_close(stretched[:, 1:10], steps[:, 1:10])
    assert not torch.allclose(stretch(steps, 0.4)[0][:, 1:10], steps[:, 1:10])


def test_a_stretched_sequence_is_as_long_as_it_sounds():
    torch.manual_seed(0)
    steps = torch.ones(200, 50, 4) * (torch.arange(50) < 20).view(1, 50, 1)
    stretched, faster = stretch(steps, 0.4, bins=False)
    filled = (stretched[:, :, 0] > 0.5).sum(dim=1)
    torch.testing.assert_close(filled.float(), 20 / faster, atol=1.0, rtol=0)
    encoder = SequenceEncoder("resnet", features=4, length=50, warp=0.4, **SEQUENCES["resnet"]).train()
    varied, length = encoder._augment(steps, torch.full((200,), 20))
    behind = varied.masked_fill((torch.arange(50) < length.unsqueeze(1)).unsqueeze(-1), 0.0)
    assert length.min() < 18 and length.max() > 26 and behind.max() < 0.5


def test_gains_over_the_features_need_features_in_order():
    with pytest.raises(ConfigError, match=r"equalize is 0\.5, and a model of type 'bert' supposes no order"):
        SequenceEncoder(features=4, equalize=0.5, **BERT)


def test_what_is_masked_lies_within_the_sequence():
    torch.manual_seed(0)
    steps = torch.ones(200, 50, 1)
    masked = mask_stretches(steps, 0.5, torch.full((200,), 10))
    assert (masked[:, :10] == 0).any() and masked[:, 10:].all()


def test_the_words_of_a_sequences_backbone_do_not_learn():
    encoder = SequenceEncoder(features=3, length=9, **BERT)
    assert not encoder.backbone.get_input_embeddings().weight.requires_grad
    with pytest.raises(ValueError, match="expected 3 features, got 4"):
        encoder(**features([2], 4))
