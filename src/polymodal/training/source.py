"""Where a fit reads from: a table, or a declaration and the tables that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.config import DataConfig
from polymodal.data.missing import Marks
from polymodal.data.rejected import SKIP
from polymodal.data.table import Table, read_table
from polymodal.errors import ConfigError
from polymodal.hub import expanded
from polymodal.settings import read_yaml

YAML = (".yaml", ".yml")


def read_declared(source: Any) -> tuple[dict[str, Any], dict[tuple, int], Path | None]:
    """The sections of a declaration with the lines of their keys and its folder; nothing where it is none."""
    if isinstance(source, (str, Path)) and str(source).lower().endswith(YAML):
        values, lines = read_yaml(Path(source))
        return values, lines, Path(source).parent
    return {}, {}, None


def named_inputs(settings: Sequence[str]) -> dict[str, None]:
    """The inputs that ``settings`` such as ``inputs.photo.size=32`` are about."""
    paths = [setting.partition("=")[0].split(".") for setting in settings]
    return {path[1]: None for path in paths if path[0] == "inputs" and len(path) > 2}


def train_source(source: Any, values: dict[str, Any], folder: Path | None) -> Any:
    """The training table: what was given, or what the declaration names."""
    section = values.get("data") or {}
    if not isinstance(section, dict):
        raise ConfigError(f"'data' is {section!r}, expected a section, such as data: {{train: houses.csv}}")
    named = section.get("train")
    if folder is not None:
        if not isinstance(named, str):
            found = f"'data.train' is {named!r}" if named is not None else "'data.train' is missing"
            raise ConfigError(f"{found}, expected the path of a table")
        return resolve(named, folder)
    if isinstance(source, (str, Path)):
        values["data"] = section | {"train": str(source)}
    return source


def read_declared_table(path: Any, data: DataConfig | Mapping[str, Any], folder: Path | None) -> Table:
    """The table at ``path``, read as the declaration's section ``data`` says.

    Args:
        path: Whatever holds rows, see :func:`polymodal.data.table.read_table`.
        data: The section; where it is not parsed yet, what is of a wrong type is passed over here.
        folder: Of the declaration, beside which ``data.root`` is looked for first.

    Raises:
        DataError: If the table cannot be read.
    """
    given = data.model_dump() if isinstance(data, DataConfig) else data
    root = given.get("root")
    root = resolve(root, folder, "data.root") if isinstance(root, str) else None
    texts = {key: text for key in ("sep", "encoding") if isinstance(text := given.get(key), str)}
    skip, anywhere = given.get("on_error") == SKIP, given.get("media_anywhere") is True
    table = read_table(path, skip=skip, root=root, media_anywhere=anywhere, **texts)
    marks = given.get("missing")
    return table.marking(Marks.of(marks if isinstance(marks, list | None) else [marks]))




def resolve(path: str, folder: Path | None, section: str = "data") -> Path:
    """``path`` with its environment variables filled in, in ``folder`` if it lies there.

    Raises:
        ConfigError: If a variable is not set.
    """
    name = expanded(path)
    if "$" in name and not os.path.exists(name):
        raise ConfigError(f"{section}: '{path}' names an environment variable that is not set")
    beside = (folder or Path()) / name
    return beside if os.path.exists(beside) else Path(name)  # False where a name is too long, too
