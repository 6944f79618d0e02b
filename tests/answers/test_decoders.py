"""Decoders answer as the heads of their tasks do, without torch."""

import numpy as np
import pytest
import torch

from polymodal.answers import DECODERS as TASKS
from polymodal.answers import ClassDecoder, LabelDecoder, NumberDecoder, OrderedDecoder, decoder_of_state
from polymodal.models.blend import head_of
from polymodal.models.heads import HEADS, takes_weights
from polymodal.utils.registry import accepted

DECODERS = {
    "classes": ClassDecoder(["a", "b", "c"], temperature=1.7),
    "classes with thresholds": ClassDecoder(["a", "b", "c"], thresholds=[0.2, 0.5, 0.3]),
    "one class": ClassDecoder(["a"]),
    "ordered": OrderedDecoder(["low", "mid", "high"], temperature=0.4),
    "labels": LabelDecoder(["a", "b", "c"], thresholds=[0.1, 0.5, 0.9], temperature=2.0),
    "numbers": NumberDecoder(mean=3.5, deviation=2.5, half_width=1.25),
    "counts": NumberDecoder(mean=1.0, deviation=2.5, half_width=1.25, nonnegative=True, clamped=True),
    "amounts": NumberDecoder(mean=6.0, deviation=2.0, transform="log", half_width=0.5, nonnegative=True),
}


@pytest.fixture(params=list(DECODERS))
def decoder(request):
    return DECODERS[request.param]


def some_logits(decoder):
    return np.random.default_rng(0).normal(0, 4, (300, decoder.outputs)).astype(np.float32)


def test_an_answer_is_that_of_the_head(decoder):
    logits = some_logits(decoder)
    expected = head_of(decoder).answer(torch.from_numpy(logits)).numpy()
    found = decoder.answer(logits)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=5e-7, atol=1e-30)


def test_the_answer_of_its_logits_is_the_answer(decoder):
    plain = decoder_of_state(
        decoder.state() | ({"temperature": 1.0} if "temperature" in decoder.saved else {})
    )
    answer = plain.answer(some_logits(decoder)).astype(np.float64)
    again = plain.answer(plain.as_logits(answer))
    np.testing.assert_allclose(again, answer, rtol=3e-6, atol=2e-7)


def test_its_state_builds_it_again_and_a_head_with_the_same_decisions(decoder):
    answer = decoder.answer(some_logits(decoder))
    head = head_of(decoder_of_state(decoder.state()))
    assert head.decoder().state() == decoder.state()
    decided = {name: values.numpy() for name, values in head.decide(torch.from_numpy(answer)).items()}
    expected = decoder.decide(answer)
    assert decided.keys() == expected.keys()
    assert all(np.array_equal(decided[name], values) for name, values in expected.items())
    columns = decoder.columns("y", answer, probabilities=True)
    assert all(len(cells) == len(answer) for cells in columns.values())


def test_settings_of_a_heads_training_are_left_out():
    trained = {"weight": 1.0, "dropout": 0.1, "class_weights": [1.0, 2.0], "label_smoothing": 0.0}
    state = {"task": "classification", **trained, "classes": ["a", "b"], "thresholds": None}
    assert decoder_of_state(state).state() == {
        "task": "classification", "classes": ["a", "b"], "thresholds": None, "temperature": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"classes": ["a", "b"], "temperature": 0.0}, "a temperature is 0.0"),
        ({"classes": ["a", "b"], "temperature": float("nan")}, "a temperature is nan"),
        ({"classes": ["a", "b"], "thresholds": [0.5]}, "1 thresholds for 2 classes"),
        ({"classes": ["a", "b"], "code": "x"}, "no setting 'code'"),
    ],
)
def test_settings_that_no_fit_writes_are_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        decoder_of_state({"task": "classification", **wrong})


@pytest.mark.parametrize(
    ("target", "known"),
    [
        (np.array([0, -100, 2]), [True, False, True]),
        (np.array([1.0, np.nan]), [True, False]),
        (np.array([[1.0, 0.0], [np.nan, np.nan]]), [True, False]),
    ],
)
def test_rows_without_an_answer_are_not_known(target, known):
    assert DECODERS["classes"].known(target).tolist() == known


@pytest.mark.parametrize("task", list(TASKS))
def test_a_decoder_knows_the_arguments_and_the_family_of_its_head(task):
    assert list(TASKS[task].of_head) == accepted(HEADS[task])
    assert TASKS[task].family == HEADS[task].reads() and takes_weights(HEADS[task])


@pytest.mark.parametrize("transform", ["none", "log"])
def test_a_number_that_was_never_negative_is_predicted_inside_its_interval(transform):
    ends = {"nonnegative": True, "clamped": True}
    decoder = NumberDecoder(mean=1.0, deviation=2.5, transform=transform, half_width=0.5, **ends)
    answer = decoder.answer(some_logits(decoder))
    decided = decoder.decide(answer)
    assert answer.min() == 0
    assert (decided["low"] <= answer).all() and (answer <= decided["high"]).all()


def test_a_run_of_before_whose_intervals_alone_end_at_zero_answers_as_it_was_trained():
    saved = {"task": "regression", "mean": 1.0, "deviation": 2.5, "transform": "none", "nonnegative": True}
    decoder, logits = decoder_of_state(saved), np.array([[-2.0], [1.0]], dtype=np.float32)
    head = head_of(decoder)
    assert decoder.answer(logits).tolist() == head.answer(torch.from_numpy(logits)).tolist() == [-4.0, 3.5]
    later = decoder_of_state(saved | {"clamped": True})
    assert later.answer(logits).tolist() == [0.0, 3.5]
