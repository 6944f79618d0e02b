"""The notebooks: no outputs, plain words, a page of the site each; they run from top to bottom (slow)."""

import ast
import json
from typing import Any

import pytest

from tests.support.documentation import DOCS, REPOSITORY
from tests.test_words import words_in

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
MOST_WORDS = 70
"""In a cell of text."""


def cells(path, kind):
    """The texts of the cells of a kind, ``code`` or ``markdown``."""
    book = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def shown(value: Any) -> str:
    """What a notebook shows of the value of a cell's last line."""
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


def run_cell(code: str, names: dict[str, Any]) -> str:
    """Run a cell; what it would show of its last line, if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if not isinstance(last, ast.Expr):
        return ""
    return shown(eval(compile(ast.Expression(last.value), "cell", "eval"), names))


def test_there_are_three_and_the_site_shows_them():
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    start = (DOCS / "index.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 3
    for path in NOTEBOOKS:
        assert f"notebooks/{path.stem}.md" in navigation and f"notebooks/{path.name}" in start


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs_and_short_texts(path):
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    texts = cells(path, "markdown")
    assert texts[0].startswith("# ")
    assert [words_in(text) for text in texts] == [[]] * len(texts)
    for text in texts:
        assert max(len(part.split()) for part in text.split("\n\n")) <= MOST_WORDS, text


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, default_fit, tmp_path, monkeypatch):
    """By a runner of three lines: a kernel of Jupyter would be one more requirement."""
    if "search" in path.stem:
        pytest.importorskip("lancedb")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for code in cells(path, "code"):
        print(run_cell(code, names))
    assert [*tmp_path.iterdir()] == [tmp_path / path.stem]
