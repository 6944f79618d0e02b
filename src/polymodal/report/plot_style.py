"""The style of all plots, and the user's names in them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes

from polymodal.errors import one_line

INK, FAINT = "#010203", "#040506"
"""Placeholders of the text and line colours, which the page sets."""
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "polymodal", "font.family": "sans-serif", "font.size": 9.5,
    "text.parse_math": False, "text.usetex": False, "axes.formatter.use_mathtext": False,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": INK,
    "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": FAINT, "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "xtick.major.size": 0, "ytick.major.size": 0,
}  # fmt: skip
LONGEST, TAIL = 40, 12
"""Characters of a name that are drawn, and how many of them are from its end."""


@contextmanager
def drawing() -> Iterator[None]:
    """A context in which plots have our style, and names are not parsed as formulas."""
    with rc_context(STYLE), warnings.catch_warnings():
        # Glyphs that Matplotlib's font lacks are drawn by the fonts of the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def shown_name(name: Any) -> str:
    """A user's name in a plot: on one line, shortened, with control characters escaped.

    The end is kept, for names that begin alike.
    """
    text = str(name)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - TAIL - 1]}…{text[-TAIL:]}"
    return one_line(text, 10 * LONGEST)


def name_lines(axes: Axes, names: list[str], **options: Any) -> Any:
    """A legend with the names of the lines and points of ``axes``.

    Names that begin with an underscore are in it too, which Matplotlib would skip.
    """
    handles = [
        handle for handle in [*axes.lines, *axes.collections] if not str(handle.get_label()).startswith("_")
    ]
    legend = axes.legend(handles, [str(number) for number in range(len(handles))], **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(shown_name(name))
    return legend
