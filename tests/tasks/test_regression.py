"""Regression: the figures that people read first, and the one row that may be behind the others."""

import numpy as np
import pytest
import torch

from polymodal.models.heads import Regressor
from polymodal.tasks.base import Answered
from polymodal.tasks.regression import Regression, dominant_row, residual_summary


def answered(rows=20, off=100.0):
    """Rows whose predictions are off by one, and the fifth by ``off``."""
    target = torch.arange(rows, dtype=torch.float64)
    answer = target + 1.0
    answer[4] += off
    return Answered(answer, target, np.arange(rows) + 7)


def test_a_single_row_that_makes_most_of_the_squared_error_is_named():
    rows = answered()
    found = dominant_row(rows.answers, rows.targets, rows.known)
    assert found.row == 11 and found.share == pytest.approx(101**2 / (101**2 + 19))
    summary = residual_summary(rows.answers, rows.targets, rows.known)
    assert summary.dominant == found and summary.medae == 1.0


def test_none_is_named_where_the_errors_are_alike_or_rows_are_few():
    for rows in (answered(off=1.0), answered(rows=9)):
        assert dominant_row(rows.answers, rows.targets, rows.known) is None
    rows = answered()
    weights = np.where(np.arange(20) == 4, 0.0, 1.0)
    assert dominant_row(rows.answers, rows.targets, rows.known, weights) is None


def test_the_verdict_leads_with_errors_in_the_unit_of_the_target():
    metrics = {"mae": 12.5, "medae": 3.0, "r2": -0.25, "r2_log": 0.5}
    first, second = Regression().headline("price", metrics, answered(), np.arange(100) + 1)
    assert first == (
        "The predictions of ‘price’ are off by 12.5 on average and by 3 or less in half of the rows "
        "(R² −0.250; R² of the logarithm, which is learned, 0.500)."
    )
    assert second.startswith("Row 13 alone makes 100% of the squared error")
    hidden = Regression().headline("price", metrics, answered(), None)[1]
    assert hidden.startswith("A single row makes 100%")
    assert Regression().headline("price", {}, answered(), None) == []


def test_r2_of_the_logarithm_is_measured_where_that_is_learned():
    from polymodal.evaluation.metrics.metrics import evaluate

    target = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    head = Regressor(transform="log")
    answer = target * 1.1
    metrics = evaluate("regression", answer, target, **head.decide(answer))
    assert metrics["r2_log"] > 0.99 and list(metrics)[:4] == ["mae", "medae", "r2", "r2_log"]
    assert "r2_log" not in evaluate("regression", answer, target, **Regressor().decide(answer))
