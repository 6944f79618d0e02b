"""What a paired difference tells, and how many rows would settle it."""

import numpy as np
import pytest

from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate, estimate
from polymodal.evaluation.statistics.judgement import FEWEST, judge


@pytest.mark.parametrize(
    ("low", "value", "high", "rows", "kind"),
    [
        (0.001, 0.03, 0.06, 40, "adds"),
        (-0.06, -0.03, -0.001, 40, "harmful"),
        (-0.01, 0.0, 0.01, 400, "redundant"),
        (0.0, 0.0, 0.0, 40, "unclear"),  # all rows alike, but too few of them
        (-0.02, 0.03, 0.08, 400, "unclear"),
        (None, 0.03, None, 400, "unclear"),
    ],
)
def test_kinds(low, value, high, rows, kind):
    assert judge(Estimate(value=value, low=low, high=high), rows).kind == kind


def test_the_number_of_rows_is_that_of_a_wider_table():
    judged = judge(Estimate(value=0.03, low=-0.03, high=0.09), 100)
    assert judged.rows == 400  # half the width
    assert judge(Estimate(value=0.0, low=0.0, high=0.0), 40).rows == round(FEWEST)
    assert judge(Estimate(value=0.001, low=-0.2, high=0.2), 40).rows > 4000
    assert judge(Estimate(value=None), 40).rows is None


def test_so_many_rows_settle_it():
    random = np.random.default_rng(0)

    def judged(rows):
        gain = (random.random(rows) < 0.55).astype(float) - (random.random(rows) < 0.5)
        drawn = Bootstrap(np.arange(rows), samples=300).resample(gain[:, None])[:, 0] / rows
        return judge(estimate(gain.mean(), drawn), rows)

    few = judged(100)
    assert few.kind == "unclear" and few.rows < 20_000
    assert judged(20_000).kind == "adds"
