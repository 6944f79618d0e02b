"""Damage that leaves a file's form whole: other cells in a table, other values and keys in a declaration."""

from __future__ import annotations

import datetime
import json
import re
from copy import deepcopy
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import yaml

CELLS = (
    None, "", " ", "nan", "NA", "null", "0", "-1", "1e308", "-1e308", "1e-320", "1e30", "9" * 400, "inf",
    "-Infinity", "1,200", "½", "٣", "1_000", "0x10", "true", "no such file.png", "../x.png", "/", ".",
    "~", "/dev/zero", "photos", "photos/1.png", "sounds/1.wav", "x" * 5000, "a b " * 3000, "line\nline",
    "tab\tbed", "\x00", "\x1b[2J", "\u2028", "\u202eabc", "\U0001f600", "'", '"', "{}", "[]", "[1, 2]",
    "[[1.5, 2]]", "[[1, 2], [3]]", "[1e999]", "[[]]", "[[[1]]]", "roof|", "|", "roof|moat", "['roof', 2]",
    '["photos/1.png", "photos/2.png"]', '["photos/1.png", 3]', str([0.5] * 9), "[" * 999, "data:",
    "data:image/png;base64,AAAA", "data:audio/wav,%00", "https://x/y.png", "file:///etc/passwd",
    "flat", "house", "train",
)  # fmt: skip
"""What may stand in a cell."""
OBJECTS = (
    b"", b"\x00\xff", [], [1.0, None], ["roof", "flat"], [[1.0], [2.0, 3.0]], ["photos/1.png", b"x"],
    {"bytes": b"x", "path": None}, {"a": {"b": [1]}}, 2**70, -0.0,
    True, datetime.date(2020, 1, 1), np.float32("nan"), float("inf"), "\ud800",
)  # fmt: skip
"""What may stand in a cell of JSON or Parquet besides; the last in JSON alone."""
VALUES = (
    None, "", " ", "x", "x" * 5000, "nan", "1e3", "a/b", "a/b/c", "./none", "/dev/zero", "/", "~",
    "$HOME", "${NONE}", "line\nline", "\u2028", "houses.csv", "photo", "kind", "accuracy", "transformer",
    "bert", "vit", "whisper", "auto", True, False, 0, 1, -1, 7, 10**6, 10**9, 2**63, 10**30, 0.5, -0.5,
    1e-300, 1e300, float("inf"), float("-inf"), float("nan"), [], [1], [0], [[1, [2]]], ["a", None], {},
    {"a": 1}, {"type": "bert"}, {1: 2}, {None: None}, datetime.date(2020, 1, 1), b"bytes",
    {"name": "gated"}, {"checkpoint": "a/b", "type": "bert"},
)  # fmt: skip
"""What may stand in a declaration."""
KEYS = (
    "", "x", "type", "name", "modality", "train", "task", "photo", "a.b", "model_config", "__class__",
    "self", 1, None, True, "x" * 300, "line\nline",
)  # fmt: skip


NUMBERS = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
NUMBER = (0, 1, -1, 2, 255, 10**6, 2**31, 2**63, 10**30, 0.5, -0.5, "1e308", "-1e400", "nan", "inf", "", "x")


def damage_cells(frame: pd.DataFrame, name: str, random: np.random.Generator) -> bytes:
    """``frame`` with one to eight other cells, as the file ``name``."""
    suffix = name.rpartition(".")[2]
    is_text = suffix in ("csv", "tsv")
    choice = CELLS if is_text else CELLS + OBJECTS[: None if suffix != "parquet" else -1]
    columns = list(frame.columns)
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
    for _ in range(int(random.integers(1, 9))):
        column = columns[int(random.integers(0, len(columns)))]
        value = choice[int(random.integers(0, len(choice)))]
        whole = random.random() < 0.1
        for row in rows if whole else [rows[int(random.integers(0, len(rows)))]]:
            row[column] = value
    if random.random() < 0.2:
        renamed = columns[int(random.integers(0, len(columns)))]
        other = str(CELLS[int(random.integers(1, len(CELLS)))])
        rows = [{other if key == renamed else key: cell for key, cell in row.items()} for row in rows]
    if is_text:
        return pd.DataFrame(rows).to_csv(index=False, sep="\t" if suffix == "tsv" else ",").encode()
    if suffix == "parquet":
        return _parquet(rows)
    plain = [json.dumps(row, default=str) for row in rows]
    return ("\n".join(plain) if suffix == "jsonl" else f"[{','.join(plain)}]").encode(
        "utf-8", "surrogatepass"
    )


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    """Columns of cells that cannot stand together become texts, as they would in any writer of Parquet."""
    frame, file = pd.DataFrame(rows), BytesIO()
    for column in frame.columns:
        try:
            frame[[column]].to_parquet(BytesIO(), index=False)
        except Exception:  # Arrow's and pandas' ways to say so are many
            frame[column] = [None if cell is None else str(cell) for cell in frame[column]]
    frame.to_parquet(file, index=False)
    return file.getvalue()


