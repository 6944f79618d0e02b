"""Digests of the training data, kept beside the checkpoints: resuming requires unchanged data.

If rows are added, removed or reordered, the split changes, and test rows may be rows that the model was
trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.config import Declaration
from polymodal.data.media.cells import LIMITS, RAW, MediaError, open_cell
from polymodal.data.readers.base import Reader, is_media
from polymodal.data.readers.items import each_item
from polymodal.data.row_processor import RowProcessor
from polymodal.data.tables.lists import written_list
from polymodal.data.tables.table import Table, each_cell
from polymodal.errors import RunError, option
from polymodal.training.output_folder import has_checkpoints, prepare_folder
from polymodal.utils.atomic import write_text, writing
from polymodal.utils.json_files import read_json
from polymodal.utils.progress import note
from polymodal.utils.records import JsonObject

if TYPE_CHECKING:
    from polymodal.training.language.conversation_rows import ConversationRows

FILE = "data.json"
WHOLE = 64 * 2**20
"""Bytes of a file up to which all of it is digested; of a larger one its size, beginning and end."""
END = 8 * 2**20
Columns = dict[str, tuple[Mapping[str, np.ndarray], str]]
"""By name the digest of each cell by split, ``(rows,)`` uint64, and the words for what the cells hold."""


def open_folder(folder: Path, declaration: Declaration, data: Mapping[str, Any], *, resume: bool) -> bool:
    """What :func:`polymodal.training.output_folder.prepare_folder` does and returns, for the same data alone.

    Args:
        folder: Of the run.
        declaration: Of the run.
        data: What is trained on now: :func:`describe_tables` or :func:`describe_conversations`.
        resume: Go on from the last checkpoint, if there is one.

    Raises:
        RunError: If the checkpoints are of other data, or the folder cannot be written.
    """
    if resume and has_checkpoints(folder):
        require_same(folder, data)
    goes_on = prepare_folder(folder, declaration, resume=resume)
    if not goes_on:
        remember(folder, data)
    return goes_on


def remember(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the digests ``data`` beside the checkpoints of ``folder``.

    Raises:
        RunError: If it cannot be written.
    """
    with writing(folder):
        (folder / "checkpoints").mkdir(exist_ok=True)
        write_text(folder / "checkpoints" / FILE, json.dumps(data))


def require_same(folder: Path, data: Mapping[str, Any]) -> None:
    """Check that the data are those that the training in ``folder`` started with.

    A training of an earlier version, without digests, is resumed after a warning.

    Raises:
        RunError: If the data have changed; the message names the difference.
    """
    file = folder / "checkpoints" / FILE
    try:
        before = _kept(file)
    except FileNotFoundError:
        note(f"warning: {folder}: keeps no digests of its data. It goes on as if they were the same")
        return
    changed = what_changed(before, _plain(data))
    if changed:
        fix = f"Put the data back as they were, or begin anew with {option('overwrite', True)}"
        raise RunError(f"{folder}: its data have changed since it was begun: {changed}. {fix}")


def has_changed(folder: Path, data: Mapping[str, Any]) -> bool:
    """Whether the digests in ``folder`` exist and differ from ``data``."""
    file = folder / "checkpoints" / FILE
    return file.is_file() and bool(what_changed(_kept(file), _plain(data)))


