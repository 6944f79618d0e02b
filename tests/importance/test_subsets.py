"""Rows that are kept for the next analysis are those that would be embedded again."""

import numpy as np
import pytest
import torch

from polymodal.importance.subsets import EmbeddedRows, KeptRows, embed_rows, logits_of
from polymodal.models.blend import JointInput
from polymodal.models.blend_members import PlainInput
from polymodal.models.outputs import EmbeddedInput
from polymodal.plain.blocks import Block, Columns
from tests.support.small_models import small_model, small_rows


def answered(model, rows, **options):
    """By row its logits with all inputs, with the first alone, and with some cells removed."""
    found = {}
    for batch in embed_rows(model, rows, **options):
        first = frozenset(model.config.input_names[:1])
        lacking = batch.lacking(dict.fromkeys(model.config.input_names, batch.index % 2 == 0))
        states = [logits_of(model, state) for state in (batch.embedded, batch.having(first), lacking)]
        for position, index in enumerate(batch.index.tolist()):
            found[index] = [np.r_[tuple(part[position].numpy() for part in each.values())] for each in states]
    return found


@pytest.mark.parametrize("limit", [2**20, 20_000, 0])
def test_kept_rows_are_as_embedded_again(limit):
    model, rows, kept = small_model(), small_rows(), KeptRows(limit)
    for order, size in (([3, 1, 7], 2), (None, 4), ([9, 0, 3, 3, 5, 8], 5)):
        found = answered(model, rows, order=order, batch_size=size, kept=kept)
        for index, states in answered(model, rows, order=order, batch_size=size).items():
            np.testing.assert_allclose(found[index], states, atol=1e-4)
    assert kept.size <= limit


def test_subsets_at_once_are_as_one_by_one():
    model, rows = small_model(), small_rows()
    batch = next(embed_rows(model, rows, batch_size=20))
    names = model.config.input_names
    for subsets in ([frozenset(names[:1]), frozenset(), frozenset(names)], [frozenset(names[:1])] * 2):
        check_at_once(model, batch, subsets)


def check_at_once(model, batch, subsets):
    at_once = logits_of(model, batch.stacked(subsets))
    for target, logits in at_once.items():
        each = torch.cat([logits_of(model, batch.having(subset))[target] for subset in subsets])
        torch.testing.assert_close(logits, each, atol=1e-4, rtol=1e-4)


def embedded_input(length):
    there = torch.ones(3, length, dtype=torch.bool)
    return EmbeddedInput(torch.randn(3, length, 4), there, there[:, 0])


def test_subsets_that_lack_the_large_inputs_are_answered_without_their_tokens():
    embedded = {"number": embedded_input(1), "photo": embedded_input(49), "word": embedded_input(1)}
    missing, index = dict.fromkeys(embedded, embedded_input(1)), torch.arange(3)
    batch = EmbeddedRows(index, embedded, missing, {}, index < 0)
    subsets = [frozenset(names) for names in (["number", "photo"], ["number"], ["photo"], [])]
    first, second = batch.together(subsets, 2)
    assert set(first) == {subsets[1], subsets[3]} and set(second) == {subsets[0], subsets[2]}
    assert batch.stacked(first)["photo"].tokens.shape == (6, 1, 4)
    assert batch.stacked(second)["photo"].tokens.shape == (6, 49, 4)


def test_encoders_run_once():
    model, rows, kept = small_model(), small_rows(), KeptRows()
    runs = []
    for encoder in model.model.encoders:
        encoder.register_forward_pre_hook(lambda module, _: runs.append(module))
    list(embed_rows(model, rows, batch_size=4, kept=kept))
    first = len(runs)
    list(embed_rows(model, rows, batch_size=100, order=range(5), kept=kept))
    assert first and len(runs) == first


def plain_input(*values):
    numbers = np.array([*values, np.nan], np.float32)[:, None]
    blocks = {"x": Block(numbers, ~np.isnan(numbers[:, 0]), Columns(("x",), "number"))}
    return PlainInput(blocks, np.arange(len(values)), torch.ones(len(values), dtype=torch.bool))


def test_features_of_several_batches_are_joined():
    one, other = plain_input(1, 2), plain_input(3)
    both = JointInput({"plain": one}, one.present).beside(JointInput({"plain": other}, other.present))
    assert both.nbytes == 3 * 4  # of their rows alone, not of all that were read with them
    assert both.present.tolist() == [True] * 3
    picked = both.pick(torch.tensor([2, 0])).parts["plain"]
    assert picked.features()["x"].values[:, 0].tolist() == [3, 1]
    again = one.beside(one.pick(torch.tensor([0])))
    assert again.blocks is one.blocks and again.rows.tolist() == [0, 1, 0]
