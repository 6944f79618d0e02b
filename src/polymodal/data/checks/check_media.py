"""Every file of a medium is opened once before the first step, so that none fails amid an epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymodal.config import InputConfig
from polymodal.data.checks.check_columns import Findings
from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import MediaError, OutsideError
from polymodal.data.media.path_access import Root
from polymodal.data.media.reading_notes import collect_notes
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.content import Content
from polymodal.data.readers.items import check_count, each_item, of_item
from polymodal.data.tables.lists import written_list
from polymodal.data.tables.table import each_cell
from polymodal.errors import Problem

Decode = Callable[[str, InputConfig, Any, Root], Any]
"""Reads an item of a cell, given input, settings, item and the folder of its paths."""
Progress = Callable[[Iterable, str, int], Iterable]

LISTED = 20  # missing files of a column that are named one by one
MEASURED = 3000  # after so many, every tenth is measured: it costs as much as decoding it


@dataclass
class _Seen:
    """The items of a column that were opened so far, and those that failed."""

    files: int = 0
    most: int = 0
    cut: int = 0
    opened: int = 0
    missing: list[tuple[str, int, Path, MediaError]] = field(default_factory=list)
    outside: list[tuple[str, int, MediaError]] = field(default_factory=list)
    broken: list[tuple[str, int, MediaError]] = field(default_factory=list)
    sizes: list[tuple[float, ...]] = field(default_factory=list)
    refused: list[tuple[float, ...]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Opened:
    """The result of opening a column's items.

    Attributes:
        problems: The cells that cannot be read.
        detail: The sizes or lengths of the others, in words.
        sizes: The same in numbers, as far as they were measured; see :meth:`Reader.measure`.
        refused: Shapes of sequences that can be read, but do not fit the others.
        notes: What was done to cells beyond reading them, each with how many cells it applies to.
    """

    problems: list[Problem]
    detail: str
    sizes: list[tuple[float, ...]]
    refused: list[tuple[float, ...]]
    notes: dict[str, int]


def check_media(
    parts: Parts, column: str, config: InputConfig, decode: Decode | None, progress: Progress | None
) -> Opened:
    """Read every cell of a column of media, each file once, or of values that only their reader knows.

    Args:
        parts: The splits.
        column: The column, an input.
        config: Its settings.
        decode: Reads a cell; by default :meth:`Reader.open`.
        progress: Wraps the cells, with a label and their number, to show how far it is.
    """
    total = sum(len(table) for table in parts.tables.values())
    jobs: Iterable[tuple[str, int, Any]] = _cells(parts, column)
    if progress is not None:
        jobs = progress(jobs, f"reading '{column}'", total)
    seen, kind = _Seen(), READERS[config.modality]
    known: dict[str, MediaError | None] = {}
    for split, index, cell in jobs:
        try:
            check_count(cell, config.modality, config.items)
        except MediaError as error:
            seen.broken.append((split, index, error))
            continue
        for position, item in each_item(cell, config.modality):
            root = parts.tables[split].root
            path = _path(item, root) if kind.holds is Content.MEDIA else None
            key = "" if path is None else str(path)
            if not key or key not in known:
                known[key] = _open(column, config, item, root, decode, seen)
            seen.files += 1
            seen.most = max(seen.most, position)
            wrong = known[key]
            if isinstance(wrong, OutsideError):
                seen.outside.append((split, index, of_item(wrong, position)))
            elif wrong is not None and path is not None and _is_missing(path):
                seen.missing.append((split, index, path, of_item(wrong, position)))
            elif wrong is not None:
                seen.broken.append((split, index, of_item(wrong, position)))
    problems = _missing(parts, column, seen) + _outside(parts, column, seen)
    problems += _broken(parts, column, seen.broken)
    return Opened(problems, _detail(kind, seen), seen.sizes, seen.refused, dict(seen.notes))


def _cells(parts: Parts, column: str) -> Iterator[tuple[str, int, Any]]:
    for split, table in parts.tables.items():
        if column in table.columns:
            for index, cell in enumerate(each_cell(table.values(column))):
                yield split, index, cell


def _open(
    column: str, config: InputConfig, item: Any, root: Root, decode: Decode | None, seen: _Seen
) -> MediaError | None:
    """Decode one item; what is wrong with it, if anything."""
    kept, kind = None, READERS[config.modality]
    try:
        with collect_notes() as notes:
            if decode is not None:
                kept = decode(column, config, item, root)
            else:
                kind.open(item, root, config)
        seen.notes += notes
        seen.opened += 1
        if seen.opened <= MEASURED or seen.opened % 10 == 0:
            size = kind.measure(item, root)
            seen.sizes += [size] if size else []
            seen.cut += kind.is_cut(kept, size)
    except MediaError as error:
        if kind.sizes_agree:
            with suppress(MediaError):  # which is named already
                seen.refused.append(kind.measure(item, root))
        return error
    return None


def judged(
    parts: Parts, column: str, kind: type[Reader], opened: Opened, findings: Findings
) -> list[Problem]:
    """Warn or refuse where the sizes of a column's items show another layout than expected.

    Returns:
        The problems of single cells that are left to be named.
    """
    wrong = kind.judge_sizes([*opened.sizes, *opened.refused])
    if wrong is None:
        return opened.problems
    problem = parts.problem("train", None, column, wrong.found, expected=wrong.expected, cure=wrong.cure)
    if not wrong.is_refused:
        findings.warnings.append(problem)
        return opened.problems
    findings.problems.append(problem)
    return [problem for problem in opened.problems if wrong.covers not in problem.found]


def noted(parts: Parts, column: str, opened: Opened) -> list[Problem]:
    """A warning for each of the notes that were taken while a column's media were opened."""
    return [
        parts.problem("train", None, column, f"{count} of its cells: {text}")
        for text, count in sorted(opened.notes.items())
    ]


