"""A pack teaches what its conversations teach alone: the same logits, loss and gradients."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from polymodal.training.language.conversation_collator import packed, padded
from tests.support.small_conversations import conversations, language_model

LENGTHS = (5, 1, 9, 2, 1, 12)
EXACT = {"atol": 1e-5, "rtol": 1e-5}
models = pytest.mark.parametrize("kind", ["llama", "qwen3", "qwen3 sliding", "gpt2"])
attentions = pytest.mark.parametrize("attention", ["sdpa", "eager"])


@pytest.fixture
def rows():
    return conversations(*LENGTHS)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def alone(model, rows):
    """Logits of each conversation by itself, and the mean over its labels and those of the others."""
    logits, total, count = [], 0.0, 0
    for row in rows:
        batch = padded([row], pad=0)
        output = model(**batch).logits[0]
        labels = batch["labels"][0, 1:]
        total = total + cross_entropy(output[:-1], labels, ignore_index=-100, reduction="sum")
        count += int((labels != -100).sum())
        logits.append(output)
    return torch.cat(logits), total / count


def in_embeddings(model, batch):
    given = dict(batch)
    return given | {"inputs_embeds": model.get_input_embeddings()(given.pop("input_ids"))}


@models
@attentions
@pytest.mark.parametrize("embedded", [False, True], ids=["ids", "embeddings"])
def test_a_pack_gives_the_logits_loss_and_gradients_of_its_rows(kind, attention, embedded, rows):
    model = language_model(kind, attention)
    logits, loss = alone(model, rows)
    expected = gradients(model, loss)
    batch = in_embeddings(model, packed(rows)) if embedded else packed(rows)
    output = model(**batch, use_cache=False)
    torch.testing.assert_close(output.logits[0], logits, **EXACT)
    torch.testing.assert_close(output.loss, loss, **EXACT)
    found = gradients(model, output.loss)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, **EXACT, msg=name)


@models
@attentions
def test_a_padded_batch_gives_the_loss_of_its_rows(kind, attention, rows):
    model = language_model(kind, attention)
    _, loss = alone(model, rows)
    torch.testing.assert_close(model(**padded(rows, pad=0)).loss, loss, **EXACT)


def spoiled(batch, how):
    given = batch | {"use_cache": False}
    if how == "a mask of ones":
        given["attention_mask"] = torch.ones_like(batch["input_ids"])
    elif how == "a cache":
        given["use_cache"] = True
    elif how == "positions that go on":
        given["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
    return given


@models
@attentions
@pytest.mark.parametrize("how", ["a mask of ones", "a cache", "positions that go on"])
def test_conversations_given_in_another_way_would_see_each_other(kind, attention, how, rows):
    """So that the test above can fail."""
    model = language_model(kind, attention)
    batch = packed(rows)
    with torch.no_grad():
        right, wrong = (model(**spoiled(batch, way)) for way in ("as it should be", how))
    assert (wrong.logits - right.logits).abs().max() > 0.1
    assert (wrong.loss - right.loss).abs() > 1e-3


@models
@attentions
def test_layers_that_are_computed_again_keep_conversations_apart(kind, attention, rows):
    model = language_model(kind, attention)
    _, loss = alone(model, rows)
    expected = gradients(model, loss)
    model.train()
    model.activation_checkpointing_enable()
    for more in ({"use_cache": False}, {}):
        output = model(**packed(rows), **more)
        torch.testing.assert_close(output.loss, loss, **EXACT)
        for name, gradient in gradients(model, output.loss).items():
            torch.testing.assert_close(gradient, expected[name], **EXACT, msg=name)


def test_the_first_token_of_a_conversation_is_not_said_from_the_end_of_another(rows):
    """All learned: the pack has as many labels as its rows have that are said from within."""
    labels = packed([type(row)(row.ids, row.learned | True) for row in rows])["labels"]
    assert int((labels[:, 1:] != -100).sum()) == sum(LENGTHS) - len(LENGTHS)
