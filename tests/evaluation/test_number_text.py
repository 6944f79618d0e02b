"""Figures as text."""

from polymodal.config import TargetConfig
from polymodal.evaluation import number_text as words
from polymodal.evaluation.statistics.bootstrap import Estimate


def test_what_is_rounded_to_zero_has_no_sign():
    assert words.number("r2", -0.0004) == "0.000" and words.number("r2", -0.0006) == "−0.001"
    assert words.points("accuracy", -0.0001, sign=True) == "0.0 points"
    assert words.difference("r2", Estimate(value=0.0, low=-0.0001, high=0.02)) == "0.000 (0.000 to 0.020)"
    assert words.plain(-0.0) == "0"


def test_numbers_have_separators_and_units():
    assert words.plain(-1312.4, unit="€") == "−1,312 €" and words.plain(312, sign=True, unit="€") == "+312 €"
    assert words.metric("rmse", 196_512.3, "€") == "196,512 €" and words.metric("mape", 0.123) == "12.3 %"
    assert words.metric("r2", 0.8324) == "0.832" and words.metric("mae", None) == "–"
    assert words.metric("price.mae", 0.5, "€") == "0.5 €" and words.metric("kind.accuracy", 0.75) == "75.0 %"
    assert words.metric("loss", 0.012345) == "0.01235" and words.percent(0.005) == "0 %"
    assert words.name("medae") == "median absolute error" and words.name("my_own") == "my own"


def test_the_unit_is_the_one_given_or_that_of_the_format():
    def unit(**given):
        return TargetConfig(task="regression", **given).shown_unit

    assert unit() == "" and unit(format="1.234,5 €") == "€" and unit(format="USD 1,234.5") == "USD"
    assert unit(unit="kg", format="1,234.5") == "kg" and unit(unit="", format="1.234,5 €") == ""
