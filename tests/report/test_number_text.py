"""Figures as text."""

from polymodal.config import TargetConfig
from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.report import number_text as words
from polymodal.report.report_page import CONTENTS, with_contents


def test_what_is_rounded_to_zero_has_no_sign():
    assert words.number("r2", -0.0004) == "0.000" and words.number("r2", -0.0006) == "−0.001"
    assert words.points("accuracy", -0.0001, sign=True) == "0.0 points"
    assert words.difference("r2", Estimate(value=0.0, low=-0.0001, high=0.02)) == "0.000 (0.000 to 0.020)"
    assert words.plain(-0.0) == "0"


def test_numbers_have_separators_and_units():
    assert words.plain(-1312.4, unit="€") == "−1,312 €" and words.plain(312, sign=True, unit="€") == "+312 €"
    assert words.metric("rmse", 196_512.3, "€") == "196,512 €" and words.metric("mape", 0.123) == "12.3 %"
    assert words.metric("r2", 0.8324) == "0.832" and words.metric("mae", None) == "–"
    assert words.name("medae") == "median absolute error" and words.name("my_own") == "my own"


def test_a_page_begins_with_links_to_its_sections():
    page = with_contents(f'<h1>T</h1>{CONTENTS}<h1 class="target">kind</h1><h2>Verdict</h2><p>&lt;h2&gt;</p>')
    assert '<li class="target"><a href="#s1">kind</a>' in page and '<h1 class="target" id="s1">kind' in page
    assert '<li class=""><a href="#s2">Verdict</a>' in page and '<h2 id="s2">Verdict' in page
    assert with_contents(f"<h1>T</h1>{CONTENTS}") == "<h1>T</h1>"


def test_the_unit_is_the_one_given_or_that_of_the_format():
    def unit(**given):
        return TargetConfig(task="regression", **given).shown_unit

    assert unit() == "" and unit(format="1.234,5 €") == "€" and unit(format="USD 1,234.5") == "USD"
    assert unit(unit="kg", format="1,234.5") == "kg" and unit(unit="", format="1.234,5 €") == ""
