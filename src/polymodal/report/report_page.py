"""Render figures as one self-contained page."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polymodal.report import number_text as words
from polymodal.report import report_plots as plots
from polymodal.report.leaderboard_text import leaders

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that are escaped in pages: control characters, text direction marks, unpaired surrogates."""


@cache
def environment() -> Environment:
    """The Jinja environment of the templates, with HTML escaping."""
    made = Environment(
        loader=PackageLoader("polymodal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"thousands": lambda value: f"{value:,}", "seconds": words.spoken_seconds}
    made.globals |= {"words": words, "draw": draw, "leaders": leaders}
    return made


def render(template: str, **values: Any) -> str:
    """The page of a template in ``templates/`` with ``values``."""
    page = environment().get_template(template).render(**values)
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), page)


def draw(name: str, *values: Any, **more: Any) -> Markup:
    """A plot of :mod:`polymodal.report.report_plots` as an SVG element, by its name without ``_plot``."""
    return Markup(getattr(plots, f"{name}_plot")(*values, **more))