def _kept(file: Path) -> JsonObject:
    """The description of data in a file.

    Raises:
        RunError: If it cannot be read, or has another shape than :func:`remember` writes.
        FileNotFoundError: If it is not there.
    """
    try:
        content = read_json(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        content = None
    parts = (
        [content.get(name, {}) for name in ("rows", "columns", "made")] if isinstance(content, dict) else []
    )
    if not parts or not all(isinstance(part, dict) for part in parts) or not all(
        isinstance(column, dict) and isinstance(column.get("holds"), str) and "in any order" in column
        for column in parts[1].values()
    ):  # fmt: skip
        raise RunError(f"{file}: cannot be read. Begin anew with {option('overwrite', True)}")
    return content


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Difference of two descriptions of data as text; empty if they are the same."""
    rows, earlier = now.get("rows", {}), before.get("rows", {})
    counts = [
        f"{rows.get(name, 0)} {name} rows, {earlier.get(name, 0)} before"
        for name in dict.fromkeys([*rows, *earlier])
        if rows.get(name) != earlier.get(name)
    ]
    if counts:
        return "; ".join(counts)
    columns, known = now.get("columns", {}), before.get("columns", {})
    other = [name for name in dict.fromkeys([*columns, *known]) if columns.get(name) != known.get(name)]
    if other:
        cells = [name for name in other if _unordered(columns.get(name)) != _unordered(known.get(name))]
        if not cells:
            return "the rows are in another order"
        named = ", ".join(f"'{name}'" for name in cells[:5]) + (", …" if len(cells) > 5 else "")
        return f"{(columns.get(cells[0]) or known[cells[0]])['holds']} of {named}"
    made, before_made = now.get("made", {}), before.get("made", {})
    other = [name for name in dict.fromkeys([*made, *before_made]) if made.get(name) != before_made.get(name)]
    return f"the values of '{other[0]}' are in another order, or read in another way" if other else ""


def _plain(data: Mapping[str, Any]) -> Any:
    """``data`` after a round trip through JSON."""
    return json.loads(json.dumps(data))


def _unordered(column: Mapping[str, Any] | None) -> Any:
    return column and column["in any order"]


def describe_tables(
    splits: Mapping[str, Table], declaration: Declaration, processor: RowProcessor
) -> JsonObject:
    """The data of a fit of heads or a pre-training, once they are checked: rows in order, cells, classes."""
    roles: dict[str, str] = {name: entry.modality for name, entry in declaration.inputs.items()}
    names = [*declaration.targets, declaration.data.split, declaration.data.group]
    roles |= {name: "" for name in names if name and name not in roles}
    columns: Columns = {}
    for name, role in roles.items():
        cells = {
            split: np.fromiter(_cells(table, name, role), np.uint64, len(table))
            for split, table in splits.items()
            if name in table.columns
        }
        columns[name] = cells, "the content of files or cells" if is_media(role) else "cells"
    made = {name: _text(reader.settings()) for name, reader in processor.readers.items()}
    made |= {name: _text(reader.classes) for name, reader in processor.targets.items()}
    return _description({split: len(table) for split, table in splits.items()}, columns, made)


def describe_conversations(
    parts: Iterable[tuple[str, ConversationRows]], readers: Mapping[str, Reader]
) -> JsonObject:
    """The data of a training of a language model: the conversations of each part, and their items."""
    columns: Columns = {}
    rows: dict[str, int] = {}
    for part, held in parts:
        split = part.rpartition(" ")[2]
        rows[part] = len(held)
        texts = [_number(row.encoded.ids.tobytes(), row.encoded.learned.tobytes()) for row in held.rows]
        items = [
            _number(*(_item(media.cell, readers[media.input].modality, held.table.root)
                      for media in row.encoded.media))
            for row in held.rows
        ]  # fmt: skip
        columns[part] = {split: np.array(texts, np.uint64)}, "conversations"
        columns[f"items of {part}"] = {split: np.array(items, np.uint64)}, "the content of files"
    return _description(rows, columns, {})


def _description(rows: Mapping[str, int], columns: Columns, made: Mapping[str, str]) -> JsonObject:
    described: dict[str, JsonObject] = {}
    for name, (splits, holds) in columns.items():
        every = np.concatenate([*splits.values(), np.zeros(0, np.uint64)])
        described[name] = {
            "holds": holds,
            "in any order": _number(np.sort(every).tobytes()),
            **{split: _number(cells.tobytes()) for split, cells in splits.items()},
        }
    return {"rows": dict(rows), "columns": described, "made": dict(made)}


def rows_digest(table: Table, modalities: Mapping[str, str]) -> str:
    """Digest of all cells of a table's rows, in order; of files, their content: hexadecimal.

    Args:
        table: The rows.
        modalities: Of the columns that may be media, by column.
    """
    columns = [
        np.fromiter(_cells(table, name, modalities.get(name, "")), np.uint64, len(table))
        for name in table.columns
    ]
    return _text([table.columns, *(f"{_number(cells.tobytes()):x}" for cells in columns)])


def _cells(table: Any, name: str, role: str) -> Iterable[int]:
    """The digest of each cell of a column."""
    for cell in each_cell(table.values(name)):
        if is_media(role):
            yield _number(*(_item(item, role, table.root) for _, item in each_item(cell, role)))
        else:
            yield _number(repr(cell).encode("utf-8", "surrogatepass"))


def _item(item: Any, modality: str, root: Any) -> bytes:
    """The digest of an item: of a file its content, wherever it lies and whatever it is called."""
    is_path = isinstance(item, str) and written_list(item) is None
    is_file = isinstance(item, RAW) or (isinstance(item, Mapping) and item.get("array") is None)
    if not is_media(modality) or not (is_path or is_file):
        content = (
            item.tobytes() if isinstance(item, np.ndarray) else repr(item).encode("utf-8", "surrogatepass")
        )
        return hashlib.blake2b(content, digest_size=16).digest()
    try:
        with open_cell(item, root, LIMITS) as stream:
            return _content(stream)
    except MediaError as error:  # what cannot be read is refused, or left out, by the check
        return str(error.found).encode("utf-8", "surrogatepass")


def _content(stream: Any) -> bytes:
    size = stream.seek(0, 2)
    stream.seek(0)
    if size <= WHOLE:
        return hashlib.file_digest(stream, "blake2b").digest()
    whole = hashlib.blake2b(f"{size}".encode())
    whole.update(stream.read(END))
    stream.seek(-END, 2)
    whole.update(stream.read(END))
    return whole.digest()


def _number(*parts: bytes) -> int:
    """64-bit digest of ``parts``."""
    whole = hashlib.blake2b(digest_size=8)
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return int.from_bytes(whole.digest(), "little")


def _text(value: Any) -> str:
    return f"{_number(json.dumps(value, default=str).encode()):x}"
