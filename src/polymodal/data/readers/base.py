"""What every reader is: a cell becomes what is kept (``read``), what is kept becomes tensors (``collate``).

What ``read`` returns is small, the same in every epoch, and may be cached; ``collate`` pads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from enum import Enum
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from polymodal.config import MODALITIES, MOST_ITEMS
from polymodal.data import media
from polymodal.data.cache.memory import cell_key, digest
from polymodal.data.media.path_access import Root
from polymodal.data.tables.lists import first_filled, number_depth, written_list
from polymodal.utils.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Content(Enum):
    """What the cells of a modality hold, as far as checks and reports have to know."""

    MEDIA = "media"
    """Files, bytes or arrays that are opened and decoded; two cells are equal if their bytes are."""
    TEXT = "text"
    """Words."""
    NUMBER = "number"
    """One number."""
    CATEGORY = "category"
    """One of a few names that repeat."""
    VALUE = "value"
    """Any other value of a table, such as a date; two cells are equal if they are written alike."""

    @property
    def is_tabular(self) -> bool:
        """Whether a cell is a value of a table rather than a medium or words."""
        return self not in (Content.MEDIA, Content.TEXT)


class Reader:
    """Base of all readers: one class per modality, which other packages can add to.

    Attributes:
        modality: The name it is registered under.
        holds: What its cells hold.
        may_share: Whether columns with equal settings share one encoder.
        holds_items: Whether a cell may hold a list of several items.
        is_visual: Whether an item is a picture or a clip: one file may be read as either.
        noun: What one item is called in messages.
        cached: Whether reading costs enough to keep the result.
        part: A Transformers processor that is saved beside the settings, if there is one.
        items: Most items that a cell may hold.
    """

    modality: ClassVar[str]
    holds: ClassVar[Content] = Content.VALUE
    may_share: ClassVar[bool] = False
    holds_items: ClassVar[bool] = False
    is_visual: ClassVar[bool] = False
    noun: ClassVar[str] = "value"
    cached: ClassVar[bool] = True
    part: Any = None
    items: int = MOST_ITEMS

    @classmethod
    def split_items(cls, cell: Any) -> list[Any] | None:
        """The items of a cell that holds a list of them, the empty ones too; None if it is an item itself.

        Several are lists of paths, bytes, records, arrays or texts, also a list that is written out. Lists of
        numbers are one item: the pixels of a picture, or the samples of a recording.

        Args:
            cell: A cell that is not empty.
        """
        if not cls.holds_items:
            return None
        items = as_list(written_list(cell) if isinstance(cell, str) else cell)
        if items is None:
            return None
        is_several = not number_depth(items) or isinstance(first_filled(items), np.ndarray)
        return items if is_several else None

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


READERS: Registry[type[Reader]] = MODALITIES
"""Readers by modality; other packages offer theirs as entry points of the group ``polymodal.modalities``."""
READERS.base = Reader


def as_list(cell: Any) -> list[Any] | None:
    """A cell that is a list, a tuple or an array of texts as a list; None for any other."""
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OUS":  # pandas gives lists of texts as arrays
        return cell.tolist()
    return list(cell) if isinstance(cell, (list, tuple)) else None


def content_of(role: str | None) -> Content | None:
    """What the cells of a modality hold; None for any other name, such as a task."""
    return READERS[role].holds if role is not None and role in READERS else None


def is_media(role: str | None) -> bool:
    """Whether a name is that of a modality whose cells are opened and decoded."""
    return content_of(role) is Content.MEDIA
