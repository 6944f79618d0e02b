"""Batches: every row once an epoch, in an order that comes back, shared evenly, resumed within an epoch."""

import itertools
from functools import partial

import numpy as np
import pytest
from accelerate.data_loader import prepare_data_loader, skip_first_batches
from torch.utils.data import DataLoader
from transformers import TrainerState

from polymodal.training.language.conversation_collator import packed, padded
from polymodal.training.loop.samplers import (
    FILLING,
    EpochOfSampler,
    LengthGroupedSampler,
    PackSampler,
    pack,
)
from tests.support.language_trainers import trainer
from tests.support.small_conversations import conversations, language_model

ROWS, LENGTHS = 45, np.random.default_rng(0).integers(2, 30, 45)
KINDS = ["packs", "lengths"]
kinds = pytest.mark.parametrize("kind", KINDS)


def sampler(kind, seed=0, processes=1, batch_size=4):
    if kind == "packs":
        return PackSampler(pack(LENGTHS, 64, seed), seed=seed, processes=processes)
    return LengthGroupedSampler(LENGTHS, batch_size, seed=seed, processes=processes)


def epoch_of(batches, epoch):
    batches.set_epoch(epoch)
    return list(batches)


def real(batches):
    """The rows of batches, without what fills up."""
    return sorted(row for row in itertools.chain.from_iterable(batches) if row >= 0)


@kinds
@pytest.mark.parametrize("processes", [1, 2, 7, 60])
def test_every_row_comes_once_an_epoch_in_as_many_batches(kind, processes):
    batches = sampler(kind, processes=processes)
    for epoch in range(3):
        found = epoch_of(batches, epoch)
        assert real(found) == list(range(ROWS))
        assert len(found) == len(batches) and len(found) % processes == 0


@kinds
def test_the_order_hangs_on_seed_and_epoch_alone(kind):
    first, again = sampler(kind), sampler(kind)
    assert epoch_of(first, 1) == epoch_of(again, 1)
    assert epoch_of(first, 0) != epoch_of(first, 1)
    assert epoch_of(first, 1) == epoch_of(again, 1)
    assert epoch_of(sampler(kind, seed=1), 1) != epoch_of(first, 1)


def test_packs_stay_the_same_in_every_epoch():
    batches = sampler("packs")
    assert sorted(epoch_of(batches, 0)) == sorted(epoch_of(batches, 1)) == sorted(batches.packs)


def test_rows_of_a_batch_are_of_like_length_and_the_last_batch_is_kept():
    batches = epoch_of(sampler("lengths"), 0)
    assert sorted(map(len, batches)) == [1] + [4] * 11
    assert max(np.ptp(LENGTHS[rows]) for rows in batches) < 0.3 * np.ptp(LENGTHS)
    longest = [LENGTHS[rows].max() for rows in batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_rows_of_almost_one_length_go_together_by_chance():
    lengths = np.repeat([20, 21], 20)
    batches = list(LengthGroupedSampler(lengths, 4, seed=0))
    assert sum(np.ptp(lengths[rows]) > 0 for rows in batches) > 5


def test_rows_are_sorted_within_windows_alone_so_that_batches_differ_between_epochs():
    batches = LengthGroupedSampler(np.full(40, 7), 4, seed=0, window=2)
    together = [{frozenset(rows) for rows in epoch_of(batches, epoch)} for epoch in (0, 1)]
    assert len(together[0] & together[1]) <= 1


class Numbers:
    """Row numbers as a data set that takes ``~0`` too."""

    def __getitem__(self, index):
        return index

    def __len__(self):
        return ROWS


def loader(kind, processes, index):
    """What process ``index`` goes through, as accelerate prepares it, and its sampler."""
    batches = sampler(kind, processes=processes)
    plain = DataLoader(Numbers(), batch_sampler=batches, collate_fn=list)
    sharing = {"num_processes": processes, "process_index": index, "put_on_device": False}
    return prepare_data_loader(plain, **sharing), batches


@kinds
@pytest.mark.parametrize("processes", [2, 7])
def test_processes_share_the_rows_evenly(kind, processes):
    parts = [list(loader(kind, processes, index)[0]) for index in range(processes)]
    assert len({len(part) for part in parts}) == 1
    assert real(itertools.chain.from_iterable(parts)) == list(range(ROWS))
    assert all(batch == FILLING or min(batch) >= 0 for part in parts for batch in part)


def test_two_processes_take_in_each_step_what_one_would_with_twice_the_batch():
    parts = [list(loader("lengths", 2, index)[0]) for index in range(2)]
    alone = list(sampler("lengths", batch_size=8))
    assert [real(step) for step in zip(*parts, strict=True)] == [sorted(batch) for batch in alone]


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_sort_rows_by_length_where_one_would(processes):
    """Batches of one row pad nothing, but what counts is the step."""
    sharing = LengthGroupedSampler(LENGTHS, 8 // processes, seed=0, processes=processes)
    alone = LengthGroupedSampler(LENGTHS, 8, seed=0)
    assert sharing.window == alone.window > 1
    even = np.full(ROWS, 20)
    assert LengthGroupedSampler(even, 8 // processes, seed=0, processes=processes).window == 1


@kinds
@pytest.mark.parametrize("processes", [1, 2])
def test_processes_that_resume_within_an_epoch_go_on_with_its_batches(kind, processes):
    """As the Trainer does it: begin the epoch, skip, go through the loader."""
    expected = epoch_of(sampler(kind, processes=processes), 3)
    for index in range(processes):
        prepared, batches = loader(kind, processes, index)
        EpochOfSampler(batches).on_epoch_begin(None, TrainerState(epoch=3.4), None)
        skipping = skip_first_batches(prepared, 2)
        skipping.set_epoch(3)
        assert list(skipping) == expected[index::processes][2:]


@kinds
def test_the_trainer_resumes_within_an_epoch_to_the_batches_of_an_unbroken_run(kind, tmp_path):
    rows = conversations(*LENGTHS)
    collate = packed if kind == "packs" else partial(padded, pad=0)

    def made(**more):
        model = language_model("llama")
        return trainer(model, sampler(kind), rows, collate, tmp_path, num_train_epochs=2, **more)

    unbroken = made(save_strategy="steps", save_steps=len(sampler(kind)) + 3)
    unbroken.train()
    steps = unbroken.args.save_steps
    resumed = made()
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{steps}"))
    assert resumed.given == unbroken.given[steps:]
    assert unbroken.given[:5] != unbroken.given[len(sampler(kind)) :][:5]
    for a, b in zip(resumed.model.parameters(), unbroken.model.parameters(), strict=True):
        assert a.equal(b)
