"""Results with fixed keys: frozen dataclasses that are their JSON objects as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, NoReturn, Self, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""What JSON can hold."""
JsonObject: TypeAlias = "dict[str, JsonValue]"
Settings: TypeAlias = "dict[str, JsonValue]"
"""The keyword arguments that build a component again, as JSON holds them."""
T = TypeVar("T")

OPTIONAL = MappingProxyType({"optional": True})
"""Metadata of a field that has no key while it equals its default."""
EMPTY = MappingProxyType({"empty": True})
"""Metadata of a field whose None is written as ``{}``."""


def key(name: str) -> Mapping[str, str]:
    """Metadata of a field whose key is another word than its attribute, such as ``class``."""
    return {"key": name}


class Record(dict[str, Any]):
    """Base of results that are written as JSON: a frozen dataclass whose fields are keys as well.

    Like a ``transformers.ModelOutput`` it has both ``result.rows`` and ``result["rows"]``; it equals a plain
    dict of the same content, and ``json.dumps`` writes it. Keys have the order of the fields. Derive with
    ``@dataclass(frozen=True, kw_only=True)``; no field may be named as a method of ``dict`` (give it a
    :func:`key`).
    """

    def __post_init__(self) -> None:
        for name, entry in _keys(type(self)).items():
            value = getattr(self, entry.name)
            if not _has_no_key(entry, value):
                dict.__setitem__(self, name, {} if value is None and "empty" in entry.metadata else value)

    def to_dict(self) -> JsonObject:
        """The same in plain dicts and lists."""
        return {name: plain(value) for name, value in self.items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Read back what :meth:`to_dict` gave; keys that are no fields are ignored.

        Raises:
            ValueError: If a key is missing, or holds a list or an object where the other is expected.
        """
        kinds = _kinds(cls)
        result = {
            entry.name: _read(kinds[entry.name], content[name], name)
            for name, entry in _keys(cls).items()
            if name in content
        }
        missing = [
            name for name, entry in _keys(cls).items() if not (entry.name in result or _has_default(entry))
        ]
        if missing:
            raise ValueError(f"no key '{missing[0]}' in {cls.__name__}")
        return cls(**result)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        """Attributes and keys agree because neither changes.

        Raises:
            TypeError: In any case.
        """
        raise TypeError(f"{type(self).__name__} cannot be changed; see dataclasses.replace")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (
            type(self),
            {entry.name: getattr(self, entry.name) for entry in _keys(type(self)).values()},
        )


for _name in ("__setitem__", "__delitem__", "__ior__", "update", "pop", "popitem", "clear", "setdefault"):
    setattr(Record, _name, Record._refuse)


def plain(value: Any) -> JsonValue:
    """``value`` in plain dicts and lists, as JSON would give it back."""
    if isinstance(value, dict):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def _rebuild(kind: type[Record], values: dict[str, Any]) -> Record:
    return kind(**values)


@cache
def _keys(kind: type[Record]) -> dict[str, Field[Any]]:
    """The fields of a record by their keys."""
    return {entry.metadata.get("key", entry.name): entry for entry in fields(kind)}  # type: ignore[arg-type]


@cache
def _kinds(kind: type[Record]) -> dict[str, Any]:
    """The types of a record's fields by their names; free JSON is taken as it comes."""
    return get_type_hints(kind, localns={"JsonValue": Any, "JsonObject": dict[str, Any]})


def _has_default(entry: Field[Any]) -> bool:
    return entry.default is not MISSING or entry.default_factory is not MISSING


def _has_no_key(entry: Field[Any], value: Any) -> bool:
    if "optional" not in entry.metadata:
        return False
    made = entry.default if entry.default_factory is MISSING else entry.default_factory()
    return value is made if made is None else bool(value == made)


def _read(kind: Any, value: Any, name: str) -> Any:
    """``value`` as a field of type ``kind`` holds it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        return _read_one_of([each for each in inner if each is not type(None)], value, name)
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind.from_dict(_of(dict, value, name))
    if origin is list:
        return [_read(inner[0], entry, name) for entry in _of(list, value, name)]
    if origin is tuple:
        return _read_tuple(inner, value, name)
    if origin is dict:
        return {key: _read(inner[1], entry, name) for key, entry in _of(dict, value, name).items()}
    return value


def _read_tuple(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    """The entries of a list, which JSON has in the place of a tuple, as their types hold them."""
    entries = _of(list, list(value) if isinstance(value, tuple) else value, name)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(entries)
    if len(kinds) != len(entries):
        raise ValueError(f"'{name}' is a list of {len(entries)} entries, expected {len(kinds)}")
    return tuple(_read(kind, entry, name) for kind, entry in zip(kinds, entries, strict=True))


def _read_one_of(kinds: list[Any], value: Any, name: str) -> Any:
    """``value`` as the first of some types that takes it; an empty object is None where one may be."""
    records = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Record)]
    if value is None or (records and value == {}):
        return None
    for number, kind in enumerate(kinds, start=1):
        try:
            return _read(kind, value, name)
        except ValueError:
            if number == len(kinds):
                raise
    return value


def _of(kind: type[T], value: Any, name: str) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"'{name}' is no {'object' if kind is dict else 'list'}")
    return value
