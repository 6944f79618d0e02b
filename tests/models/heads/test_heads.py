"""Heads: losses over what is known, and answers in the user's own terms."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from polymodal.config import TargetConfig
from polymodal.errors import ConfigError
from polymodal.models.heads import (
    HEADS,
    IGNORED,
    Classifier,
    MultilabelClassifier,
    Regressor,
    build_head,
    takes_weights,
)
from polymodal.models.outputs import FusedState
from tests.support.component_cases import HEAD_CASES

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])


def test_a_classifier_learns_from_known_rows_alone():
    target = torch.tensor([0, IGNORED, 2, IGNORED])
    loss = Classifier(3).loss(LOGITS, target)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS[[0, 2]], torch.tensor([0, 2])))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_and_smoothing_are_torchs_own(smoothing):
    weights = [0.5, 1.0, 4.0]
    head = Classifier(3, class_weights=weights, label_smoothing=smoothing)
    target = torch.tensor([0, 1, 2, IGNORED])
    expected = F.cross_entropy(LOGITS, target, torch.tensor(weights), label_smoothing=smoothing)
    torch.testing.assert_close(head.loss(LOGITS, target), expected)


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (Classifier(3, class_weights=[1, 2, 3], label_smoothing=0.1), torch.full((4,), IGNORED)),
        (MultilabelClassifier(3, pos_weight=[1, 2, 3]), torch.full((4, 3), math.nan)),
        (Regressor(mean=5, deviation=2), torch.full((4,), math.nan)),
        (Regressor(transform="log"), torch.full((4,), math.nan)),
    ],
    ids=["classes", "labels", "numbers", "amounts"],
)
def test_a_target_that_is_empty_throughout_gives_no_loss_and_no_gradient(head, target):
    logits = torch.randn(4, head.outputs, requires_grad=True)
    loss = head.loss(logits, target)
    loss.backward()
    assert loss.item() == 0 and torch.equal(logits.grad, torch.zeros_like(logits))


def test_one_empty_number_leaves_the_others_their_gradient():
    logits = torch.zeros(2, 1, requires_grad=True)
    Regressor(mean=1.0, deviation=2.0).loss(logits, torch.tensor([math.nan, 5.0])).backward()
    assert logits.grad.flatten().tolist() == [0.0, -4.0]  # 2 · (0 - (5 - 1) / 2)


@pytest.mark.parametrize("transform", ["none", "log"])
def test_numbers_come_back_in_their_own_unit(transform):
    numbers = torch.tensor([0.0, 3.0, 250_000.0, 1.5e9])
    learnt = numbers.log1p() if transform == "log" else numbers
    head = Regressor(mean=float(learnt.mean()), deviation=float(learnt.std()), transform=transform)
    logits = ((learnt - head.mean) / head.deviation).unsqueeze(1)
    torch.testing.assert_close(head.answer(logits), numbers, rtol=1e-4, atol=100.0)
    torch.testing.assert_close(head.loss(logits, numbers), torch.zeros(()), atol=1e-6, rtol=0)


def test_an_amount_is_never_negative_nor_infinite():
    head = Regressor(mean=0.0, deviation=100.0, transform="log")
    answer = head.answer(torch.tensor([[-9.0], [9.0]]))
    assert answer[0] == 0 and answer.isfinite().all()


def test_the_temperature_softens_confidence_and_keeps_the_order():
    head = Classifier(3)
    before = head.answer(LOGITS)
    torch.testing.assert_close(before, LOGITS.softmax(dim=1))
    head.temperature.fill_(4.0)
    after = head.answer(LOGITS)
    assert (after.max(dim=1).values <= before.max(dim=1).values + 1e-6).all()
    assert torch.equal(after.argmax(dim=1), before.argmax(dim=1))
    torch.testing.assert_close(after, (LOGITS / 4).softmax(dim=1))


LABELS = torch.tensor([[1.0, 0.0, 1.0], [math.nan] * 3, [0.0, 0.0, 0.0], [math.nan] * 3])


@pytest.mark.parametrize("pos_weight", [None, [0.5, 1.0, 4.0]])
def test_labels_are_learnt_from_known_rows_alone_also_from_those_that_have_none(pos_weight):
    head = MultilabelClassifier(3, pos_weight=pos_weight)
    factors = None if pos_weight is None else torch.tensor(pos_weight)
    expected = F.binary_cross_entropy_with_logits(LOGITS[[0, 2]], LABELS[[0, 2]], pos_weight=factors)
    torch.testing.assert_close(head.loss(LOGITS, LABELS), expected)
    assert head.known(LABELS).tolist() == [True, False, True, False]


def test_one_row_of_unknown_labels_leaves_the_others_their_gradient():
    logits = LOGITS.clone().requires_grad_()
    MultilabelClassifier(3).loss(logits, LABELS).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.any(dim=1).tolist() == [True, False, True, False]


def test_labels_are_said_from_their_own_threshold_on():
    head = MultilabelClassifier(["a", "b", "c"], thresholds=[0.9, 0.5, 0.01])
    answer = head.answer(LOGITS)
    torch.testing.assert_close(answer, LOGITS.sigmoid())
    columns = head.columns("tags", answer, probabilities=True)
    assert columns["tags"] == [["b", "c"], ["b", "c"], ["b", "c"], ["b", "c"]]
    assert columns["tags_confidence"][0] == answer[0, 1:].tolist()
    assert columns["tags_probability_c"].tolist() == answer[:, 2].tolist()
    silent = MultilabelClassifier(3, thresholds=0.999).columns("tags", answer)
    assert silent == {"tags": [[]] * 4, "tags_confidence": [[]] * 4}


def test_a_class_is_said_by_its_threshold_with_its_own_confidence():
    plain = Classifier(["a", "b", "c"])
    answer = plain.answer(LOGITS)
    assert plain.columns("x", answer)["x"] == ["a", "b", "c", "a"]
    even = Classifier(["a", "b", "c"], thresholds=[1 / 3] * 3)
    assert torch.equal(even.decide(answer)["predicted"], plain.decide(answer)["predicted"])
    rare = Classifier(["a", "b", "c"], thresholds=[0.6, 0.35, 0.05])
    columns = rare.columns("x", answer)
    assert columns["x"] == ["a", "c", "c", "c"]
    assert columns["x_confidence"].tolist() == answer[range(4), [0, 2, 2, 2]].tolist()


def test_an_interval_lies_around_the_answer_and_grows_with_an_amount():
    plain = Regressor(half_width=2.0)
    said = plain.decide(torch.tensor([-1.0, 5.0]))
    assert said["low"].tolist() == [-3.0, 3.0] and said["high"].tolist() == [1.0, 7.0]
    assert Regressor().decide(torch.tensor([1.0])) == {}
    assert set(Regressor().columns("y", torch.tensor([1.0]))) == {"y"}
    amounts = Regressor(transform="log", half_width=math.log(2))
    said = amounts.decide(torch.tensor([0.0, 9.0, 99.0]))
    torch.testing.assert_close(said["high"], torch.tensor([1.0, 19.0, 199.0]))  # 2 (1 + x) - 1
    torch.testing.assert_close(said["low"], torch.tensor([0.0, 4.0, 49.0]))
    columns = amounts.columns("price", torch.tensor([9.0]))
    assert list(columns) == ["price", "price_low", "price_high"]
    assert amounts.decide(torch.tensor([5e34]))["high"].isfinite().all()


def test_residuals_are_measured_where_the_interval_is():
    residuals = Regressor(transform="log").residuals(torch.tensor([9.0, 0.0]), torch.tensor([19.0, -1.0]))
    torch.testing.assert_close(residuals, torch.tensor([math.log(2), math.inf]).double())
    plain = Regressor(mean=5, deviation=3).residuals(torch.tensor([1.0]), torch.tensor([-2.0]))
    assert plain.tolist() == [3.0]


def test_a_head_is_built_again_from_its_settings():
    for head in (
        Classifier(["a", "b"], class_weights=[1, 3], label_smoothing=0.1, weight=2.0, dropout=0.3),
        Classifier(["a", "b"], thresholds=[0.3, 0.7]),
        MultilabelClassifier(["a", "b"], pos_weight=[1, 3], thresholds=[0.3, 0.9], weight=2.0),
        Regressor(mean=1, deviation=2, transform="log", weight=0.5, half_width=0.25),
    ):
        again = build_head({"task": head.task, **head.settings()})
        assert again.settings() == head.settings()


def test_what_a_user_gets_wrong_is_said():
    with pytest.raises(ValueError, match="expected 'none' or 'log'"):
        Regressor(transform="sqrt")
    with pytest.raises(ValueError, match="2 class_weights for 3 classes"):
        Classifier(3, class_weights=[1, 2])
    with pytest.raises(ValueError, match="2 thresholds for 3 classes"):
        Classifier(3, thresholds=[0.5, 0.5])
    with pytest.raises(ValueError, match="a threshold is 1, expected a number between 0 and 1"):
        MultilabelClassifier(2, thresholds=[0.5, 1])
    with pytest.raises(ValueError, match="2 pos_weight for 3 classes"):
        MultilabelClassifier(3, pos_weight=[1, 2])
    with pytest.raises(ValueError, match="half_width is -1"):
        Regressor(half_width=-1)
    with pytest.raises(ValueError, match="call bind"):
        Classifier(2)(FusedState(torch.zeros(1, 4)))
    with pytest.raises(ConfigError, match="Did you mean 'regression'"):
        build_head({"task": "regresion"})


@pytest.mark.parametrize("name", HEAD_CASES)
def test_a_row_of_weight_two_counts_as_if_it_stood_twice_and_one_of_zero_not_at_all(name):
    torch.manual_seed(0)
    case = HEAD_CASES[name]
    head, known = case.make(), torch.tensor([True, True, False, True, True])
    target, weight = case.target(known), torch.tensor([1.0, 2.0, 4.0, 0.0, 3.0])
    logits = torch.randn(len(target), head.outputs)
    places = torch.arange(len(target)).repeat_interleave(weight.long())

    def gradient(loss_of):
        leaf = logits.clone().requires_grad_()
        loss = loss_of(leaf)
        loss.backward()
        return torch.cat([leaf.grad.flatten(), loss.detach().reshape(1)])

    repeated = gradient(lambda leaf: head.loss(leaf[places], target[places]))
    torch.testing.assert_close(gradient(lambda leaf: head.loss(leaf, target, weight)), repeated)
    for factor in (1e-12, 1e12):  # the ratios of the weights alone matter
        torch.testing.assert_close(
            gradient(lambda leaf, f=factor: head.loss(leaf, target, f * weight)), repeated
        )
    torch.testing.assert_close(head.normalizer(target, weight), head.normalizer(target[places]))
    alike = gradient(lambda leaf: head.loss(leaf, target, torch.ones(len(target))))
    assert torch.equal(alike, gradient(lambda leaf: head.loss(leaf, target)))
    nothing = gradient(lambda leaf: head.loss(leaf, target, torch.zeros(len(target))))
    assert torch.equal(nothing, torch.zeros_like(nothing))


def test_every_registered_head_takes_weights_and_has_a_case():
    assert {name for name in HEADS if takes_weights(HEADS[name])} == set(HEAD_CASES) == set(HEADS)


def test_intervals_of_what_was_never_negative_end_at_zero():
    answers = torch.tensor([1.0, 5.0, -4.0])
    bounds = Regressor(half_width=2.0, nonnegative=True).decide(answers)
    assert bounds["low"].tolist() == [0.0, 3.0, 0.0] and bounds["high"].tolist() == [3.0, 7.0, 0.0]
    assert Regressor(half_width=2.0).decide(answers)["low"].tolist() == [-1.0, 3.0, -6.0]
    config = TargetConfig(task="regression", transform="none")
    for numbers, expected in (([0.0, 3.0, math.nan], True), ([-1.0, 3.0], False)):
        learned = Regressor.configured(config, None, np.array(numbers), None)
        assert learned["nonnegative"] is learned["clamped"] is expected
