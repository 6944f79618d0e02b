"""Parsing of a declaration: YAML, overriding settings, and one line per error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from polymodal.config import Declaration, Section
from polymodal.config.overrides import apply_settings, read_yaml
from polymodal.errors import ConfigError, did_you_mean, one_line

NO_SECTION = ("model_type", "dict_type")
"""Pydantic's error types for a value in place of a section."""


def parse(
    values: Mapping[str, Any], *, source: str = "", lines: Mapping[tuple, int] | None = None
) -> Declaration:
    """Validate ``values`` and build a declaration.

    Args:
        values: Sections by name.
        source: Its name in error messages; empty where no file holds the values.
        lines: Line of each key path, for error messages.

    Raises:
        ConfigError: One line for every unknown key and every value of a wrong type.
    """
    try:
        return Declaration.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        messages = [_explain(entry, source, lines or {}) for entry in _causes(error.errors())]
        raise ConfigError("\n".join(messages)) from None


@contextmanager
def located(source: str, lines: Mapping[tuple, int], *path: str) -> Iterator[None]:
    """Prepend file and line to a ``ConfigError`` that the value at ``path`` causes."""
    try:
        yield
    except ConfigError as error:
        line = _line(lines, path)
        raise ConfigError(f"{source}, line {line}: {error}" if line else str(error)) from None


def load_yaml(path: str | Path, settings: Sequence[str] = ()) -> Declaration:
    """Read a declaration from ``path``; ``settings`` such as ``train.epochs=3`` override it.

    Raises:
        ConfigError: If the file is no readable YAML or has unknown or wrong values, with their lines.
    """
    path = Path(path)
    values, lines = read_yaml(path)
    apply_settings(values, settings)
    return parse(values, source=str(path), lines=lines)


def declares(text: str, declaration: Declaration) -> bool:
    """Whether a ``run.yaml`` declares the same; comments, time limit and settings that it lacks left aside.

    Args:
        text: Of the file, maybe of an earlier version, which knew fewer settings.
        declaration: With every default filled in.
    """
    try:
        values = yaml.safe_load(text)
        written = parse(values) if isinstance(values, dict) else None
    except (ConfigError, yaml.YAMLError):
        return False
    if written is None:
        return False
    requested = declaration.model_copy(deep=True)
    written.train.time_limit = requested.train.time_limit = None  # another leg may have another limit
    return written.to_yaml() == requested.to_yaml()


def _causes(errors: list[Any]) -> list[Any]:
    """The errors without those that only follow from a value in place of a section."""
    sections = all(error["type"] not in NO_SECTION for error in errors)
    return [error for error in errors if sections or error["type"] != "missing"]


def _explain(error: Any, source: str, lines: Mapping[tuple, int]) -> str:
    path = tuple(part for part in error["loc"] if not (isinstance(part, str) and part in ("float", "str")))
    line = _line(lines, path)
    index = f"{source}, line {line}: " if line else f"{source}: " if source else ""
    name = one_line(".".join(map(str, path)), 100) or "declaration"
    if error["type"] == "extra_forbidden":
        return f"{index}unknown key '{name}'. {_nearest(path)}"
    if error["type"] == "missing":
        return f"{index}'{name}' is missing"
    if error["type"] == "value_error":
        about = f"'{name}': " if path else ""
        return f"{index}{about}{error['msg'].removeprefix('Value error, ')}"
    result = "a section" if isinstance(error["input"], dict) else _shown(error["input"])
    if error["type"] in NO_SECTION:
        return f"{index}'{name}' is {result}, expected a section: keys, each with its value"
    return f"{index}'{name}' is {result}; {error['msg'][0].lower()}{error['msg'][1:]}"


def _nearest(path: tuple) -> str:
    """What an unknown key may have been meant for: one of the same section, or of another with its name."""
    key = str(path[-1])
    elsewhere = [
        f"{section}.{key}"
        for section in Declaration.model_fields
        if len(path) == 1 and key in _known_keys((section, "")) and section not in ("inputs", "targets")
    ]
    known = _known_keys(path[:-1])
    if elsewhere and key not in known:
        return "Did you mean " + " or ".join(f"'{name}'" for name in elsewhere) + "?"
    return did_you_mean(key, known)


def _shown(value: Any) -> str:
    plain = isinstance(value, (str, int, float, list, type(None)))
    return one_line(repr(value) if plain else str(value), 100)


def _line(lines: Mapping[tuple, int], path: tuple) -> int | None:
    """The line of ``path``, or of the section that holds it."""
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)


def _known_keys(path: tuple) -> list[str]:
    """The keys of the section at ``path``."""
    section: type[Section] = Declaration
    parts = [str(part) for part in path]
    while parts and parts[0] in section.model_fields:
        annotation = section.model_fields[parts[0]].annotation
        inner = [kind for kind in _kinds(annotation) if issubclass(kind, Section)]
        if not inner:
            break
        section = inner[0]
        parts = parts[2 if get_origin(annotation) is dict else 1 :]  # the key of a dict is no field
    return list(section.model_fields)


def _kinds(annotation: Any) -> Iterator[type]:
    """The classes in an annotation such as ``dict[str, X]`` or ``X | None``."""
    if get_args(annotation):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif isinstance(annotation, type):
        yield annotation
