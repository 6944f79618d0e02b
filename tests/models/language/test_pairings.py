"""Every kind of encoder before every kind of language model, through every connector."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.encoders.backbone import fixed_weights
from tests.support.slow import mostly_slow
from tests.support.speakers import (
    CONNECTORS,
    ENCODERS,
    LANGUAGE_MODELS,
    Before,
    Speaker,
    assert_said,
    make_speaker,
)

PAIRINGS = list(itertools.product(ENCODERS, LANGUAGE_MODELS, CONNECTORS))
EACH_ONCE = list(zip(ENCODERS, itertools.cycle(LANGUAGE_MODELS), itertools.cycle(CONNECTORS), strict=False))
"""Every encoder with one language model and one connector, each of which has its turn."""
BLIND = ("key.bias", "k_proj.bias")
"""Attention is: adding the same to all keys changes nothing."""
ONE_TOKEN = ("number", "category")
"""Encoders of one token an item, of which it is no matter how a resampler's queries look at it."""


@dataclass
class Learned:
    """A pairing that took two steps."""

    speaker: Speaker
    before: dict[str, Tensor]
    losses: list[float]
    blind: tuple[str, ...]


@pytest.fixture(scope="module", params=mostly_slow(PAIRINGS, EACH_ONCE), ids="-".join)
def learned(
    request: pytest.FixtureRequest, language_models: dict[str, Any], encoders: dict[str, Before]
) -> Learned:
    encoder, language_model, connector = request.param
    before = encoders[encoder]
    speaker = Speaker(make_speaker(before, language_models[language_model], connector), before.items)
    weights = copy.deepcopy(speaker.model.state_dict())
    blind = (*BLIND, *(("read.0.norm.weight", "read.0.norm.bias") if encoder in ONE_TOKEN else ()))
    return Learned(speaker, weights, speaker.train(steps=2), blind)


def test_two_steps_lower_the_loss_and_teach_every_weight(learned):
    first, second, third = learned.losses
    assert third < first < float("inf") and second != first
    model = learned.speaker.model
    now = model.state_dict()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            assert weight.grad is None and torch.equal(now[name], learned.before[name]), name
            continue
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        if not name.endswith(learned.blind):
            assert weight.grad.any() and not torch.equal(now[name], learned.before[name]), name


def test_what_is_saved_says_the_same_to_the_last_bit(learned, tmp_path):
    saved = learned.speaker
    saved.model.save_pretrained(tmp_path)
    loaded, info = PolymodalForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert fixed_weights(loaded) == fixed_weights(saved.model)
    assert torch.equal(Speaker(loaded, saved.items).logits(), saved.logits())


def test_neither_other_rows_nor_padding_change_a_row(learned):
    speaker = learned.speaker
    together, padded = speaker.logits(), speaker.logits(padding=3)
    for place, row in enumerate(speaker.rows):
        length = len(speaker.tokens(row))
        assert_close(padded[place, :length], together[place, :length])
        if place in (0, 3):  # one item that is padded to the length of others, and two of them
            assert_close(together[place, :length], speaker.logits([row])[0])


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def test_the_loss_is_that_of_the_plain_language_model(learned):
    """Only the places that the loss looks at are put into words, and nothing comes of it."""
    speaker, model = learned.speaker, learned.speaker.model.eval()
    batch = speaker.batch()
    with torch.no_grad():
        embeds = model.embed(batch["input_ids"], batch["inputs"])
        seen = {"attention_mask": batch["attention_mask"], "labels": batch["labels"]}
        for divided in (None, 7):
            expected = model.language_model(inputs_embeds=embeds, num_items_in_batch=divided, **seen)
            found = model(**batch, num_items_in_batch=divided)
            torch.testing.assert_close(found.loss, expected.loss, atol=1e-6, rtol=1e-6)
    kept = (batch["labels"][:, 1:] != -100).any(dim=0)
    torch.testing.assert_close(found.logits, expected.logits[:, :-1][:, kept], atol=1e-5, rtol=1e-5)


def test_a_batch_padded_on_the_left_is_answered_as_its_rows_alone(learned):
    speaker, rows = learned.speaker, learned.speaker.rows
    greedy, beams = speaker.answers(rows), speaker.answers(rows, num_beams=2)
    assert greedy.shape == (len(rows), 3) and len(beams) == len(rows) and beams.shape[1] <= 3
    assert torch.equal(speaker.answers(rows, do_sample=True, top_k=1), greedy)
    assert_said(greedy[0], speaker.answers(rows[:1])[0])
    assert greedy[0, 0] == speaker.logits(rows[:1])[0, -1].argmax()
