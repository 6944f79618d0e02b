"""The map of the repository is true: imports go down, each package is described, each path exists."""

import ast
import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "architecture.md"
sys.path.insert(0, str(REPOSITORY / "benchmarks"))
from house import House, circles  # noqa: E402

PACKAGES = re.findall(r"^\| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
"""In the page's order, from the bottom up."""
NAMED = ("errors", "run", "language_run", "fitting", "estimators", "api")
"""Files beside the packages that the page describes."""
LAYERS = list(dict.fromkeys(name.split(".")[0] for name in PACKAGES))


@pytest.fixture(scope="module")
def house() -> House:
    return House()


def layer(module: str) -> str | None:
    """The top-level package of a module; None for the entry points, which may import anything."""
    parts = module.split(".")
    return None if len(parts) == 1 or parts[1] in ("__main__",) else parts[1]


def imported(house: House, name: str) -> set[str]:
    """The modules that a module imports, and those that it names in a text to import them later."""
    texts = {node.value for node in ast.walk(house.trees[name]) if isinstance(node, ast.Constant)}
    return house.imports[name] | {other for other in house.trees if other in texts}


def test_an_import_only_goes_down(house):
    upward = [
        f"{name} imports {other}"
        for name in house.trees
        for other in imported(house, name)
        if layer(name) and layer(other) and LAYERS.index(layer(name)) < LAYERS.index(layer(other))
    ]
    assert not upward


def test_no_files_import_each_other_in_a_circle(house):
    assert circles(house.imports) == []


def test_every_package_is_described(house):
    folders = {house.room(name) for name in house.trees} - {"."}
    files = {name.split(".")[1] for name in house.trees if name.count(".") == 1} - {"__main__"}
    assert {*PACKAGES} == folders | {name for name in files if name in NAMED}


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_path_exists(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    paths = [path for path in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in path]
    assert paths and not [path for path in paths if not ((REPOSITORY / page).parent / path).exists()]


def test_each_kind_of_change_has_its_files():
    table = PAGE.read_text(encoding="utf-8").partition("## To add something")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "to add" not in line]
    assert len(rows) == 13 and all("](../" in row for row in rows)


def test_the_citation_is_of_this_version():
    from polymodal import __version__

    assert f"version: {__version__}\n" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
