"""How the source is built, counted by `ast`: import circles, rooms, names of modalities, untyped results.

    python benchmarks/house.py
    python benchmarks/house.py --list modality

A room is the folder of a file, the root of the package included; an arrow is an import from one room by
another, those inside functions and under TYPE_CHECKING as well. A circle is a set of files, or of rooms, each
of which imports every other, be it by way of others. `--list` names the files behind a line.
"""

from __future__ import annotations

import argparse
import ast
import re
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
PACKAGE = "polymodal"
MODALITIES = {"image", "audio", "video", "text", "sequence", "number", "category", "date", "categories"}
FAMILIES = {"classification", "multilabel", "regression", "ordinal"}
OWN = ("config", "registry")
"""Rooms, and files, in which the names of modalities and task families are at home."""
OWN_FILES = MODALITIES
"""Files called like a modality are its own (readers/image.py, encoders/image.py, media/image.py …): they are
not counted, since they ask for no other."""
OF_TASKS = ("tasks", "targets", "heads", "metrics")
"""Rooms with one file per task, which says its name."""
WORDS = re.compile(r"\b(said|hangs?|told|asked|stands?|cures?)\b")
LONG, SHORT = 400, 60
Named = dict[str, int]
"""A figure's parts: how often by file, or by name."""


class House:
    """Every module of the package, parsed.

    Args:
        source: The folder that holds the package.
    """

    def __init__(self, source: Path = SOURCE) -> None:
        self.trees: dict[str, ast.Module] = {}
        self.texts: dict[str, str] = {}
        self.paths: dict[str, Path] = {}
        for path in sorted((source / PACKAGE).rglob("*.py")):
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            self.texts[name] = path.read_text(encoding="utf-8")
            self.trees[name], self.paths[name] = ast.parse(self.texts[name]), path

    def room(self, name: str) -> str:
        """The folder of a module, without the package's own name; ``.`` at the root."""
        folder = name if self.paths[name].name == "__init__.py" else name.rpartition(".")[0]
        return folder.removeprefix(PACKAGE).lstrip(".") or "."

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """By module, the modules of the package that it imports."""
        return {name: {*self._imported(tree)} - {name} for name, tree in self.trees.items()}

    def _imported(self, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [entry if entry in self.trees else node.module for entry in inner]
            yield from (name for name in names if name in self.trees)

    @cached_property
    def arrows(self) -> dict[str, set[str]]:
        """By room, the other rooms that it imports from."""
        found: dict[str, set[str]] = {self.room(name): set() for name in self.trees}
        for name, others in self.imports.items():
            found[self.room(name)] |= {self.room(other) for other in others} - {self.room(name)}
        return found

    def files_that(self, holds: Callable[[ast.AST], bool], *, but: Iterable[str] = ()) -> Named:
        """How many nodes of each file are of a kind; files of the rooms ``but`` are left out."""
        counts = {
            str(self.paths[name].relative_to(SOURCE / PACKAGE)): sum(map(holds, ast.walk(tree)))
            for name, tree in self.trees.items()
            if not {*name.split(".")} & {*but}
        }
        return {name: count for name, count in counts.items() if count}


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The sets of two or more nodes that reach each other (Tarjan 1972), the largest first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            found.append({*stack[place:]})
            del stack[place:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted((each for each in found if len(each) > 1), key=len, reverse=True)


def names_one_of(words: Iterable[str]) -> Callable[[ast.AST], bool]:
    """Whether a node is a string that is one of some words."""
    known = {*words}
    return lambda node: isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known


def gives_loose_dict(node: ast.AST) -> bool:
    """Whether a node is a function that returns ``dict[str, Any]``, also in lists and pairs."""
    is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    return is_function and node.returns is not None and "dict[str, Any]" in ast.unparse(node.returns)


def is_cast(node: ast.AST) -> bool:
    """Whether a node calls ``cast``."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "cast"


def ignored(house: House) -> Named:
    """Comments ``type: ignore`` by file."""
    found: Counter[str] = Counter()
    for path in house.paths.values():
        with path.open("rb") as file:
            tokens = tokenize.tokenize(file.readline)
            comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
        found[str(path.relative_to(SOURCE / PACKAGE))] += sum("type: ignore" in each for each in comments)
    return {name: count for name, count in found.items() if count}


def chains(house: House) -> Named:
    """Bases of our own above each class, where there are two or more."""
    bases = {
        node.name: [ast.unparse(base).split("[")[0] for base in node.bases]
        for tree in house.trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def height(name: str) -> int:
        return 1 + max((height(base) for base in bases[name] if base in bases and base != name), default=0)

    return {name: height(name) for name in bases if height(name) > 1}


def function_lengths(house: House) -> Named:
    """Lines by function of more than 60."""
    return {
        f"{name}.{node.name}": length
        for name, tree in house.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or 0) - node.lineno + 1) > 60
    }


def measure(house: House) -> dict[str, Named]:
    """Every line of the table: a key for ``--list``, and its parts."""
    lengths = {
        str(path.relative_to(SOURCE / PACKAGE)): house.texts[name].count("\n")
        for name, path in house.paths.items()
    }
    stems = Counter(path.stem for path in house.paths.values() if path.stem not in ("__init__", "base"))
    past = {
        f"{name} -> {other}": 1
        for name, others in house.imports.items()
        for other in others
        if house.room(name) == "cli" and house.room(other) != "cli" and other != f"{PACKAGE}.api"
    }
    root = {name: 1 for name in house.trees if house.room(name) == "." and name != PACKAGE}
    words = {name: len(WORDS.findall(text)) for name, text in house.texts.items()}
    return {
        "files": lengths,
        "rooms": {room: len(others) for room, others in house.arrows.items()},
        "arrows": {f"{room} -> {other}": 1 for room, others in house.arrows.items() for other in others},
        "circles": {", ".join(sorted(each)): len(each) for each in circles(house.imports)},
        "room circles": {", ".join(sorted(each)): len(each) for each in circles(house.arrows)},
        "root": root,
        "past api": past,
        "modality": house.files_that(names_one_of(MODALITIES), but=(*OWN, *OWN_FILES)),
        "family": house.files_that(names_one_of(FAMILIES), but=(*OWN, *OF_TASKS)),
        "dict": house.files_that(gives_loose_dict),
        "cast": house.files_that(is_cast),
        "ignore": ignored(house),
        "short": {name: lines for name, lines in lengths.items() if lines < SHORT},
        "long": {name: lines for name, lines in lengths.items() if lines > LONG},
        "functions": function_lengths(house),
        "basenames": {stem: count for stem, count in stems.items() if count > 1},
        "chain": chains(house),
        "words": {name: count for name, count in words.items() if count},
    }


LINES: dict[str, tuple[str, Callable[[Named], int]]] = {
    "files": ("files", len),
    "rooms": ("rooms", len),
    "arrows": ("arrows between rooms", len),
    "circles": ("import circles of files", len),
    "room circles": ("import circles of rooms", len),
    "root": ("files at the root of the package", len),
    "past api": ("imports of cli past api", len),
    "modality": ("files that name a modality as a string", len),
    "family": ("files that name a task family as a string", len),
    "dict": ("functions that return dict[str, Any]", lambda parts: sum(parts.values())),
    "cast": ("casts", lambda parts: sum(parts.values())),
    "ignore": ("type: ignore", lambda parts: sum(parts.values())),
    "short": (f"files under {SHORT} lines", len),
    "long": (f"files above {LONG} lines", len),
    "functions": ("functions above 60 lines", len),
    "basenames": ("basenames that stand twice or more", len),
    "chain": ("longest chain of own classes", lambda parts: max(parts.values(), default=0)),
    "words": ("said, hang, told, asked, stand, cure", lambda parts: sum(parts.values())),
}


def main(arguments: list[str] | None = None) -> None:
    """Print the table, or what stands behind one of its lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--list", choices=LINES, help="name the parts of this line instead")
    options = parser.parse_args(arguments)
    found = measure(House())
    if options.list:
        for name, count in sorted(found[options.list].items(), key=lambda entry: (-entry[1], entry[0])):
            print(f"{count:6}  {name}")
        return
    for key, (words, figure) in LINES.items():
        print(f"{words:44}{figure(found[key]):6}   {key}")


if __name__ == "__main__":
    main()
