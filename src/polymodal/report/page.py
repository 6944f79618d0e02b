"""Figures to one page that needs nothing but itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polymodal.report import plots, words


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
    return environment().get_template(template).render(**values)


def draw(name: str, *values: Any, **more: Any) -> Markup:
    """A plot of :mod:`plots`, by its name without ``_plot``, to stand in a page."""
    return Markup(getattr(plots, f"{name}_plot")(*values, **more))
