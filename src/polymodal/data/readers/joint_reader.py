"""One input that several models read, each in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from polymodal.data.cache.memory import ReadCache, digest
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import Reader
from polymodal.errors import RunError


class KeptReader(Reader):
    """A reader whose batches hold what it kept of the cells, for models that compute features themselves.

    Args:
        reader: Reads the cells.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.modality, self.holds, self.items = reader.modality, reader.holds, reader.items  # type: ignore[misc]
        self.vocabulary, self.cached = reader.vocabulary, reader.cached  # type: ignore[misc]

    @property
    def main(self) -> Reader:
        """The reader that it holds."""
        return self.reader.main

    def read(self, cell: Any, root: Root) -> Any:
        """See :class:`Reader`."""
        return self.reader.read(cell, root)

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """``kept``: the items themselves."""
        return {"kept": list(items)}

    @cached_property
    def fingerprint(self) -> bytes:
        """See :class:`Reader`."""
        return self.reader.fingerprint

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`."""
        return self.reader.content(cell, root)

    def is_empty(self, cell: Any) -> bool:  # type: ignore[override]
        """See :class:`Reader`."""
        return self.reader.is_empty(cell)


class JointReader(Reader):
    """Reads a cell once for each of several models, and once for all whose readers are equal.

    Args:
        parts: By model its reader; the first one describes the input: its modality, what is empty, its names.
    """

    cached = False  # the parts are

    def __init__(self, parts: Mapping[str, Reader]) -> None:
        self.parts = dict(parts)
        first = self.main
        self.modality, self.holds, self.items = first.modality, first.holds, first.items  # type: ignore[misc]
        self.vocabulary = first.vocabulary

    @property
    def main(self) -> Reader:
        """The first of the readers."""
        return next(iter(self.parts.values())).main

    def read(self, cell: Any, root: Root) -> tuple[Any, ...]:
        """What each reader keeps of the cell, in their order."""
        return self.read_cached(cell, root, None)

    def read_cached(self, cell: Any, root: Root, cache: ReadCache | None) -> tuple[Any, ...]:
        """The same, each reader's result kept in ``cache``."""
        made = {name: self.parts[name].read_cached(cell, root, cache) for name in set(self._equal.values())}
        return tuple(made[name] for name in self._equal.values())

    def collate(self, items: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        """By model what its reader makes of the items."""
        columns = dict(zip(self.parts, zip(*items, strict=True), strict=True))
        made = {name: self.parts[name].collate(columns[name]) for name in set(self._equal.values())}
        return {name: made[first] for name, first in self._equal.items()}

    @cached_property
    def _equal(self) -> dict[str, str]:
        """By model the first one whose reader makes the same of a cell."""
        first: dict[tuple[type[Reader], bytes], str] = {}
        return {name: first.setdefault((type(p), p.fingerprint), name) for name, p in self.parts.items()}

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`."""
        return self.main.content(cell, root)

    def unknown_names(self, cell: Any) -> list[str]:
        """See :class:`Reader`."""
        return self.main.unknown_names(cell)

    def settings(self) -> dict[str, Any]:
        """Those of the first reader: what a batch needs of memory follows from them."""
        return self.main.settings()

    @cached_property
    def fingerprint(self) -> bytes:
        """See :class:`Reader`."""
        return digest(b"joint", *(part.fingerprint for part in self.parts.values()))

    def is_empty(self, cell: Any) -> bool:  # type: ignore[override]
        """See :class:`Reader`."""
        return self.main.is_empty(cell)


def joint_readers(
    candidates: Mapping[str, Mapping[str, Reader]], inputs: Sequence[str]
) -> dict[str, JointReader]:
    """By input a reader that reads it for every candidate.

    Args:
        candidates: By candidate its readers.
        inputs: In declared order.

    Raises:
        RunError: If no candidate reads an input.
    """
    readers = {}
    for name in inputs:
        # The neural model's reader comes first: it describes the input as a fit of this model alone would.
        parts = {key: own[name] for key, own in candidates.items() if name in own}
        if not parts:
            raise RunError(f"no candidate reads '{name}'")
        readers[name] = JointReader(dict(sorted(parts.items(), key=lambda part: part[0] != "fused")))
    return readers
