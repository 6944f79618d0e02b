"""Words of the field: a list of words that may not come back, in identifiers and in text.

A room that is rewritten leaves ``PENDING``; a word that is added to the lists is looked for everywhere else.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "polymodal"
TEXT = {
    r"sa(id|ys?)": "predicted, message, states",
    r"told|tells?": "predicted, passed, states",
    r"ask(s|ed)?": "request, setting, called",
    r"hangs?|hung": "depends on",
    r"st(ands?|ood)": "is, lies, means",
    r"cures?": "fix",
    r"nought": "zero",
    r"anew": "again",
    r"befalls?": "happens to",
    r"(?<!the )dearest": "most expensive",
}
"""Patterns of words in text (docstrings, comments, messages), and what to write instead."""
NAMES = {
    "said": "predicted, message",
    "told": "message, losses",
    "asked": "request, settings",
    "cure": "fix",
    "found": "result, reason",
    "place": "index, location",
    "places": "indices, locations",
}
"""Names of variables, and what to call them instead. ``Problem(found=, cure=)`` is public and stays."""
ALLOWED = re.compile(
    r"stand-?alone|standards?\w*|understand\w*|withstand\w*|``\w*cure\w*``|\.cure\b|told\.json|ask_?\w*\(|\.tell\("
    r"|\n +cure: |\"cure\""  # a field of ``Problem`` and its like, in the docstring and as a key
)
"""Text in which a pattern is meant."""
PENDING: tuple[str, ...] = (
    "src/polymodal/attribution/explain.py",
    "src/polymodal/cli/chatting.py",
    "src/polymodal/cli/fitting.py",
    "src/polymodal/cli/insight.py",
    "src/polymodal/cli/options.py",
    "src/polymodal/cli/searching.py",
    "src/polymodal/comparison/comparison_text.py",
    "src/polymodal/data/checks/check_columns.py",
    "src/polymodal/data/checks/check_copies.py",
    "src/polymodal/data/checks/check_derived.py",
    "src/polymodal/data/checks/check_values.py",
    "src/polymodal/data/checks/leakage.py",
    "src/polymodal/data/schema/recognition.py",
    "src/polymodal/data/schema/schema.py",
    "src/polymodal/embedding_eval/probe_inputs.py",
    "src/polymodal/embedding_eval/retrieval_eval.py",
    "src/polymodal/errors.py",
    "src/polymodal/report/cached.py",
    "src/polymodal/report/verdict.py",
    "src/polymodal/runs/answering.py",
    "src/polymodal/runs/encode_items.py",
    "src/polymodal/runs/generation_run.py",
    "src/polymodal/search/conditions.py",
    "src/polymodal/tasks/base.py",
    "src/polymodal/tasks/classification.py",
    "src/polymodal/tasks/multilabel.py",
    "src/polymodal/training/declaration/language_validation.py",
    "src/polymodal/training/declaration/source.py",
    "src/polymodal/training/declaration/unseen.py",
    "src/polymodal/training/fingerprint.py",
    "src/polymodal/training/language/language_job.py",
    "src/polymodal/training/output_folder.py",
    "src/polymodal/report/templates/explain.html",
    "src/polymodal/report/templates/failures.html",
    "README.md",
    "docs/values.md",
    "docs/values-media.md",
)
"""Rooms and files, from the root of the repository, that are not yet rewritten."""


def is_pending(path: Path) -> bool:
    """Whether a file lies in a room that is not yet rewritten."""
    return any((ROOT / name) in (path, *path.parents) for name in PENDING)


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if not is_pending(path)]
TEMPLATES = [path for path in sorted(SOURCE.rglob("*")) if path.suffix in (".html", ".md", ".j2", ".css")]
PAGE_FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
"""Pages that are read as text."""


def words_in(text: str) -> list[str]:
    """The words of ``text`` that may not come back."""
    text = ALLOWED.sub(" ", text)
    return [word[0] for pattern in TEXT for word in re.finditer(rf"\b(?:{pattern})\b", text)]


def texts(source: str) -> list[tuple[int, str]]:
    """Strings and comments of a module, with their lines."""
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [(token.start[0], token.string) for token in tokens if token.type in kinds]


def public_fields(tree: ast.Module) -> set[ast.expr]:
    """The names of fields that dataclasses such as ``Problem`` declare: they are public and stay."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {entry.target for node in classes for entry in node.body if isinstance(entry, ast.AnnAssign)}


def problems(path: Path) -> list[str]:
    """Words of a module that may not come back, each with its line."""
    source = path.read_text(encoding="utf-8")
    found = [f"{line}: '{word}'" for line, text in texts(source) for word in words_in(text)]
    tree = ast.parse(source)
    fields = public_fields(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in NAMES:
            if node in fields:
                continue
            found.append(f"{node.lineno}: variable '{node.id}' (better: {NAMES[node.id]})")
    return [f"{path.relative_to(ROOT)}:{entry}" for entry in found]


def test_modules_use_the_words_of_the_field():
    assert [problem for path in FILES for problem in problems(path)] == []


@pytest.mark.parametrize("path", [*TEMPLATES, *PAGE_FILES], ids=lambda path: path.name)
def test_pages_use_the_words_of_the_field(path):
    if is_pending(path):
        pytest.skip("not yet rewritten")
    assert words_in(path.read_text(encoding="utf-8")) == []


def test_pending_rooms_exist():
    assert [name for name in PENDING if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a standalone cell", []),
        ("what it said and told", ["said", "told"]),
        ("the cure stands", ["stands", "cure"]),
    ],
)
def test_the_list_knows_words_from_parts_of_words(text, words):
    assert words_in(text) == words
