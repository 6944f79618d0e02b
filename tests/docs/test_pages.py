"""The pages of the documentation: short, in the navigation, with links that lead somewhere and valid YAML."""

import re

import pytest
import yaml

from polymodal.config.parsing import parse
from tests.support.documentation import DOCS, PAGES, README, REPOSITORY, blocks, name_of, prose

MOST_WORDS = 1500
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
PARTS = [page for page in PAGES if page != README]


class Config(yaml.SafeLoader):
    """Reads mkdocs.yml, in which tags name Python objects."""


Config.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def links(page):
    """The links of a page to files of the repository, each with its anchor."""
    found = LINK.findall(prose(page))
    return [(page.parent / link if link else page, anchor) for link, anchor in found if "://" not in link]


def anchors(page):
    """The anchors that GitHub, and the site, make from the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def named(entry):
    """The pages that an entry of the navigation names."""
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [page for value in values for page in named(value)]


@pytest.mark.parametrize("page", PARTS, ids=name_of)
def test_a_page_is_short(page):
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text(encoding="utf-8"))
    words = [word for word in text.split() if any(letter.isalnum() for letter in word)]
    assert len(words) <= MOST_WORDS, f"{len(words)} words; move a section to a page of its own"


def test_every_page_is_in_the_navigation_once():
    config = yaml.load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), Loader=Config)
    pages = named(config["nav"])
    assert len(pages) == len({*pages})
    assert {page.relative_to(DOCS).as_posix() for page in PARTS} <= {*pages}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target, anchor in links(page):
        assert target.exists(), target
        if anchor:
            assert anchor in anchors(target), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_declaration_parses(page):
    for language, text in blocks(page):
        if language == "yaml":
            parse(yaml.safe_load(text), source=name_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_only_modules_that_are_there(page):
    for name in re.findall(r"`(\w+\.py)`", prose(page)):
        assert any([*(REPOSITORY / "src").rglob(name), *REPOSITORY.rglob(f"benchmarks/{name}")]), name
