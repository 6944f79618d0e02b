"""What every reader is: a cell becomes what is kept (``read``), what is kept becomes tensors (``collate``).

What ``read`` returns is small, the same in every epoch, and may be cached; ``collate`` pads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from torch import Tensor

from polymodal.config import MOST_ITEMS
from polymodal.data import media
from polymodal.data.cache.memory import cell_key, digest
from polymodal.data.media.path_access import Root
from polymodal.utils.registry import Registry


class Reader:
    """Base of all readers.

    Attributes:
        modality: The name it is registered under.
        cached: Whether reading costs enough to keep the result.
        part: A Transformers processor that is saved beside the settings, if there is one.
        items: Most items that a cell may hold.
    """

    modality: ClassVar[str]
    cached: ClassVar[bool] = True
    part: Any = None
    items: int = MOST_ITEMS

    def read(self, cell: Any, root: Root) -> Any:
        """The content of a cell, or of one of its items, that is not empty.

        Raises:
            MediaError: If the cell does not hold what the modality needs.
        """
        raise TypeError(f"{type(self).__name__} has no read of its own")

    def collate(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """Tensors of several items, by the names the encoder's ``forward`` takes."""
        raise TypeError(f"{type(self).__name__} has no collate of its own")

    def collate_dense(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """The same, padded to the longest that :meth:`read` keeps: of one shape in every batch."""
        return self.collate(items)

    def blank(self) -> Any:
        """What :meth:`read` might return of an item that says nothing.

        It stands where there has to be an item and is none; what a model makes of it is never used.
        """
        raise TypeError(f"{type(self).__name__} has no blank of its own")

    def content(self, cell: Any, root: Root) -> bytes:
        """The digest of what a cell holds, wherever its file lies.

        Raises:
            MediaError: If there is no such file.
        """
        with media.open_cell(cell, root, media.LIMITS) as stream:
            return hashlib.file_digest(stream, "blake2b").digest()  # type: ignore[arg-type]

    def key(self, cell: Any, root: Root) -> tuple[Hashable, ...] | None:
        """What tells a cell read by this reader from others in this process; None if nothing does."""
        key = cell_key(cell) if self.cached else None
        return None if key is None else (self.fingerprint, root, key)

    def change(self, **settings: Any) -> None:
        """Set attributes that decide what :meth:`read` makes of a cell; what was read is read again."""
        for name, value in settings.items():
            if getattr(self, name) != value:
                setattr(self, name, value)
                self.__dict__.pop("fingerprint", None)

    def digest(self, cell: Any, root: Root) -> bytes:
        """What tells it from others anywhere: see :meth:`content` and :attr:`fingerprint`."""
        return digest(self.fingerprint, self.content(cell, root))

    @cached_property
    def fingerprint(self) -> bytes:
        """The digest of all that decides what :meth:`read` makes of a cell's content."""
        parts = [self.modality.encode(), json.dumps(self.settings(), sort_keys=True).encode()]
        if self.part is not None:
            with TemporaryDirectory() as folder:
                self.part.save_pretrained(folder)
                parts += [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()]
        return digest(*parts)

    def settings(self) -> dict[str, Any]:
        """The keyword arguments, JSON values all, that build this reader again beside its ``part``."""
        return {}

    def is_empty(self, cell: Any) -> bool:
        """Whether the row lacks this input; pandas' words for nothing count too."""
        return media.is_empty(cell) or type(cell).__name__ in ("NAType", "NaTType")


READERS: Registry[type[Reader]] = Registry("modality")
