"""Plots of reports: built and not drawn in most tests, drawn as for users in those of plots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from markupsafe import escape
from matplotlib.figure import Figure

from polymodal.comparison import comparison_page
from polymodal.report import report_plots

MODULES = (report_plots, comparison_page)
DRAWING = report_plots.svg


@contextmanager
def not_drawn() -> Iterator[None]:
    """Within this context a plot is an empty element; its figure is built all the same."""
    with ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(mock.patch.object(module, "svg", _empty))
        yield


@contextmanager
def drawn() -> Iterator[None]:
    """Draw plots within this context."""
    with ExitStack() as stack:
        for module in MODULES:
            stack.enter_context(mock.patch.object(module, "svg", DRAWING))
        yield


def _empty(figure: Figure, label: str) -> str:
    assert figure.axes
    return f'<svg role="img" aria-label="{escape(label)}"></svg>'