def _path(cell: Any, root: Root) -> Path | None:
    """The file a cell names, if it names one."""
    if isinstance(cell, dict) and not cell.get("bytes"):
        cell = cell.get("path")
    if not isinstance(cell, str) or cell[:5].lower() == "data:" or written_list(cell) is not None:
        return None
    return Path(root or ".") / cell  # MediaAccess, too, is the path of its folder


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # such as a text too long for a path: there is no such file
        return True


def _missing(parts: Parts, column: str, seen: _Seen) -> list[Problem]:
    """One line each for a few missing files; one line in all for many, since it is the folder then."""
    missing = seen.missing
    is_all = len(missing) == seen.files and len(missing) > 1
    if not is_all and (parts.every or len(missing) <= LISTED):
        return _broken(parts, column, [(split, index, error) for split, index, _, error in missing])
    split, index, path, error = missing[0]
    files = (
        f"none of its {seen.files} files is"
        if is_all
        else f"{len(missing)} of its {seen.files} files are not"
    )
    reason = f"{files} there; the first, '{path.name}', was looked for in {path.parent}"
    fix = "Put the files there or correct the paths, which start from the table's folder."
    if error.cure and not error.cure.startswith("Relative"):  # the path itself is wrong in its form
        reason, fix = f"{files} there; the first: {error.found}", error.cure
    return [parts.problem(split, None if is_all else index, column, reason, cure=fix)]


def _outside(parts: Parts, column: str, seen: _Seen) -> list[Problem]:
    """One line each for a few cells that lead out of the table's folder, one line in all for many."""
    outside = seen.outside
    if parts.every or len(outside) <= LISTED:
        return _broken(parts, column, outside)
    split, index, error = outside[0]
    reason = f"{len(outside)} of its {seen.files} files may not be named; the first: {error.found}"
    return [parts.problem(split, index, column, reason, expected=error.expected, cure=error.cure)]


def _broken(parts: Parts, column: str, broken: list[tuple[str, int, MediaError]]) -> list[Problem]:
    return [
        parts.problem(split, index, column, error.found, expected=error.expected, cure=error.cure)
        for split, index, error in broken
    ]


def _detail(kind: type[Reader], seen: _Seen) -> str:
    """``64×64 to 640×480 pixels``, ``0.1–2.3 s at 8000 Hz``, ``12–90 steps of 64 features`` or the like."""
    if not seen.sizes:
        return ""
    sampled = f" ({len(seen.sizes)} measured)" if len(seen.sizes) < seen.opened else ""
    several = f", at most {seen.most} a cell" if seen.most else ""
    cut = f", {seen.cut} of them cut at the end (raise '{kind.length_setting}')" if seen.cut else ""
    return kind.describe_sizes(seen.sizes) + several + cut + sampled
