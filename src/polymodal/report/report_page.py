"""Figures to one page that needs nothing but itself."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polymodal.report import number_text as words
from polymodal.report import report_plots as plots

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What no page may hold: control characters, those that turn the direction of the text, halves of pairs."""


@cache
def environment() -> Environment:
    """Where the templates come from; whatever they are given is escaped."""
    made = Environment(
        loader=PackageLoader("polymodal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"thousands": lambda value: f"{value:,}", "seconds": words.spoken_seconds}
    made.globals |= {"words": words, "draw": draw}
    return made


def render(template: str, **values: Any) -> str:
    """A page of ``templates/``."""
    page = environment().get_template(template).render(**values)
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), page)


def draw(name: str, *values: Any, **more: Any) -> Markup:
    """A plot of :mod:`plots`, by its name without ``_plot``, to stand in a page."""
    return Markup(getattr(plots, f"{name}_plot")(*values, **more))
