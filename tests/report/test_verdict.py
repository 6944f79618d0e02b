"""The sentences of a verdict: signs that agree with the words."""

from types import SimpleNamespace

from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.report.verdict import SortedInputs, _inputs


def test_what_removing_an_input_gains_is_positive():
    cost = Estimate(value=-0.017, low=-0.028, high=-0.006)
    worth = SimpleNamespace(
        score="r2", rows=400, inputs={"shipping": SimpleNamespace(lost_without=cost)},
        free=SimpleNamespace(inputs=["shipping", "rating"], lost_without_all=cost),
    )  # fmt: skip
    assert _inputs(worth, SortedInputs(harmful=["shipping"])) == [
        "Without ‘shipping’ and ‘rating’ at once it gains 0.017 (0.006 to 0.028): they do harm together.",
        "‘shipping’ does harm: leaving it out raises the score by 0.017 (0.006 to 0.028).",
    ]
