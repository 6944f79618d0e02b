"""The documentation site: its reference holds every name of the code; it builds, from no other host."""

import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

import polymodal
from polymodal.cli.app import app
from polymodal.config.declaration import Declaration

REPOSITORY = Path(__file__).resolve().parents[2]
BY_A_BROWSER = re.compile(
    r"<(?:script|img|iframe|source|audio|video)[^>]*\ssrc=\"?https?:[^>]*"
    r"|<link[^>]*rel=\"?(?:stylesheet|preload|preconnect|icon)[^>]*https?:[^>]*|@import[^;]*https?:[^;]*"
)
"""What a browser loads by itself from another host."""


@pytest.fixture
def reference(monkeypatch):
    """The module that makes the reference pages."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs" / "hooks"))
    return import_module("reference")


def rows(page):
    """The lines of the tables of a page, without their heads, as lists of cells."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_command_and_option_has_its_meaning(reference):
    page = reference.commands_page()
    names = set(typer.main.get_command(app).commands)
    assert {*re.findall(r"^### (.+)$", page, re.M)} == names
    assert len(rows(page)) > 100 and all(meaning for *_, meaning in rows(page))
    assert "| `--noise-rows" in page and "| `TABLE\\|run.yaml" in page


def test_every_setting_has_its_default_and_meaning(reference):
    page = reference.settings_page()
    settings = {row[0].strip("`"): row[1:] for row in rows(page) if len(row) == 4}
    assert all(meaning for *_, meaning in settings.values())
    assert settings["train.learning_rate"][:2] == ["number", "`0.001`"]
    assert settings["targets.COLUMN.task"][1] == "required"
    for name, field in Declaration.model_fields.items():
        for section in reference.sections(field.annotation):
            for key, inner in section.model_fields.items():
                held = [entry for entry in settings if entry.startswith(f"{name}.") and f".{key}" in entry]
                assert held or reference.sections(inner.annotation), f"{name}.{key}"
    assert "| `perceiver` | `latents` | `16` |" in page


def test_every_public_name_is_on_one_page(reference):
    text = "\n".join(reference.api_pages().values())
    names = re.findall(r"heading: pm\.(\w+)", text)
    assert sorted(names) == sorted(name for name in polymodal.__all__ if not name.startswith("__"))


@pytest.mark.slow
def test_the_site_builds_and_loads_from_no_other_host(tmp_path):
    if find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install 'polymodal[docs]'")
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"]
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = [*(tmp_path / "site").rglob("*.html")]
    assert len(pages) > 10
    for path in [*pages, *(tmp_path / "site").rglob("*.css")]:
        assert not BY_A_BROWSER.findall(path.read_text(encoding="utf-8")), path
