"""The order of the classes of several runs, by which ordered classes are compared."""

import pytest

from polymodal.comparison.ranking import classes_of, merged_order, score_for, statistics


@pytest.mark.parametrize(
    ("orders", "merged"),
    [
        ([["1", "2", "4", "10"], ["1", "3", "4"]], ["1", "2", "3", "4", "10"]),
        ([["5", "4", "2"], ["5", "3", "2"]], ["5", "4", "3", "2"]),
        ([["low", "high"], ["low", "mid", "high"]], ["low", "mid", "high"]),
        ([["low", "mid", "high"], ["mid", "high", "extreme"]], ["low", "mid", "high", "extreme"]),
        ([["low", "high"], ["high", "low"]], None),
        ([["low", "mid", "high"], ["low", "middle", "high"]], None),
    ],
)
def test_orders_of_classes_are_merged(orders, merged):
    assert merged_order(orders) == merged == merged_order(orders[::-1])


def test_ordinal_runs_are_ranked_alike_whichever_is_named_first():
    truth, other = ["1", "2", "4", "5", "2", "4"] * 10, ["1", "3", "4", "5", "2", "4"] * 10
    orders, scores = [["1", "2", "4", "5"], ["1", "2", "3", "4", "5"]], []
    for each in (orders, orders[::-1]):
        classes = classes_of("ordinal", [truth, other], each)
        assert classes == ["1", "2", "3", "4", "5"]
        score = score_for("ordinal", None, classes)
        scores.append(float(score.value(statistics(score, "ordinal", classes, truth, other).sum(axis=0))))
    assert scores[0] == scores[1]
    assert classes_of("ordinal", [truth, other], [["1", "2", "4", "5"]]) == ["1", "2", "3", "4", "5"]
    assert classes_of("ordinal", [["mid", "odd"]], [["low", "mid"]]) == ["low", "mid", "odd"]
