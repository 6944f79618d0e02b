"""How every figure is drawn: its style, and how the user's names stand in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes

from polymodal.errors import one_line

INK, FAINT = "#010203", "#040506"
"""Stand in the drawing for what the page decides."""
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
"""Characters of a name that are drawn, and how many of them are its last ones."""


@contextmanager
def drawing() -> Iterator[None]:
    """Figures that are made and written inside have our style, and read no formula into a name."""
    with rc_context(STYLE), warnings.catch_warnings():
        # A page has fonts of its own: what Matplotlib's font lacks is drawn all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def shown_name(name: Any) -> str:
    """A name of the user's as it stands in a figure: on one line, its control characters written out, short.

    The end is kept, for names that begin alike.
    """
    text = str(name)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - TAIL - 1]}…{text[-TAIL:]}"
    return one_line(text, 10 * LONGEST)


def name_lines(axes: Axes, names: list[str], **place: Any) -> Any:
    """A legend with the names of the lines and points of ``axes``, whatever letters these begin with.

    Matplotlib leaves out of a legend what begins with an underscore.
    """
    handles = [
        handle for handle in [*axes.lines, *axes.collections] if not str(handle.get_label()).startswith("_")
    ]
    legend = axes.legend(handles, [str(place) for place in range(len(handles))], **place)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(shown_name(name))
    return legend
