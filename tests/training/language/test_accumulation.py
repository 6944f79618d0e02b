"""Batches that make one step together give the weights of one large batch: their labels add up."""

from functools import partial

import pytest
import torch

from polymodal.training.language.conversation_collator import packed, padded
from polymodal.training.loop.samplers import LengthGroupedSampler, PackSampler
from tests.support.language_trainers import trainer
from tests.support.small_conversations import Encoded, conversations, language_model

LENGTHS = (3, 30, 4, 17, 2, 12, 5, 9)
EXACT = {"atol": 1e-6, "rtol": 1e-5}


@pytest.fixture
def rows():
    """Very unequal parts of them learned; of some all, the first token too."""
    some = conversations(*LENGTHS)
    return [Encoded(row.ids, row.learned | (number % 2 == 0)) for number, row in enumerate(some)]


def step(rows, sampler, collate, folder, *, counted=True):
    """The weights after one step over all batches of the sampler."""
    steps = {"gradient_accumulation_steps": len(sampler)}
    made = trainer(language_model("llama"), sampler, rows, collate, folder, **steps)
    made.model_accepts_loss_kwargs = made.model_accepts_loss_kwargs and counted
    made.train()
    assert made.state.global_step == 1 and len(made.given) == len(sampler)
    return torch.cat([parameter.detach().flatten() for parameter in made.model.parameters()])


def in_packs(rows, packs, folder, **more):
    return step(rows, PackSampler(packs, seed=0), packed, folder, **more)


def in_batches(rows, batch_size, folder):
    return step(rows, LengthGroupedSampler(LENGTHS, batch_size, seed=0), partial(padded, pad=0), folder)


PARTS = [[0], [1, 2], [3, 4, 5, 6], [7]]


def test_packs_that_make_one_step_are_one_large_pack_and_one_large_batch(rows, tmp_path):
    whole = in_packs(rows, [list(range(8))], tmp_path)
    torch.testing.assert_close(in_packs(rows, PARTS, tmp_path), whole, **EXACT)
    torch.testing.assert_close(in_batches(rows, 8, tmp_path), whole, **EXACT)
    torch.testing.assert_close(in_batches(rows, 3, tmp_path), whole, **EXACT)


def test_means_of_means_would_be_something_else(rows, tmp_path):
    """So that the test above can fail."""
    whole = in_packs(rows, [list(range(8))], tmp_path)
    assert (in_packs(rows, PARTS, tmp_path, counted=False) - whole).abs().max() > 1e-3


@pytest.mark.parametrize("shifts", [True, False])
@pytest.mark.parametrize("collate", [packed, partial(padded, pad=0), partial(padded, pad=0, side="left")])
def test_labels_are_counted_alike_whether_the_first_is_looked_at_or_not(rows, tmp_path, shifts, collate):
    made = trainer(language_model("llama"), PackSampler(PARTS, seed=0), rows, collate, tmp_path)
    made._loss_shifts_labels = shifts
    batches = [collate([rows[row] for row in part]) for part in PARTS]
    expected = sum(int(row.learned[1:].sum()) for row in rows)
    assert made._get_num_items_in_batch(batches, torch.device("cpu")) == expected
