"""An answer taken apart: shares add up to it, and are those of the definition."""

from itertools import permutations

import numpy as np
import pytest
import torch

from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import read_table
from polymodal.importance.shares import answer_shares
from tests.support.small_models import TARGETS, small_model, small_rows


def direct(model, processor, cells, target):
    """What the model answers to one row that is given by its cells alone."""
    output = model(**processor([cells]))
    return model.head(target).answer(output.logits[target]).double().detach().numpy().reshape(-1)


def test_shares_add_up_to_the_answer_less_the_base():
    model, rows = small_model(), small_rows()
    found = answer_shares(model, rows)
    assert list(found) == list(TARGETS)
    for shares in found.values():
        assert [entry.row for entry in shares] == list(range(len(rows)))
        for entry in shares:
            parts = sum(entry.shares.values(), np.zeros_like(entry.base))
            np.testing.assert_allclose(entry.base + parts, entry.answer, rtol=0, atol=1e-12)
            assert entry.exact


@pytest.mark.parametrize("target", TARGETS)
def test_shares_are_means_over_the_orders_in_which_inputs_join(target):
    model, rows = small_model(), small_rows()
    for place in (0, 3, 5):
        cells = {
            name: value for name, value in rows.table.row(place).items() if name in model.config.input_names
        }
        has = [name for name in cells if cells[name] is not None]
        expected = dict.fromkeys(has, 0.0)
        orders = list(permutations(has))
        for order in orders:
            before = direct(model, rows.processor, {}, target)
            for end in range(1, len(order) + 1):
                after = direct(model, rows.processor, {name: cells[name] for name in order[:end]}, target)
                expected[order[end - 1]] += (after - before) / len(orders)
                before = after
        (entry,) = answer_shares(model, rows, [place], targets=[target])[target]
        assert set(entry.shares) == set(has)
        for name in has:
            np.testing.assert_allclose(entry.shares[name], expected[name], rtol=1e-5, atol=1e-5)


def test_what_a_row_lacks_has_no_share():
    model, rows = small_model(), small_rows()
    for entry in answer_shares(model, rows)["kind"]:
        cells = rows.table.row(entry.row)
        lacks = [name for name in model.config.input_names if cells[name] is None]
        assert list(entry.missing) == lacks and not set(lacks) & set(entry.shares)
    nothing = answer_shares(model, rows, [9])["kind"][0]
    assert nothing.shares == {} and np.array_equal(nothing.base, nothing.answer)


def test_rows_come_in_the_order_that_was_asked_for_whatever_the_batches():
    model, rows = small_model(), small_rows()
    order = [7, 2, 9, 2, 0]
    first = answer_shares(model, rows, order)["price"]
    second = answer_shares(model, rows, order, batch_size=2)["price"]
    assert [entry.row for entry in first] == order
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.answer, other.answer, atol=1e-4)
        assert list(one.shares) == list(other.shares)
    assert answer_shares(model, rows, []) == {name: [] for name in TARGETS}


def test_of_one_output_they_are_json():
    model, rows = small_model(), small_rows()
    said = answer_shares(model, rows, [0])["kind"][0].of(1)
    assert set(said) == {"base", "value", "shares", "missing", "exact"}
    assert said["base"] + sum(said["shares"].values()) == pytest.approx(said["value"], abs=1e-12)


def test_of_many_inputs_orders_are_sampled_and_shares_still_add_up():
    names = [f"n{i}" for i in range(8)]
    model = small_model(names)
    random = np.random.default_rng(0)
    table = read_table([dict(zip(names, row, strict=True)) for row in random.normal(size=(3, 8)).tolist()])
    rows = RowDataset(table, model.make_processor(list(table.rows())))
    for entry in answer_shares(model, rows)["price"]:
        assert not entry.exact and len(entry.shares) == 8
        total = entry.base + sum(entry.shares.values())
        np.testing.assert_allclose(total, entry.answer, rtol=0, atol=1e-9)


def test_a_target_that_is_not_there_is_refused_and_training_goes_on_elsewhere():
    model, rows = small_model(), small_rows()
    with pytest.raises(ValueError, match="there is no target 'colour', only kind, tags, price"):
        answer_shares(model, rows, targets=["colour"])
    answer_shares(model, rows, [0])
    assert not model.training and torch.is_grad_enabled()
