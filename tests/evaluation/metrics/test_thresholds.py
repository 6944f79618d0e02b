"""Thresholds: the best there is, found by trying all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, precision_recall_curve

from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.evaluation.metrics.thresholds import DECISIVE, class_thresholds, label_thresholds, score
from polymodal.models.heads import Classifier


def imbalanced(rows: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities that hardly ever say the rare classes, though they know something of them."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.tensor([0.5**place for place in range(classes)])
    target = torch.multinomial(shares, rows, replacement=True, generator=generator)
    logits = torch.randn(rows, classes, generator=generator) + 2 * shares.log()
    logits[torch.arange(rows), target] += 1.5
    return logits.softmax(dim=1), target


@pytest.mark.parametrize("seed", range(5))
def test_a_label_has_the_threshold_of_largest_f1(seed):
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(80, 3, generator=generator) < torch.tensor([0.1, 0.3, 0.8])).float()
    target[:5], target[5:10] = 1, 0
    probabilities = (torch.randn(80, 3, generator=generator) + target - 1).sigmoid()
    unknown = torch.full((7, 3), torch.nan)
    chosen = label_thresholds(torch.cat([probabilities, torch.rand(7, 3)]), torch.cat([target, unknown]))
    for place, threshold in enumerate(chosen):
        p, t = probabilities[:, place].numpy(), target[:, place].numpy()
        precision, recall, _ = precision_recall_curve(t, p)
        best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
        assert f1_score(t, p >= threshold) == pytest.approx(best)
        assert f1_score(t, p >= 0.5) <= best


def test_of_equally_good_thresholds_the_one_next_to_a_half_is_taken():
    probabilities = torch.tensor([[0.1], [0.2], [0.3], [0.35], [0.4], [0.8], [0.85], [0.9], [0.95], [0.99]])
    target = torch.tensor([[0.0]] * 5 + [[1.0]] * 5)
    assert label_thresholds(probabilities, target) == [pytest.approx(0.6)]


def test_a_label_of_few_rows_has_none():
    target = torch.zeros(30, 3)
    target[:4, 0], target[:, 1], target[:15, 2] = 1, 1, 1
    first, second, third = label_thresholds(torch.rand(30, 3), target)
    assert first is None and second is None and third is not None


@pytest.mark.parametrize("metric", DECISIVE)
@pytest.mark.parametrize("classes", [2, 4])
def test_classes_are_said_so_that_the_metric_is_better(metric, classes):
    probabilities, target = imbalanced(300, classes)
    head = Classifier(classes, thresholds=class_thresholds(probabilities, target, metric))
    before = evaluate("classification", probabilities, target)[metric]
    after = evaluate("classification", probabilities, target, **head.decide(probabilities))[metric]
    assert after >= before if metric == "accuracy" else after > before + 0.02
    assert sum(head.thresholds) == pytest.approx(1)


@pytest.mark.parametrize("metric", DECISIVE)
def test_of_two_classes_it_is_the_best_there_is(metric):
    probabilities, target = imbalanced(120, 2, seed=1)
    thresholds = class_thresholds(probabilities, target, metric)
    p, t = probabilities[:, 1].double().numpy(), target.numpy()
    cuts = [0, *np.unique(p), 1.1]
    best = max(score((p >= cut).astype(int), t, 2, metric) for cut in cuts)
    said = Classifier(2, thresholds=thresholds).decide(probabilities.double())["predicted"].numpy()
    assert score(said, t, 2, metric) == pytest.approx(best)
    assert np.array_equal(said, (p >= thresholds[1]).astype(int))


def test_the_quick_metric_is_the_metric():
    probabilities, target = imbalanced(200, 5)
    target, said = target % 4, probabilities.argmax(dim=1)
    values = evaluate("classification", probabilities, target)
    for metric in DECISIVE:
        assert score(said.numpy(), target.numpy(), 5, metric) == pytest.approx(values[metric])


def test_where_nothing_can_be_told_nothing_is_changed():
    probabilities, target = imbalanced(60, 3)
    assert class_thresholds(probabilities, torch.full((60,), -100), "macro_f1") is None
    assert class_thresholds(probabilities[:6], target[:6], "macro_f1") is None
    certain = torch.nn.functional.one_hot(target, 3).float() * 0.9 + 0.02
    assert class_thresholds(certain, target, "macro_f1") == pytest.approx([1 / 3] * 3)
