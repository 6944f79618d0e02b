"""Registries of components by name, open to other packages by entry points."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from polymodal.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from unique names to components.

    Iteration yields the names in the order of registration, then those of other packages.

    Args:
        kind: What the components are, for messages.
        group: The group of entry points by which other packages offer components; such a package is imported
            when its component is first used, so that a broken one does not affect others.
        base: The class that all components derive from.
    """

    def __init__(self, kind: str, *, group: str | None = None, base: type | None = None) -> None:
        self.kind, self.group, self.base = kind, group, base
        self._entries: dict[str, T] = {}
        self._homes: dict[str, tuple[str, str]] = {}

    def declare(self, name: str, module: str, attribute: str) -> None:
        """Announce a component of ours, whose module is imported when it is first used."""
        self._homes[name] = (module, attribute)

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that registers a component under ``name``.

        Raises:
            ValueError: If the name is taken.
        """

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"there is a {self.kind} named '{name}' already: {self._entries[name]!r}")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """The component of that name.

        Raises:
            ConfigError: If there is none (the message names the nearest one), or its package is broken.
        """
        if name not in self._entries and name in self._homes:
            module, attribute = self._homes[name]
            self._entries.setdefault(name, getattr(import_module(module), attribute))
        if name not in self._entries:
            offers = self._offers().get(name, [])
            if not offers:
                raise ConfigError(f"there is no {self.kind} named '{name}'. {did_you_mean(name, self)}")
            self._load(name, offers)
        return self._entries[name]

    def get(self, name: str, default: T) -> T:
        """The component of that name, or ``default`` where there is none.

        Raises:
            ConfigError: If its package is broken.
        """
        if name not in self:
            return default
        return self[name]

    def name_of(self, entry: object) -> str | None:
        """The name under which ``entry`` is registered."""
        return next((name for name, known in self._entries.items() if known is entry), None)

    def __contains__(self, name: object) -> bool:
        return name in self._homes or name in self._entries or name in self._offers()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._homes, *self._entries, *self._offers()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _offers(self) -> dict[str, list[EntryPoint]]:
        return _find(self.group, tuple(sys.path)) if self.group else {}

    def _load(self, name: str, offers: list[EntryPoint]) -> None:
        """Import the package that offers ``name``; it may register the component itself."""
        if len({offer.value for offer in offers}) > 1:
            both = " and ".join(f"'{_package(offer)}'" for offer in offers)
            raise ConfigError(f"the {self.kind} '{name}' is offered by {both}. Uninstall all but one of them")
        who = f"the {self.kind} '{name}' of the package '{_package(offers[0])}'"
        try:
            entry = offers[0].load()
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            problem = f"{type(error).__name__}: {reason}"
            raise ConfigError(
                f"{who} cannot be imported ({problem}). Mend or uninstall that package"
            ) from error
        if self.base is not None and not (isinstance(entry, type) and issubclass(entry, self.base)):
            problem = f"{offers[0].value} is no subclass of {self.base.__name__}"
            raise ConfigError(f"{who} cannot be used: {problem}")
        self._entries.setdefault(name, entry)


@lru_cache(maxsize=16)
def _find(group: str, path: tuple[str, ...]) -> dict[str, list[EntryPoint]]:
    """The entry points of a group by name, for one state of ``sys.path``."""
    result: dict[str, list[EntryPoint]] = {}
    for offer in entry_points(group=group):
        result.setdefault(offer.name, []).append(offer)
    return result


def _package(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist else offer.value.partition(".")[0]


def accepted(kind: type) -> list[str]:
    """The names of a class's constructor arguments, including those that it passes on to its base."""
    names: dict[str, None] = {}
    for part in kind.__mro__:
        if "__init__" not in vars(part):
            continue
        parameters = list(inspect.signature(part.__init__).parameters.values())[1:]  # type: ignore[misc]
        names |= {p.name: None for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(names)
