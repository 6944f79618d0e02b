"""Cells to the tokens of a frozen encoder, which runs once per cell instead of once per epoch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from polymodal.data.cache.memory import ReadCache, digest
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import Reader

if TYPE_CHECKING:
    from torch import Tensor

Encode = Callable[[Sequence[Any]], list[np.ndarray]]
"""What another reader kept of some cells → ``(*grid, width)`` each, padding left out."""


class FrozenReader(Reader):
    """A reader that hands on an encoder's tokens in place of its inputs.

    Args:
        reader: Reads the cells for the encoder.
        encode: The encoder; see :data:`Encode`.
        weights: The digest of the encoder's weights and settings.
        tokens: The most that it makes of an item.
    """

    BATCH = 32

    def __init__(self, reader: Reader, encode: Encode, weights: bytes, tokens: int) -> None:
        self.reader, self.encode, self.weights, self.tokens = reader, encode, weights, tokens
        self.modality, self.holds, self.items = reader.modality, reader.holds, reader.items  # type: ignore[misc]

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """``(*grid, width)``."""
        return self.encode([self.reader.read(cell, root)])[0]

    def blank(self) -> np.ndarray:
        """See :class:`Reader`."""
        return self.encode([self.reader.blank()])[0]

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``tokens`` ``(items, *grid, width)``; with a length for a grid, ``mask`` ``(items, length)``."""
        return self._pad(items, max(map(len, items)))

    def collate_dense(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """See :class:`Reader`."""
        return self._pad(items, self.tokens)

    def _pad(self, items: Sequence[np.ndarray], longest: int) -> dict[str, Tensor]:
        import torch

        if items[0].ndim > 2:
            return {"tokens": torch.from_numpy(np.stack(items))}
        tokens = np.zeros((len(items), longest, items[0].shape[1]), dtype=np.float32)
        mask = np.zeros((len(items), longest), dtype=bool)
        for index, item in enumerate(items):
            tokens[index, : len(item)], mask[index, : len(item)] = item, True
        return {"tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask)}

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`."""
        return self.reader.content(cell, root)

    @cached_property
    def fingerprint(self) -> bytes:
        """See :class:`Reader`."""
        return digest(b"features", self.weights, self.reader.fingerprint)

    def is_empty(self, cell: Any) -> bool:  # type: ignore[override]
        """See :class:`Reader`."""
        return self.reader.is_empty(cell)

    def fill(self, cells: Sequence[tuple[Any, Root]], cache: ReadCache, starts: Iterable[int]) -> bool:
        """Encode every one of ``cells`` (each with the folder its path starts from) into ``cache``.

        Batches are cut alike whatever is kept already, so that a resumed run computes the same bits.

        Args:
            cells: Distinct ones.
            cache: Where the results go.
            starts: Where each batch of ``BATCH`` cells starts; a progress bar around them if wanted.

        Returns:
            Whether it was done; not where the cache has too little room for all of them.
        """
        for start in starts:
            batch = cells[start : start + self.BATCH]
            keys = [cast(tuple[Hashable, ...], self.key(cell, root)) for cell, root in batch]
            contents = [partial(self.digest, cell, root) for cell, root in batch]
            kept = [cache.find(key, content) for key, content in zip(keys, contents, strict=True)]
            if all(array is not None for array in kept):
                continue
            arrays = self.encode([self.reader.read(cell, root) for cell, root in batch])
            if not start and len(cells) * np.mean([array.nbytes for array in arrays]) > cache.room():
                return False
            for key, content, array, old in zip(keys, contents, arrays, kept, strict=True):
                if old is None:
                    cache.put(key, array, content)
        return True


class VectorReader(Reader):
    """Cells to one vector each: the mean of a frozen encoder's tokens.

    Args:
        frozen: Hands on the encoder's tokens.
    """

    cached = False  # the tokens are

    def __init__(self, frozen: FrozenReader) -> None:
        self.frozen = frozen
        self.modality, self.holds, self.items = frozen.modality, frozen.holds, frozen.items  # type: ignore[misc]

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """``(width,)``."""
        return self.read_cached(cell, root, None)

    def read_cached(self, cell: Any, root: Root, cache: ReadCache | None) -> np.ndarray:
        """The same, of tokens that ``cache`` may hold."""
        tokens = self.frozen.read_cached(cell, root, cache)
        flat = tokens.reshape(-1, tokens.shape[-1])
        return flat.mean(axis=0) if len(flat) else np.zeros(tokens.shape[-1], np.float32)

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`."""
        return self.frozen.content(cell, root)

    @cached_property
    def fingerprint(self) -> bytes:
        """See :class:`Reader`."""
        return digest(b"vector", self.frozen.fingerprint)

    def is_empty(self, cell: Any) -> bool:  # type: ignore[override]
        """See :class:`Reader`."""
        return self.frozen.is_empty(cell)
