"""Hooks of mkdocs: pages made from code, notebooks and files outside of docs/; links out of it."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

INCLUDED = {
    "benchmarks/RESULTS.md": "results.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Files outside of docs/ that are pages of the site."""
NOTEBOOKS = "notebooks"
"""Folder of notebooks below docs/; each has a page with its cells."""
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?\)")
ROLE = re.compile(r":(?:class|data|func|meth|mod|attr):(<code>)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files below docs/."""
    root = Path(config.config_file_path).parent
    made = {
        "reference/commands.md": reference.commands_page(),
        "reference/settings.md": reference.settings_page(),
    }
    made |= {f"reference/{name}": text for name, text in reference.api_pages().items()}
    made |= {page_of(path.name): cells_of(path) for path in (root / "docs" / NOTEBOOKS).glob("*.ipynb")}
    made |= {page: (root / name).read_text(encoding="utf-8") for name, page in INCLUDED.items()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files outside of docs/ lead to their page, or to the repository."""
    homes = {page: name for name, page in INCLUDED.items()}
    source = page.file.src_uri
    folder = posixpath.dirname(homes.get(source, f"docs/{source}"))

    def changed(link: re.Match[str]) -> str:
        start, target, anchor = link[1], link[2], link[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        return f"{start}{address(path, source, config)}{anchor})"

    return outside_of_code(markdown, lambda text: LINK.sub(changed, text))


def page_of(notebook: str) -> str:
    """The page of a notebook, from docs/."""
    return f"{NOTEBOOKS}/{notebook.removesuffix('.ipynb')}.md"


def cells_of(path: Path) -> str:
    """The cells of a notebook, without outputs, as Markdown; its file is linked at the end."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    parts = [f"```python\n{text}\n```" if kind == "code" else text for kind, text in texts]
    return "\n\n".join([*parts, f"[This page as a notebook]({path.name})"])


def outside_of_code(markdown: str, change: Callable[[str], str]) -> str:
    """The text with ``change`` applied to all that is in no fenced block."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.M | re.S)
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def address(path: str, source: str, config: MkDocsConfig) -> str:
    """The link from the page ``source`` to ``path``, a file of the repository."""
    if path.endswith(".ipynb") and source != page_of(posixpath.basename(path)):
        path = f"docs/{page_of(posixpath.basename(path))}"
    inside = INCLUDED.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
    if inside is not None:
        return posixpath.relpath(inside, posixpath.dirname(source) or ".")
    kind = "tree" if os.path.isdir(Path(config.config_file_path).parent / path) else "blob"
    return f"{config.extra['source']}/{kind}/main/{path}"


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write ``:class:`Name` `` of docstrings as code alone."""
    return ROLE.sub(r"\1", html)