def damage_values(values: dict[str, Any], random: np.random.Generator) -> bytes:
    """A declaration with one to three other values, keys, or keys less."""
    values = json.loads(json.dumps(values))
    for _ in range((1, 1, 1, 2, 3)[int(random.integers(0, 5))]):
        sections = list(_sections(values))
        section = sections[int(random.integers(0, len(sections)))]
        keys = [*section]
        if not keys:
            continue
        key = keys[int(random.integers(0, len(keys)))]
        value = deepcopy(VALUES[int(random.integers(0, len(VALUES)))])
        kind = random.random()
        if kind < 0.5 and isinstance(section[key], (int, float)):
            section[key] *= (0, 0.1, 0.5, 2, 10, 1000)[int(random.integers(0, 6))]
        elif kind < 0.7:
            section[key] = value
        elif kind < 0.85:
            section[KEYS[int(random.integers(0, len(KEYS)))]] = section.pop(key) if kind < 0.8 else value
        else:
            del section[key]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=bool(random.random() < 0.5)).encode()


def damage_json(content: Any, random: np.random.Generator) -> bytes:
    """A JSON file with one to three other values, entries twice, or entries less, at any depth."""
    content = json.loads(json.dumps(content))
    for _ in range((1, 1, 1, 2, 3)[int(random.integers(0, 5))]):
        holders = [holder for holder in _holders(content) if holder]
        if not holders:
            break
        holder = holders[int(random.integers(0, len(holders)))]
        keys = list(range(len(holder))) if isinstance(holder, list) else list(holder)
        key, kind = keys[int(random.integers(0, len(keys)))], random.random()
        value = VALUES[int(random.integers(0, len(VALUES)))]
        if kind < 0.4 and isinstance(holder[key], (int, float)):
            holder[key] *= (-1, 0, 0.5, 2, 1000, 2**40)[int(random.integers(0, 6))]
        elif kind < 0.7:
            holder[key] = deepcopy(value)
        elif kind < 0.85:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(deepcopy(holder[key]))
        else:
            holder["x"] = holder.pop(key)
    return json.dumps(content, default=str, skipkeys=True).encode()


def _holders(content: Any) -> Any:
    """All lists and objects in JSON."""
    if isinstance(content, dict | list):
        yield content
        for value in content.values() if isinstance(content, dict) else content:
            yield from _holders(value)


def damage_arrays(whole: bytes, random: np.random.Generator) -> bytes:
    """A file of arrays with another value, shape or type of one, or without it."""
    with np.load(BytesIO(whole), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if not arrays:
        return b""
    name = list(arrays)[int(random.integers(0, len(arrays)))]
    array, kind = arrays[name], random.random()
    if kind < 0.15:
        del arrays[name]
    elif kind < 0.45:
        shapes = (
            array[..., None],
            array.ravel()[:1],
            array.ravel(),
            array[:0] if array.ndim else array,
            array.T,
        )
        arrays[name] = shapes[int(random.integers(0, len(shapes)))]
    elif kind < 0.65:
        kinds = ("int64", "float64", "bool", "complex128", "float16", "U3")
        arrays[name] = np.zeros(array.shape, kinds[int(random.integers(0, len(kinds)))])
    elif array.size and array.dtype.kind in "if":
        values = (
            (-1, 0, 7, 2**31, 2**62)
            if array.dtype.kind == "i"
            else (np.nan, np.inf, -1e300, 1e300, -1.0, 0.0)
        )
        changed = np.array(array)
        with np.errstate(over="ignore"):
            changed.flat[int(random.integers(0, changed.size))] = values[int(random.integers(0, len(values)))]
        arrays[name] = changed
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def damage_numbers(whole: bytes, random: np.random.Generator) -> bytes:
    """A text with one to three other numbers, such as one of the trees of LightGBM."""
    text = whole.decode()
    for _ in range(int(random.integers(1, 4))):
        found = list(NUMBERS.finditer(text))
        if not found:
            break
        match = found[int(random.integers(0, len(found)))]
        text = text[: match.start()] + str(NUMBER[int(random.integers(0, len(NUMBER)))]) + text[match.end() :]
    return text.encode()


def _sections(values: dict[Any, Any]) -> Any:
    yield values
    for value in values.values():
        if isinstance(value, dict):
            yield from _sections(value)
