"""README and guide: every command and snippet runs, every declaration parses, every link leads somewhere."""

import io
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from polymodal.config.parsing import parse
from polymodal.data.readers import READERS
from polymodal.evaluation.metrics.metrics import METRICS
from polymodal.models.encoders import ENCODERS
from polymodal.models.fusion import FUSIONS
from polymodal.models.heads import HEADS
from polymodal.training.loop import arguments
from tests.support.command import polymodal
from tests.support.tables import house_rows, write_table

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = {
    "README": REPOSITORY / "README.md",
    "guide": REPOSITORY / "docs" / "guide.md",
    "privacy": REPOSITORY / "docs" / "privacy.md",
    "values": REPOSITORY / "docs" / "values.md",
}
TABLES = {"houses.csv": 24, "more_houses.csv": 8, "new_houses.csv": 8}


def blocks(page, language):
    """The code blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page].read_text(encoding="utf-8"), re.M | re.S)


def commands(page):
    """The lines of all shell blocks, without comments."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    return [line for line in (line.split(" #")[0].strip() for line in lines) if line]


@pytest.fixture
def folder(tmp_path, monkeypatch, default_fit):
    """A folder with the tables that the pages speak of, as the current one."""
    for seed, (name, count) in enumerate(TABLES.items()):
        rows = house_rows(tmp_path, count, seed)
        write_table(tmp_path / name, [{k: row[k] for k in row if k not in ("id", "voice")} for row in rows])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(arguments, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(arguments, "MOST_EPOCHS", 2)  # where a command names none
    monkeypatch.setattr(sys, "stdin", io.StringIO("flat or house?\n"))  # what is typed to polymodal chat
    return tmp_path


@pytest.fixture
def registries():
    """What a page registers is forgotten afterwards."""
    kept = [(registry, dict(registry._entries)) for registry in (READERS, ENCODERS, FUSIONS, HEADS)]
    metrics = list(METRICS._metrics)
    path = list(sys.path)
    yield
    sys.path[:] = path
    for registry, entries in kept:
        registry._entries = entries
    METRICS._metrics[:] = metrics


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(page, folder):
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), re.M)
    for line in commands(page):
        words = shlex.split(line)
        if words[0] == "make":
            assert words[1] in targets, line
            continue
        assert words[0] == "polymodal", line
        into = Path(words[words.index(">") + 1]) if ">" in words else None
        result = polymodal(*(words[1 : words.index(">")] if into else words[1:]))
        assert result.status == 0, f"{line}\n{result.err}"
        if into:
            into.write_text(result.out)
            assert polymodal("fit", into, "-o", "again", "--set", "train.epochs=1").status == 0


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_runs(page, folder, registries, capsys):
    names: dict = {"__name__": "snippets"}
    for number, code in enumerate(blocks(page, "python"), start=1):
        exec(compile(code, f"{page}, python block {number}", "exec"), names)
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
def test_every_declaration_parses(page):
    for text in blocks(page, "yaml"):
        parse(yaml.safe_load(text), source=page)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", PAGES[page].read_text(encoding="utf-8"))
    here = [link for link in links if "://" not in link]
    assert here
    for link in here:
        assert (PAGES[page].parent / link).exists(), link


def anchors(page):
    """The anchors that GitHub makes from the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_anchor_is_a_heading(page):
    for link, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", PAGES[page].read_text(encoding="utf-8")):
        if "://" not in link:
            target = PAGES[page].parent / link if link else PAGES[page]
            assert anchor in anchors(target), f"{link}#{anchor}"


def test_the_guide_names_only_what_is_there():
    text = PAGES["guide"].read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+\.py)`", text):
        assert list((REPOSITORY / "src").rglob(name)), name
    declared = parse(yaml.safe_load(blocks("guide", "yaml")[0]))
    assert declared.fusion.name in FUSIONS
