"""Every metric against scikit-learn, and the cases in which scikit-learn and users differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from polymodal.errors import ConfigError, PolymodalError
from polymodal.evaluation.metrics.metrics import METRICS, Rows, evaluate
from polymodal.tasks import TASKS, task_of


def classification_metrics(probabilities, target, predicted=None):
    decided = {} if predicted is None else {"predicted": predicted}
    return evaluate("classification", probabilities, target, **decided)


def multilabel_metrics(probabilities, target):
    return evaluate("multilabel", probabilities, target)


def regression_metrics(prediction, target, low=None, high=None):
    decided = {} if low is None else {"low": low, "high": high}
    return evaluate("regression", prediction, target, **decided)


def some_classes(rows: int = 300, classes: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(classes, (rows,), generator=generator)
    logits = torch.randn(rows, classes, generator=generator) * 2
    logits[torch.arange(rows), target] += 1.5
    return logits.softmax(dim=1), target


def some_numbers(rows: int = 200, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(rows, generator=generator).mul(10).round()  # rounded: zeros and ties
    return target + torch.randn(rows, generator=generator), target


def expected_calibration_error(probabilities: np.ndarray, target: np.ndarray, bins: int = 15) -> float:
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == target
    share, mean = calibration_curve(correct, confidence, n_bins=bins)
    counts, _ = np.histogram(confidence, bins=bins, range=(0, 1))
    return float(np.abs(share - mean) @ counts[counts > 0] / len(target))


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classes_agree_with_scikit_learn(classes):
    probabilities, target = some_classes(classes=classes)
    values = classification_metrics(probabilities, target)
    p, t = probabilities.double().numpy(), target.numpy()
    predicted = p.argmax(1)
    p_sum = p / p.sum(1, keepdims=True)
    expected = {
        "accuracy": sk.accuracy_score(t, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(t, predicted),
        "macro_f1": sk.f1_score(t, predicted, average="macro"),
        "auroc": sk.roc_auc_score(t, p[:, 1])
        if classes == 2
        else sk.roc_auc_score(t, p_sum, multi_class="ovr"),
        "log_loss": sk.log_loss(t, p_sum),
        "brier": float(np.square(p - np.eye(classes)[t]).sum(1).mean()),
        "ece": expected_calibration_error(p, t),
    }
    assert values == pytest.approx(expected, abs=1e-6)
    assert all(type(value) is float for value in values.values())


def test_numbers_agree_with_scikit_learn():
    prediction, target = some_numbers()
    values = regression_metrics(prediction, target)
    p, t = prediction.double().numpy(), target.double().numpy()
    expected = {
        "mae": sk.mean_absolute_error(t, p),
        "rmse": sk.root_mean_squared_error(t, p),
        "medae": sk.median_absolute_error(t, p),
        "r2": sk.r2_score(t, p),
        "spearman": spearmanr(t, p).statistic,
        "mape": sk.mean_absolute_percentage_error(t[t != 0], p[t != 0]),
    }
    assert (t == 0).any()
    assert values == pytest.approx(expected, abs=1e-6)
    assert all(type(value) is float for value in values.values())


def test_rank_correlation_of_many_equal_values():
    prediction = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    target = prediction.round()
    expected = spearmanr(prediction.numpy(), target.numpy()).statistic
    assert regression_metrics(prediction, target)["spearman"] == pytest.approx(expected)


def test_rows_without_an_answer_change_nothing():
    probabilities, target = some_classes()
    more = (
        torch.cat([probabilities, torch.full((4, 5), torch.nan)]),
        torch.cat([target, torch.full((4,), -100)]),
    )
    assert classification_metrics(*more) == classification_metrics(probabilities, target)
    prediction, numbers = some_numbers()
    more = torch.cat([prediction, torch.ones(4)]), torch.cat([numbers, torch.full((4,), torch.nan)])
    assert regression_metrics(*more) == regression_metrics(prediction, numbers)


def test_no_answer_at_all_gives_no_metrics():
    assert classification_metrics(torch.rand(3, 4), torch.full((3,), -100)) == {}
    assert classification_metrics(torch.rand(0, 4), torch.zeros(0, dtype=torch.long)) == {}
    assert regression_metrics(torch.rand(3), torch.full((3,), torch.nan)) == {}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_classes_that_do_not_occur_are_left_out():
    probabilities, target = some_classes(classes=6)
    probabilities[:, 5] = 0  # neither in the target nor predicted
    target = target.remainder(4)  # class 4 is predicted but never right
    probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    values, p, t = (
        classification_metrics(probabilities, target),
        probabilities.double().numpy(),
        target.numpy(),
    )
    assert (p.argmax(1) == 4).any()
    assert values["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(t, p.argmax(1)))
    assert values["macro_f1"] == pytest.approx(sk.f1_score(t, p.argmax(1), average="macro"))
    each = [sk.roc_auc_score(t == label, p[:, label]) for label in range(4)]
    assert values["auroc"] == pytest.approx(np.mean(each))


def test_a_single_class_has_no_curve():
    values = classification_metrics(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0]))
    assert "auroc" not in values
    assert values["accuracy"] == values["balanced_accuracy"] == 0.5


def test_certainty_is_calibrated_when_right_and_finite_when_wrong():
    certain = torch.eye(3)[[0, 1, 2, 0]]
    perfect = classification_metrics(certain, torch.tensor([0, 1, 2, 0]))
    assert perfect == pytest.approx(
        {
            "accuracy": 1,
            "balanced_accuracy": 1,
            "macro_f1": 1,
            "auroc": 1,
            "log_loss": 0,
            "brier": 0,
            "ece": 0,
        },
        abs=1e-9,
    )
    wrong = classification_metrics(certain, torch.tensor([1, 2, 0, 1]))
    assert wrong["ece"] == pytest.approx(1)
    assert np.isfinite(wrong["log_loss"])


def test_a_confidence_of_one_shares_the_last_bin():
    probabilities = torch.tensor([[1.0, 0.0], [0.98, 0.02]])
    # together: half are right, mean confidence 0.99; in bins of their own the two would give (0 + 0.98) / 2
    assert classification_metrics(probabilities, torch.tensor([0, 1]))["ece"] == pytest.approx(0.49, abs=1e-6)


def test_rounding_above_one_is_no_logit():
    probabilities, target = some_classes()
    values = classification_metrics(probabilities, target)
    row = probabilities.max(dim=1).values.argmax()
    probabilities[row] = torch.eye(5)[probabilities[row].argmax()] * (1 + 1e-6)
    assert classification_metrics(probabilities, target)["ece"] == pytest.approx(values["ece"], abs=0.01)


def test_what_is_undefined_is_absent():
    constant = regression_metrics(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0]))
    assert set(constant) == {"mae", "rmse", "medae", "mape"}
    flat = regression_metrics(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 3.0]))
    assert set(flat) == {"mae", "rmse", "medae", "mape", "r2"}
    assert flat["mape"] == pytest.approx(2 / 3)
    assert set(regression_metrics(torch.tensor([1.0]), torch.tensor([0.0]))) == {"mae", "rmse", "medae"}


def test_every_metric_says_which_way_is_better():
    cases = {"classification": some_classes(), "multilabel": some_labels(), "regression": some_numbers()}
    for task, answers in cases.items():
        values = evaluate(task, *answers)
        assert set(values) <= set(METRICS)
        assert task_of(task).default_metric in values
    assert not METRICS.named("log_loss").higher_is_better and METRICS.named("accuracy").higher_is_better
    assert {*cases} <= {*TASKS} <= {*METRICS.tasks}


def test_a_metric_is_registered_once_a_task_and_in_one_direction():
    def measure(rows: Rows) -> float:
        return 0.0

    for given, line in (
        ({"tasks": ("multilabel", "regression"), "higher_is_better": True}, "named 'rmse' already"),
        ({"tasks": ("multilabel",), "higher_is_better": True}, "the other direction"),
        ({"tasks": ("multilabel",)}, "needs higher_is_better"),
    ):
        with pytest.raises(ValueError, match=line):
            METRICS.register("rmse", **given)(measure)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"expected \(rows, classes\)"):
        classification_metrics(torch.rand(3, 2), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="from 0 to 1, got 0 to 2"):
        classification_metrics(torch.rand(3, 2), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="twice"):
        regression_metrics(torch.rand(3, 1), torch.rand(3))
    with pytest.raises(ConfigError, match="Did you mean 'regression'"):
        evaluate("regresion", torch.rand(3), torch.rand(3))


def test_a_diverged_model_is_named():
    with pytest.raises(PolymodalError, match="1 of 2 rows: the training diverged"):
        evaluate("classification", torch.tensor([[0.5, 0.5], [torch.nan, 0.5]]), torch.tensor([0, 1]))
    with pytest.raises(PolymodalError, match="2 of 2 rows"):
        evaluate("regression", torch.tensor([torch.inf, torch.nan]), torch.tensor([0.0, 1.0]))


def some_labels(rows: int = 200, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = (torch.rand(rows, classes, generator=generator) < 0.3).float()
    logits = torch.randn(rows, classes, generator=generator) + 2 * target - 1
    return logits.sigmoid(), target


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_labels_agree_with_scikit_learn(threshold):
    probabilities, target = some_labels()
    decided = {} if threshold is None else {"predicted": probabilities >= threshold}
    values = evaluate("multilabel", probabilities, target, **decided)
    p, t = probabilities.double().numpy(), target.numpy()
    said = p >= (threshold or 0.5)
    expected = {
        "map": sk.average_precision_score(t, p, average="macro"),
        "auroc": sk.roc_auc_score(t, p, average="macro"),
        "macro_f1": sk.f1_score(t, said, average="macro"),
        "micro_f1": sk.f1_score(t, said, average="micro"),
        "exact_match": sk.accuracy_score(t, said),
        "hamming_loss": sk.hamming_loss(t, said),
        "brier": np.mean([sk.brier_score_loss(t[:, k], p[:, k]) for k in range(t.shape[1])]),
    }
    assert values == pytest.approx(expected, abs=1e-6)
    assert all(type(value) is float for value in values.values())


def test_rows_of_unknown_labels_change_nothing_and_rows_without_labels_count():
    probabilities, target = some_labels()
    unknown = torch.full((5, 4), torch.nan)
    more = torch.cat([probabilities, unknown]), torch.cat([target, unknown])
    assert multilabel_metrics(*more) == multilabel_metrics(probabilities, target)
    assert multilabel_metrics(unknown, unknown) == {}
    nothing = multilabel_metrics(torch.full((3, 2), 0.1), torch.zeros(3, 2))
    assert nothing == {"micro_f1": 0.0, "exact_match": 1.0, "hamming_loss": 0.0, "brier": pytest.approx(0.01)}


def test_labels_that_do_not_occur_are_left_out():
    probabilities, target = some_labels()
    target[:, 0], probabilities[:, 0] = 0, 0.1  # neither there nor said
    target[:, 1] = 1  # everywhere
    values, p, t = multilabel_metrics(probabilities, target), probabilities.double().numpy(), target.numpy()
    assert values["macro_f1"] == pytest.approx(sk.f1_score(t[:, 1:], p[:, 1:] >= 0.5, average="macro"))
    assert values["map"] == pytest.approx(sk.average_precision_score(t[:, 1:], p[:, 1:]), abs=1e-6)
    assert values["auroc"] == pytest.approx(sk.roc_auc_score(t[:, 2:], p[:, 2:]), abs=1e-6)


def test_what_was_said_is_measured_and_not_what_is_likeliest():
    probabilities, target = some_classes()
    said = (probabilities.argmax(dim=1) + 1) % 5
    values = classification_metrics(probabilities, target, said)
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(target, said))
    assert values["macro_f1"] == pytest.approx(sk.f1_score(target, said, average="macro"))
    assert values["log_loss"] == classification_metrics(probabilities, target)["log_loss"]
    unknown = torch.cat([target, torch.tensor([-100])]), torch.cat([said, torch.tensor([0])])
    more = classification_metrics(torch.cat([probabilities, probabilities[:1]]), *unknown)
    assert more == values


def test_an_interval_is_measured_on_known_rows():
    prediction, target = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.5, 9.0, torch.nan, 3.0])
    values = regression_metrics(prediction, target, prediction - 1, prediction + torch.tensor([1.0, 3, 9, 1]))
    assert values["coverage"] == pytest.approx(2 / 3)
    assert values["interval_width"] == pytest.approx((2 + 4 + 2) / 3)
    assert "coverage" not in regression_metrics(prediction, target)


def test_labels_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"expected \(rows, classes\) twice"):
        multilabel_metrics(torch.rand(3, 2), torch.zeros(3))
    with pytest.raises(PolymodalError, match="1 of 2 rows: the training diverged"):
        multilabel_metrics(torch.tensor([[0.5, 0.5], [torch.nan, 0.5]]), torch.zeros(2, 2))
