"""Names for components: one class, used by encoders, fusions, heads and metrics alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from polymodal.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from names to components that refuses a name given twice.

    Iterating yields the names in the order in which they were registered.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters what it decorates under ``name``.

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
            ConfigError: If there is none; the message names the nearest one.
        """
        if name not in self._entries:
            raise ConfigError(f"there is no {self.kind} named '{name}'. {did_you_mean(name, self)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
