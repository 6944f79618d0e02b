"""Reading of settings: a YAML file with the line of each key, and ``--set section.key=value``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from polymodal.errors import ConfigError, one_line, worded

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What PyYAML raises for values that look like dates or numbers and are none, or are nested too deep."""
MOST_VALUES = 100_000
LONGEST = 2 * 2**20
"""Largest declaration in bytes; PyYAML takes seconds per megabyte."""
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple, int]]:
    """The values of a YAML file, and the line of each key path.

    Raises:
        ConfigError: If it cannot be read, is no mapping, or gives a key twice.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # reading a pipe or a device might never end
        raise ConfigError(f"{path}: is no file, expected a declaration")
    try:
        if path.stat().st_size > LONGEST:
            raise ConfigError(
                f"{path}: {path.stat().st_size:,} bytes, expected a declaration of at most {LONGEST:,}"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason})") from None
    try:
        node, keys, values = _parsed(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        location = f"{path}, line {mark.line + 1}" if mark else str(path)
        reason = str(getattr(error, "problem", error)).partition("\n")[0]
        raise ConfigError(f"{location}: not readable as YAML ({reason})") from None
    except UNREADABLE as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else one_line(str(error), 100)
        raise ConfigError(f"{path}: not readable as YAML ({reason})") from None
    if node is None or not isinstance(values, dict):
        result = "nothing" if values is None else repr(values)[:40]
        raise ConfigError(f"{path}: found {result}, expected sections such as 'data:' and 'targets:'")
    lines: dict[tuple, int] = {}
    for key, line in keys:
        if key in lines:
            name = ".".join(map(str, key))
            raise ConfigError(f"{path}, line {line}: '{name}' is given twice (first in line {lines[key]})")
        lines[key] = line
    return values, lines


def _parsed(text: str) -> tuple[yaml.Node | None, list[tuple[tuple, int]], Any]:
    """The root of a YAML text, its key paths with their lines, and its values, all from parsing it once."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _weigh(node, {}, ())
        if node is None:
            return None, [], None
        keys = list(_walk(node))  # before the values, for which merged mappings become one
        return node, keys, loader.construct_document(node)
    finally:
        loader.dispose()


def _weigh(node: Any, known: dict[int, int], above: tuple[int, ...]) -> int:
    """Count the values of ``node`` with all aliases expanded: few lines can mean billions.

    Raises:
        YAMLError: If there are too many, or a node contains itself.
    """
    if id(node) in above:
        raise MarkedYAMLError(problem="an alias that holds itself", problem_mark=node.start_mark)
    if id(node) not in known:
        inner = getattr(node, "value", None)
        parts = inner if isinstance(inner, list) else []
        flat = [part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_weigh(part, known, (*above, id(node))) for part in flat)
        if known[id(node)] > MOST_VALUES:
            raise MarkedYAMLError(
                problem="aliases that come to too many values", problem_mark=node.start_mark
            )
    return known[id(node)]


def _walk(node: yaml.Node, prefix: tuple = ()) -> Iterator[tuple[tuple, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*prefix, key.value), key.start_mark.line + 1
            yield from _walk(value, (*prefix, key.value))


BLOCKS = ("|", ">")
"""Begin a text of several lines in YAML, which no setting has; here each is a separator."""


def apply_settings(values: dict[str, Any], settings: Sequence[str]) -> None:
    """Apply settings such as ``train.epochs=3`` to ``values``; the right side is read as YAML.

    Raises:
        ConfigError: If a setting is not of the form ``section.key=value``.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            example = worded("section.key=value, such as train.epochs=3", 'such as {"train.epochs": 3}')
            raise ConfigError(f"setting '{setting}': expected {example}")
        section = values
        for key in keys[:-1]:
            if section.get(key) is None:
                section[key] = {}
            section = section[key]
            if not isinstance(section, dict):
                raise ConfigError(f"setting '{setting}': '{key}' holds a value, not a section")
        try:
            section[keys[-1]] = text if text in BLOCKS else _number(yaml.safe_load(text))
        except (yaml.YAMLError, *UNREADABLE):
            raise ConfigError(f"setting '{setting}': the value is not readable as YAML") from None


def _number(value: Any) -> Any:
    """Read ``3e-4``, which YAML 1.1 takes as text, as a number."""
    return float(value) if isinstance(value, str) and _FLOAT.fullmatch(value) else value
