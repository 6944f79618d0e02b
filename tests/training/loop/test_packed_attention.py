"""Packed conversations attended to one by one: the same numbers as all at once, of fewer scores."""

from unittest import mock

import pytest
import torch

from polymodal.training.language.conversation_collator import packed, padded
from polymodal.training.loop import packed_attention as attention
from polymodal.training.loop.packed_attention import NAME, attending_apart, keeps_apart
from tests.support.small_conversations import conversations, language_model

LENGTHS = (5, 1, 9, 2, 1, 12)
EXACT = {"atol": 1e-5, "rtol": 1e-5}
models = pytest.mark.parametrize("kind", ["llama", "qwen3", "qwen3 sliding", "gpt2"])


@pytest.fixture
def rows():
    return conversations(*LENGTHS)


def taught(model, batch, **more):
    model.zero_grad()
    output = model(**batch, use_cache=False, **more)
    output.loss.backward()
    return output, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@models
@pytest.mark.parametrize("again", [False, True], ids=["kept", "computed again"])
def test_logits_loss_and_gradients_are_those_of_all_at_once(kind, again, rows):
    model = language_model(kind)
    expected, gradients = taught(model, packed(rows))
    if again:
        model.train()
        model.activation_checkpointing_enable()
    with attending_apart(model):
        found, others = taught(model, packed(rows))
    torch.testing.assert_close(found.logits, expected.logits, **EXACT)
    torch.testing.assert_close(found.loss, expected.loss, **EXACT)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, **EXACT, msg=name)


def lengths_attended(model, batch):
    """How many tokens each call of SDPA looks at, in the first layer."""
    seen = []
    plain = attention.sdpa_attention_forward

    def note(module, query, *args, **options):
        seen.append(query.shape[2])
        return plain(module, query, *args, **options)

    with mock.patch.object(attention, "sdpa_attention_forward", note), attending_apart(model):
        model(**batch, use_cache=False)
    return seen[: len(seen) // 2]


@models
def test_each_conversation_is_attended_to_by_itself(kind, rows):
    assert lengths_attended(language_model(kind), packed(rows)) == list(LENGTHS)


@models
def test_what_is_not_packed_is_attended_to_at_once(kind, rows):
    model = language_model(kind)
    for batch in (padded(rows, pad=0), padded(rows[:1], pad=0), packed(rows[:1])):
        assert lengths_attended(model, batch) == [batch["input_ids"].shape[1]]


@models
def test_padded_rows_give_the_same_logits(kind, rows):
    model = language_model(kind)
    batch = padded(rows, pad=0)
    expected = model(**batch).logits
    with attending_apart(model):
        found = model(**batch).logits
    torch.testing.assert_close(found, expected, **EXACT)


@models
def test_conversations_do_not_see_each_other(kind):
    model = language_model(kind)
    with attending_apart(model):
        assert keeps_apart(model)


@pytest.mark.parametrize(("before", "meanwhile"), [("sdpa", NAME), ("eager", "eager")])
def test_the_model_goes_back_to_its_own_attention(before, meanwhile):
    model = language_model("qwen3", before)
    with pytest.raises(RuntimeError, match="broken off"), attending_apart(model):
        assert model.config._attn_implementation == meanwhile
        raise RuntimeError("broken off")
    assert model.config._attn_implementation == before
