"""Names of columns and classes in figures, whatever letters they hold."""

from html import escape

import pytest

from polymodal.report.plot_style import LONGEST, shown_name
from polymodal.report.report_plots import BLUE, confusion_plot, lines_plot, points_plot, robustness_plot
from tests.support.plots import drawn

ODD = ["$\\alpha_{", "_under", "}$", "tab\tand\x1b[31m", "L" * 500, "<b>&\"'"]
ESTIMATE = {"value": 0.5, "low": 0.4, "high": 0.6}


@pytest.fixture(autouse=True)
def drawing():
    """As for users."""
    with drawn():
        yield


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_drawn_as_it_is_written(name):
    pages = [
        points_plot([(name, ESTIMATE, BLUE)], "accuracy", "accuracy"),
        confusion_plot([name, "other"], [[1, 2], [0, 3]]),
        lines_plot([(name, [0, 1], [0.1, 0.2]), ("other", [0, 1], [0.3, 0.2])], "epoch", name),
        robustness_plot([(name, [0, 1], [ESTIMATE] * 2), ("b", [0, 1], [ESTIMATE] * 2)], "accuracy", name),
    ]
    start = escape(shown_name(name)[:5], quote=False)
    for page in pages:
        assert start in page and not any(ord(letter) < 32 and letter != "\n" for letter in page)


def test_a_long_name_keeps_both_ends():
    short = shown_name("a" * 300 + "-of-2024")
    assert len(short) <= LONGEST and short.startswith("aaa") and short.endswith("-of-2024")
