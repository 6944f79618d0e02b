"""Integrated gradients: by hand where that can be done, and as exact as it says where it cannot."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

import polymodal as pm
from polymodal.attribution.attribution_sites import Inlet
from polymodal.attribution.explain import explain_rows
from polymodal.attribution.explained_answers import LOG_ODDS, said_of, value_of
from polymodal.attribution.integrated_gradients import AIM, LIMIT, Attribution, attribute
from polymodal.importance.subsets import embed_rows, logits_of
from tests.support.small_models import small_model, small_rows


def path_of(function, value, baseline):
    """What :func:`attribute` asks of a row's path, for a function of one input."""
    inlet = Inlet("x", "x", "values", torch.tensor([value]), torch.tensor([baseline]))
    return SimpleNamespace(inlets=[inlet], value=lambda head, output, point: function(point[:, 0]))


def test_a_linear_function_gives_weight_times_distance():
    weight = torch.tensor([2.0, -1.0, 0.0])
    found = attribute(path_of(lambda x: x @ weight + 7, [1.0, 4.0, 5.0], [0.0, 1.0, 3.0]), None, 0)
    assert found.parts["x", "x"][0].tolist() == pytest.approx([2.0, -3.0, 0.0], abs=1e-5)
    assert found.value == pytest.approx(5) and found.base == pytest.approx(6)
    assert found.relative < 1e-5 and not found.flagged


def test_a_product_is_shared_equally():
    found = attribute(path_of(lambda x: x[:, 0] * x[:, 1], [3.0, 2.0], [0.0, 0.0]), None, 0)
    assert found.parts["x", "x"][0].tolist() == pytest.approx([3.0, 3.0], abs=1e-4)


def test_where_everything_happens_near_the_baseline_the_way_is_cut_there():
    def loudness_is_not_heard(x):
        return x[:, 0] / (x.square().mean(dim=1) + 1e-8).sqrt()

    path = path_of(loudness_is_not_heard, [0.3, 0.4], [0.0, 0.0])
    found = attribute(path, None, 0)
    assert found.relative <= AIM and found.steps > 16


def test_an_error_is_told_and_flagged():
    found = attribute(path_of(lambda x: (x[:, 0] > 0.7).float() + 0 * x[:, 0], [1.0], [0.0]), None, 0)
    assert found.value == 1 and found.base == 0 and found.total == 0
    assert found.error == pytest.approx(1) and found.relative > LIMIT and found.flagged
    none = Attribution({}, 2.0, 2.0, 0)
    assert none.relative == 0 and not none.flagged


def test_the_answer_that_was_given_is_taken_apart():
    model = small_model()
    rows = small_rows(6)
    entries = explain_rows(model, rows, [0, 3])
    (batch,) = embed_rows(model, rows, order=[0, 3])
    logits = logits_of(model, batch.embedded)
    for entry in entries:
        head, place = model.head(entry.said.target), [0, 3].index(entry.place)
        own = logits[entry.said.target][place : place + 1]
        value = float(value_of(head, own, entry.said.output)[0])
        assert entry.found.value == pytest.approx(value, rel=1e-4)
        assert entry.found.total == pytest.approx(entry.found.value - entry.found.base, rel=2 * AIM, abs=1e-3)
        if entry.said.target == "price":
            assert entry.said.unit == "" and entry.said.answer == pytest.approx(value, rel=1e-5)
        else:
            odds = torch.tensor(entry.said.confidence).logit()
            assert entry.said.unit == LOG_ODDS and float(odds) == pytest.approx(value, abs=1e-3)
    lacking = [entry for entry in entries if entry.place == 3]
    assert all(entry.missing == ("b",) and set(entry.inputs) == {"a", "c"} for entry in lacking)


def test_the_shares_and_the_maps_of_a_row_are_of_the_same_answer():
    entries = explain_rows(small_model(), small_rows(4), [1], targets=["price", "price"])
    (entry,) = entries
    base = {name: part.share for name, part in entry.inputs.items()}
    assert set(base) == {"a", "b", "c"} and all(part.parts for part in entry.inputs.values())
    for part in entry.inputs.values():
        assert sum(piece.attribution for piece in part.parts) == pytest.approx(part.attribution)
    assert sum(part.attribution for part in entry.inputs.values()) == pytest.approx(entry.found.total)


def test_a_row_of_nothing_has_nothing_to_map():
    entries = explain_rows(small_model(), small_rows(10), [9], targets=["kind"])
    assert entries[0].inputs == {} and entries[0].missing == ("a", "b", "c")
    assert entries[0].found.total == 0 and not entries[0].found.flagged


def test_labels_are_explained_one_by_one_or_the_likeliest_where_none_was_said():
    head = pm.MultilabelClassifier(classes=["a", "b", "c"])
    said = said_of("tags", head, torch.tensor([[3.0, -2.0, 1.0]]))
    assert [entry.answer for entry in said] == ["a", "c"] and not said[0].note
    (likeliest,) = said_of("tags", head, torch.tensor([[-3.0, -2.0, -4.0]]))
    assert likeliest.answer == "b" and likeliest.note == "no label was said; this is the likeliest"


def test_what_is_taken_apart_of_a_class_has_its_temperature():
    head = pm.Classifier(classes=["red", "green", "blue"])
    head.temperature.fill_(2.0)
    logits = torch.tensor([[1.0, 2.0, -1.0]])
    (said,) = said_of("kind", head, logits)
    odds = math.log(said.confidence / (1 - said.confidence))
    assert said.answer == "green" and float(value_of(head, logits, 1)[0]) == pytest.approx(odds, abs=1e-5)
