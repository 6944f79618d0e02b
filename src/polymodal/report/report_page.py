"""Render figures as one self-contained page."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polymodal.evaluation import number_text as words
from polymodal.report import report_plots as plots
from polymodal.report.leaderboard_text import leaders

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that are escaped in pages: control characters, text direction marks, unpaired surrogates."""

CONTENTS = Markup("<!--contents-->")
HEADING = re.compile(
    r'<(?P<kind>h[12])(?: class="(?P<class>target|whole)"|(?<=h2))>(?P<text>.*?)</(?P=kind)>'
)
"""Headings of sections, and those of the targets where there are several."""
SCROLLS = '<div class="scroll" tabindex="0" role="group" aria-label="Table, scrolls where it is wide">'

PLOT_SCROLLS = '<figure class="scroll" tabindex="0" aria-label="Plot, scrolls where it is wide"><svg'


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
    page = with_contents(environment().get_template(template).render(contents=CONTENTS, **values))
    return CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), scrolling(page))


def scrolling(page: str) -> str:
    """A page whose wide tables and plots can be scrolled by the keyboard."""
    return page.replace('<div class="scroll">', SCROLLS).replace("<figure><svg", PLOT_SCROLLS)


def with_contents(page: str) -> str:
    """A page whose headings have anchors, with links to them in the place of ``CONTENTS``.

    Texts of users are escaped, so that every heading is one of a template.
    """
    links: list[tuple[str, str, str]] = []

    def anchored(match: re.Match[str]) -> str:
        links.append((match["class"] or "", f"s{len(links) + 1}", match["text"]))
        return match[0].replace(">", f' id="s{len(links)}">', 1)

    page = HEADING.sub(anchored, page)
    items = "".join(f'<li class="{kind}"><a href="#{anchor}">{text}</a></li>' for kind, anchor, text in links)
    return page.replace(str(CONTENTS), f'<nav aria-label="Contents"><ul>{items}</ul></nav>' if items else "")


def draw(name: str, *values: Any, **more: Any) -> Markup:
    """A plot of :mod:`polymodal.report.report_plots` as an SVG element, by its name without ``_plot``."""
    return Markup(getattr(plots, f"{name}_plot")(*values, **more))
