"""Metrics of arrays: without torch, and the same as of tensors."""

import subprocess
import sys
from textwrap import dedent

import numpy as np
import pytest
import torch

from polymodal.evaluation.metrics.calibration import fit_temperature, reliability
from polymodal.evaluation.metrics.metrics import Rows, evaluate
from polymodal.evaluation.metrics.thresholds import class_thresholds, label_thresholds
from polymodal.evaluation.statistics.conformal import conformal_quantile

CODE = """
    import sys
    import numpy as np
    import polymodal.evaluation.metrics
    from polymodal.evaluation.metrics import calibration, scores, thresholds
    from polymodal.evaluation.metrics.metrics import evaluate
    from polymodal.evaluation.statistics import conformal
    late = {"sklearn", "scipy.stats", "scipy.optimize"} & set(sys.modules)

    p, t = np.array([[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]]), np.array([0, 1, 0])
    values = [evaluate("classification", p, t), evaluate("ordinal", p, t)]
    values += [evaluate("multilabel", p, (p > 0.5) * 1.0), evaluate("regression", p[:, 0], p[:, 1])]
    assert all(values), values
    print(sorted(late | {"torch", "transformers"} & set(sys.modules)))
"""


def test_metrics_of_arrays_load_no_torch_and_begin_without_scikit_learn():
    done = subprocess.run([sys.executable, "-c", dedent(CODE)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def rows_of(task, rows=80):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, 3)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if task in ("classification", "ordinal"):
        return p, rng.integers(0, 3, rows), {}
    if task == "multilabel":
        return p, (rng.random((rows, 3)) < p).astype(np.float32), {"predicted": p > 0.4}
    return logits[:, 0], logits[:, 1], {"low": logits[:, 0] - 1, "high": logits[:, 0] + 1}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["classification", "ordinal", "multilabel", "regression"])
def test_tensors_and_arrays_are_measured_alike(task, weighted):
    p, t, decided = rows_of(task)
    weight = np.arange(len(t)) % 3.0 if weighted else None
    tensors = {name: torch.from_numpy(values) for name, values in decided.items()}
    counts = None if weight is None else torch.from_numpy(weight)
    of_tensors = evaluate(task, torch.from_numpy(p), torch.from_numpy(t), counts, **tensors)
    assert evaluate(task, p, t, weight, **decided) == of_tensors != {}


def test_what_is_tuned_is_the_same_by_arrays():
    p, t, _ = rows_of("classification")
    labels, has, _ = rows_of("multilabel")
    both = [(p, t), (torch.from_numpy(p), torch.from_numpy(t))]
    of_labels = [(labels, has), (torch.from_numpy(labels), torch.from_numpy(has))]
    assert len({fit_temperature(*each) for each in both}) == 1
    assert reliability(*both[0]) == reliability(*both[1])
    assert class_thresholds(*both[0], "macro_f1") == class_thresholds(*both[1], "macro_f1")
    assert label_thresholds(*of_labels[0]) == label_thresholds(*of_labels[1])
    assert conformal_quantile(p[:, 0], 0.9) == conformal_quantile(torch.from_numpy(p[:, 0]), 0.9)


def test_metrics_of_other_packages_get_tensors():
    p, t, _ = rows_of("classification")
    rows = Rows(p, t, decided={"predicted": t}, classes=3)
    assert rows.weight is None and rows.probabilities.dtype == torch.float64
    assert torch.equal(rows.predicted, rows.target) and torch.equal(rows.decided["predicted"], rows.target)
    assert torch.equal(rows.prediction, torch.from_numpy(p)) and rows.mean(rows.predicted == rows.target) == 1
