"""Scores from sums over rows are the metrics of those rows."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from polymodal.evaluation.metrics.scores import Score
from polymodal.models.heads import Classifier, MultilabelClassifier, Regressor
from polymodal.tasks import score_of


@pytest.fixture
def classes():
    random = np.random.default_rng(0)
    return torch.tensor(random.dirichlet(np.ones(4), 200)), torch.tensor(random.integers(0, 3, 200))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", metrics.accuracy_score),
        ("balanced_accuracy", metrics.balanced_accuracy_score),
        ("macro_f1", lambda t, p: metrics.f1_score(t, p, average="macro")),
    ],
)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_classes(classes, name, expected):
    answer, target = classes
    said = answer.argmax(dim=1)
    score = Score(name, classes=4)
    value = score.value(score.statistics(answer, target, {"predicted": said}).sum(axis=0))
    assert value == pytest.approx(expected(target.numpy(), said.numpy()))


def test_labels():
    random = np.random.default_rng(0)
    answer, target = (
        torch.tensor(random.random((100, 5))),
        torch.tensor(random.integers(0, 2, (100, 5))).float(),
    )
    score = Score("micro_f1")
    sums = score.statistics(answer, target, {"predicted": answer > 0.4}).sum(axis=0)
    assert score.value(sums) == pytest.approx(metrics.f1_score(target, answer > 0.4, average="micro"))


def test_numbers():
    random = np.random.default_rng(0)
    target = torch.tensor(random.normal(5, 2, 100))
    answer = target + torch.tensor(random.normal(0, 1, 100))
    score = Score("r2")
    assert score.value(score.statistics(answer, target, {}).sum(axis=0)) == pytest.approx(
        metrics.r2_score(target, answer)
    )
    same = torch.full((10,), 3.3)
    assert np.isnan(score.value(score.statistics(same, same, {}).sum(axis=0)))


def test_which_score_a_head_has():
    head = Classifier(["a", "b", "c"])
    assert score_of(head).name == score_of(head, "log_loss").name == "accuracy"
    assert score_of(head, "macro_f1") == Score("macro_f1", 3)
    assert score_of(Classifier(60), "macro_f1").name == "accuracy"
    assert score_of(MultilabelClassifier(3)).name == "micro_f1" and score_of(Regressor()).name == "r2"
