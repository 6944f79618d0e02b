"""Every picture and recording is opened once before the first step, so that none fails amid an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymodal.config import InputConfig
from polymodal.data.media import MediaError, audio_info, image_size, is_empty, load_audio, load_image
from polymodal.data.parts import Parts, each_cell
from polymodal.data.table import Table
from polymodal.errors import Problem

Decode = Callable[[str, InputConfig, Table, int], object]
Progress = Callable[[Iterable, str, int], Iterable]

LISTED = 20  # missing files of a column that are named one by one
MEASURED = 3000  # after so many, every tenth is measured: it costs as much as decoding it
RATE = 16_000


@dataclass
class _Seen:
    """What opening a column's media came to."""

    files: int = 0
    opened: int = 0
    missing: list[tuple[str, int, Path, MediaError]] = field(default_factory=list)
    broken: list[tuple[str, int, MediaError]] = field(default_factory=list)
    sizes: list[tuple[float, float]] = field(default_factory=list)


def check_media(
    parts: Parts, column: str, config: InputConfig, decode: Decode | None, progress: Progress | None
) -> tuple[list[Problem], str]:
    """Open every cell of a media column, each file once.

    Args:
        parts: The splits.
        column: The column, an input of modality image or audio.
        config: Its settings.
        decode: Reads a cell; by default the loaders of ``media``.
        progress: Wraps the cells, with a label and their number, to show how far it is.

    Returns:
        The cells that cannot be read, and the sizes or lengths of the others in words.
    """
    total = sum(len(table) for table in parts.tables.values())
    jobs: Iterable[tuple[str, int, Any]] = _cells(parts, column)
    if progress is not None:
        jobs = progress(jobs, f"reading '{column}'", total)
    seen = _Seen()
    known: dict[str, MediaError | None] = {}
    for split, index, cell in jobs:
        if is_empty(cell):
            continue
        seen.files += 1
        table = parts.tables[split]
        path = _path(cell, table.root)
        key = "" if path is None else str(path)
        if not key or key not in known:
            known[key] = _open(column, config, table, index, cell, decode, seen)
        error = known[key]
        if error is not None and path is not None and _is_missing(path):
            seen.missing.append((split, index, path, error))
        elif error is not None:
            seen.broken.append((split, index, error))
    return _missing(parts, column, seen) + _broken(parts, column, seen.broken), _detail(config, seen)


def _cells(parts: Parts, column: str) -> Iterator[tuple[str, int, Any]]:
    for split, table in parts.tables.items():
        if column in table.columns:
            for index, cell in enumerate(each_cell(table.values(column))):
                yield split, index, cell


def _open(
    column: str, config: InputConfig, table: Table, index: int, cell: Any, decode: Decode | None, seen: _Seen
) -> MediaError | None:
    """Decode one cell; what is wrong with it, if anything."""
    try:
        if decode is not None:
            decode(column, config, table, index)
        elif config.modality == "image":
            load_image(cell, table.root)
        else:
            load_audio(cell, table.root, rate=config.rate or RATE)
        seen.opened += 1
        if seen.opened <= MEASURED or seen.opened % 10 == 0:
            is_image = config.modality == "image"
            seen.sizes.append(image_size(cell, table.root) if is_image else audio_info(cell, table.root))
    except MediaError as error:
        return error
    return None


def _path(cell: Any, root: Path | None) -> Path | None:
    """The file a cell names, if it names one."""
    if isinstance(cell, dict) and not cell.get("bytes"):
        cell = cell.get("path")
    if not isinstance(cell, str) or cell[:5].lower() == "data:":
        return None
    return Path(root or ".") / cell


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:  # a text too long for a path, say: there is no such file
        return True


def _missing(parts: Parts, column: str, seen: _Seen) -> list[Problem]:
    """One line each for a few missing files; one line in all for many, since it is the folder then."""
    missing = seen.missing
    is_all = len(missing) == seen.files and len(missing) > 1
    if not is_all and (parts.every or len(missing) <= LISTED):
        return _broken(parts, column, [(split, index, error) for split, index, _, error in missing])
    split, index, path, _ = missing[0]
    files = (
        f"none of its {seen.files} files is"
        if is_all
        else f"{len(missing)} of its {seen.files} files are not"
    )
    found = f"{files} there; the first, '{path.name}', was looked for in {path.parent}"
    cure = "Put the files there or correct the paths, which start from the table's folder."
    return [parts.problem(split, None if is_all else index, column, found, cure=cure)]


def _broken(parts: Parts, column: str, broken: list[tuple[str, int, MediaError]]) -> list[Problem]:
    return [
        parts.problem(split, index, column, error.found, expected=error.expected, cure=error.cure)
        for split, index, error in broken
    ]


def _detail(config: InputConfig, seen: _Seen) -> str:
    """``64×64 to 640×480 pixels``, or ``0.1–2.3 s at 8000 Hz``."""
    if not seen.sizes:
        return ""
    sampled = f" ({len(seen.sizes)} measured)" if len(seen.sizes) < seen.opened else ""
    if config.modality == "image":
        by_area = sorted(seen.sizes, key=lambda size: size[0] * size[1])
        ends = [f"{width:.0f}×{height:.0f}" for width, height in (by_area[0], by_area[-1])]
        return f"{' to '.join(dict.fromkeys(ends))} pixels{sampled}"
    seconds = [size[0] for size in seen.sizes]
    lengths = dict.fromkeys((f"{min(seconds):.3g}", f"{max(seconds):.3g}"))
    rates = [f"{rate:.0f}" for rate in sorted({size[1] for size in seen.sizes})]
    shown = " or ".join(rates) if len(rates) < 4 else f"{rates[0]} to {rates[-1]}"
    return f"{'–'.join(lengths)} s at {shown} Hz{sampled}"
