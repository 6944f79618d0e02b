"""The contract of all encoders, fusions, heads and weightings, over every registered one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from polymodal.models import PolymodalForPrediction
from polymodal.models.heads import IGNORED
from tests.support.component_cases import COMPONENTS, Case, Item, blanks, collate, collate_dense, make_case


@pytest.fixture(params=COMPONENTS, ids=lambda component: " ".join(component))
def case(request: pytest.FixtureRequest) -> Case:
    torch.manual_seed(0)
    return make_case(*request.param)


def answers_of(model: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
    """Everything a model says of a batch, by name, a row each."""
    with torch.no_grad():
        output = model(**batch)
    logits = {f"logits of {name}": value for name, value in output.logits.items()}
    vectors = {f"embedding of {name}": value for name, value in output.embeddings.items()}
    return logits | vectors | {"fused": output.fused, "present": output.present}


def test_neither_padding_nor_missing_cells_nor_other_rows_change_a_row(case):
    rows = case.rows()
    together = answers_of(case.model, collate(rows))
    for padding in (1, 9):
        padded = answers_of(case.model, collate(rows, padding))
        for name, value in together.items():
            torch.testing.assert_close(padded[name], value, atol=1e-5, rtol=1e-5, msg=name)
    for place, row in enumerate(rows):
        alone = answers_of(case.model, collate([row]))
        for name, value in together.items():
            torch.testing.assert_close(alone[name][0], value[place], atol=1e-5, rtol=1e-5, msg=name)


COLUMNS = [
    ["type", "items", "a.b", "values", "half", "index", "length"],
    ["Ünï cødé", "b", "a", "0", "forward", "steps", "c"],
]


@pytest.mark.parametrize("columns", COLUMNS, ids=["reserved names", "unsorted names"])
@pytest.mark.parametrize("component", COMPONENTS, ids=" ".join)
def test_what_is_saved_answers_the_same_to_the_last_bit(tmp_path, component, columns):
    torch.manual_seed(1)
    case = make_case(*component, columns)
    case.model.save_pretrained(tmp_path)
    loaded = PolymodalForPrediction.from_pretrained(tmp_path)
    assert not loaded.training
    assert loaded.config.input_names == case.model.config.input_names == list(case.items)
    assert trainable(loaded) == trainable(case.model)
    rows = case.rows()
    for batch in (collate(rows), collate(rows[:1])):
        saved, read = answers_of(case.model, batch), answers_of(loaded, batch)
        for name, value in saved.items():
            assert torch.equal(read[name], value), name


def trainable(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def test_training_takes_no_statistics_over_the_batch(case):
    case.model.train()
    for module in case.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    rows = case.rows()
    together = answers_of(case.model, collate(rows))
    alone = answers_of(case.model, collate(rows[:1]))
    for name, value in together.items():
        torch.testing.assert_close(alone[name][0], value[0], atol=1e-5, rtol=1e-5, msg=name)


def test_gradients_reach_every_trainable_parameter(case):
    rows = case.rows()
    case.model.train()
    case.model(**collate(rows), targets=case.answers(len(rows))).loss.backward()
    for name, parameter in case.model.named_parameters():
        if name.endswith("word_embeddings.weight") and not parameter.requires_grad:
            continue  # of a sequence's backbone, which reads no words
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        if not name.endswith(("key.bias", "k_proj.bias")):  # attention is blind to them
            assert parameter.grad.any(), name
    embedding = case.model.model.embedding
    assert embedding.missing.weight.grad.any(dim=1).all()
    assert embedding.segment.weight.grad.any(dim=1).all()


def test_two_halves_of_a_batch_are_the_batch(case):
    rows = case.rows()
    targets = case.answers(len(rows))
    known = {name: (t != IGNORED) & ~t.isnan() for name, t in targets.items()}

    def gradients(parts: list[slice]) -> tuple[Tensor, list[Tensor]]:
        case.model.zero_grad()
        total = torch.zeros(())
        for part in parts:
            some = {name: target[part] for name, target in targets.items()}
            losses = case.model(**collate(rows[part]), targets=some).losses
            shares = {name: known[name][part].sum() / known[name].sum() for name in losses}
            total = total + sum(shares[name] * loss for name, loss in losses.items())
        total.backward()
        return total.detach(), [p.grad.clone() for p in case.model.parameters() if p.grad is not None]

    whole, halves = gradients([slice(None)]), gradients([slice(0, 3), slice(3, None)])
    torch.testing.assert_close(halves, whole, atol=1e-6, rtol=1e-4)


def test_an_input_may_be_absent_from_the_whole_batch(case):
    for name in case.items:
        rows = [{key: items for key, items in row.items() if key != name} for row in case.rows()]
        output = case.model(**collate(rows), targets=case.answers(len(rows)))
        assert output.loss.isfinite()
        absent = output.present[:, list(case.items).index(name)]
        assert not absent.any()
        output.loss.backward()


def test_a_row_with_nothing_is_answered_and_flagged(case):
    rows = case.rows()
    output = case.model(**collate(rows))
    expected = torch.tensor([[name in row for name in case.items] for row in rows])
    assert torch.equal(output.present, expected)
    nothing = answers_of(case.model, collate([{}, {}]))
    assert all(value.isfinite().all() for value in nothing.values())
    assert not nothing["present"].any()


def test_one_row_trains(case):
    for row in case.rows():
        case.model.train()
        output = case.model(**collate([row]), targets={n: t[:1] for n, t in case.answers(1).items()})
        output.loss.backward()
        assert output.loss.isfinite()


def two_items(make: Callable[[], Item]) -> tuple[Item, Item]:
    """Two that differ: of a category there are few."""
    first, second = make(), make()
    while all(torch.equal(first[key], second[key]) for key in first):
        second = make()
    return first, second


def test_the_second_item_of_a_row_counts(case):
    whole = {name: list(two_items(make)) for name, make in case.items.items()}
    for name in case.items:
        fewer = {key: items[: 1 if key == name else 2] for key, items in whole.items()}
        both, one = (answers_of(case.model, collate([row])) for row in (whole, fewer))
        assert both["fused"].isfinite().all()
        assert not torch.allclose(both["fused"], one["fused"], atol=1e-6), name


@pytest.mark.parametrize("case", [c for c in COMPONENTS if c[0] != "weighting"], indirect=True, ids=" ".join)
def test_losses_add_up_by_their_weights(case):
    rows = case.rows()
    first = next(iter(case.targets))
    case.model.head(first).weight = 3.0
    output = case.model(**collate(rows), targets=case.answers(len(rows)))
    rest = sum(loss for name, loss in output.losses.items() if name != first)
    torch.testing.assert_close(output.loss, 3.0 * output.losses[first] + rest)


def test_a_blank_item_of_no_row_gives_gradients_and_changes_nothing(case):
    """What keeps processes in step: in one no row has the input, in another some row has it."""
    blank = blanks(case.model)
    idle = {
        name: {"row": torch.tensor([], dtype=torch.long)} | {key: item[None] for key, item in values.items()}
        for name, values in blank.items()
    }
    nothing = {name: {} for name in case.items}
    case.model.train()
    for row in (nothing, *({name: [make()]} for name, make in case.items.items())):
        case.model.zero_grad()
        batch = collate([row] if any(row.values()) else [{}])
        fast = {"index": batch["index"], "inputs": idle | batch["inputs"]}
        targets = {name: target[:1] for name, target in case.answers(1).items()}
        buffers = {name: buffer.clone() for name, buffer in case.model.named_buffers()}
        torch.manual_seed(0)
        case.model(**fast, targets=targets).loss.backward()
        for name in trainable(case.model):
            gradient = case.model.get_parameter(name).grad
            assert gradient is not None and gradient.isfinite().all(), name
        assert all(torch.equal(buffers[name], buffer) for name, buffer in case.model.named_buffers())
        base = case.model.model
        needed = {base.encoder_of[name] for name in batch["inputs"]}
        for place in set(base.encoder_of.values()) - needed:
            assert not any(p.grad.any() for p in base.encoder_parameters(place) if p.requires_grad)
        case.model.eval()
        alone, beside = case.model(**batch), case.model(**fast)
        assert torch.equal(alone.fused, beside.fused) and torch.equal(alone.present, beside.present)
        for name, logits in alone.logits.items():
            assert torch.equal(logits, beside.logits[name]), name
        case.model.train()


@pytest.mark.parametrize("padding", [0, 3])
def test_the_dense_path_says_the_same(case, padding):
    rows = case.rows()
    sparse, dense = collate(rows), collate_dense(case.model, rows, padding)
    expected, found = answers_of(case.model, sparse), answers_of(case.model, dense)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5, msg=name)
    targets = case.answers(len(rows))
    gradients = []
    for batch in (sparse, dense):
        case.model.zero_grad()
        case.model(**batch, targets=targets).loss.backward()
        gradients.append({n: p.grad.clone() for n, p in case.model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, atol=2e-6, rtol=1e-4, msg=name)
