"""Heads: losses over what is known, and answers in the user's own terms."""

import math

import pytest
import torch
from torch.nn import functional as F

from polymodal.errors import ConfigError
from polymodal.models.heads import IGNORED, Classifier, Regressor, build_head
from polymodal.models.outputs import FusedState

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
        (Regressor(mean=5, deviation=2), torch.full((4,), math.nan)),
        (Regressor(transform="log"), torch.full((4,), math.nan)),
    ],
    ids=["classes", "numbers", "amounts"],
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


def test_a_head_is_built_again_from_its_settings():
    for head in (
        Classifier(["a", "b"], class_weights=[1, 3], label_smoothing=0.1, weight=2.0, dropout=0.3),
        Regressor(mean=1, deviation=2, transform="log", weight=0.5),
    ):
        again = build_head({"task": head.task, **head.settings()})
        assert again.settings() == head.settings()


def test_what_a_user_gets_wrong_is_said():
    with pytest.raises(ValueError, match="expected 'none' or 'log'"):
        Regressor(transform="sqrt")
    with pytest.raises(ValueError, match="2 class_weights for 3 classes"):
        Classifier(3, class_weights=[1, 2])
    with pytest.raises(ValueError, match="call bind"):
        Classifier(2)(FusedState(torch.zeros(1, 4)))
    with pytest.raises(ConfigError, match="Did you mean 'regression'"):
        build_head({"task": "regresion"})
