"""The base of readers: ``read`` converts a cell to the value kept, ``collate`` kept values to tensors.

What ``read`` returns is small, the same in every epoch, and may be cached; ``collate`` pads.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from polymodal.config import MODALITIES, MOST_ITEMS
from polymodal.data import media
from polymodal.data.cache.memory import ReadCache, cell_key, digest
from polymodal.data.media.path_access import Root
from polymodal.data.readers.content import Claim, Content, KeptLength, SizeFinding
from polymodal.data.readers.saved_settings import check_settings
from polymodal.data.tables.lists import as_list, first_filled, number_depth, written_list
from polymodal.data.values.column_values import as_label
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor

    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns
    from polymodal.data.tables.table import Table
    from polymodal.data.values.vocabulary import Vocabulary


class Reader:
    """Base of all readers: one class per modality, which other packages can add to.

    Attributes:
        modality: The name it is registered under.
        holds: What its cells hold.
        may_share: Whether columns with equal settings share one encoder.
        holds_items: Whether a cell may hold a list of several items.
        is_visual: Whether an item is a picture or a clip: one file may be read as either.
        noun: What one item is called in messages.
        part_class: The Transformers class of ``part``; ``""`` for a reader that takes none.
        length_setting: The setting of an input that limits how much of a long item is read.
        vectors: Settings that hold one number per feature instead of one.
        required: Settings that every saved reader has.
        input_settings: The settings of an input that its columns may have, of those that are not about all.
        sizes_agree: Whether all items have to be alike in size, so that those refused are measured too.
        cached: Whether reading media or text costs enough to keep the result, which then is an array.
        part: A Transformers processor that is saved beside the settings, if there is one.
        items: Most items that a cell may hold.
        vocabulary: The names that training cells hold; None for a modality without names.
    """

    modality: ClassVar[str]
    holds: ClassVar[Content] = Content.VALUE
    may_share: ClassVar[bool] = False
    holds_items: ClassVar[bool] = False
    is_visual: ClassVar[bool] = False
    noun: ClassVar[str] = "value"
    part_class: ClassVar[str] = ""
    length_setting: ClassVar[str] = ""
    vectors: ClassVar[tuple[str, ...]] = ()
    required: ClassVar[tuple[str, ...]] = ()
    input_settings: ClassVar[tuple[str, ...]] = ("tokens", "augment", "items")
    sizes_agree: ClassVar[bool] = False
    cached: ClassVar[bool] = True
    part: Any = None
    items: int = MOST_ITEMS
    vocabulary: Vocabulary | None = None

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

    @classmethod
    def recognise(cls, cells: Sequence[Any]) -> Claim | None:
        """Claim a column that nobody declared, by its values; None if the reader does not know it.

        Only readers of other packages are consulted; `data.schema` recognises ours.

        Args:
            cells: Different values of the column that are not empty, as far as they are looked at.
        """
        return None

    @classmethod
    def fit(cls, columns: TrainingColumns) -> Reader:
        """The reader of some columns; by default one that learns nothing.

        Args:
            columns: Their training cells and settings; nothing else may be learned from.

        Raises:
            ConfigError: If the processor of a checkpoint cannot be had, or settings contradict each other.
        """
        return cls()

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> Reader:
        """The reader that feeds an encoder made by hand; by default one that learns nothing.

        Args:
            encoder: Its attributes name what it expects, such as ``size``.
            cells: Training cells, to learn from.

        Raises:
            ConfigError: If the processor of a checkpoint cannot be had.
        """
        return cls()

    def grown(self, values: pa.ChunkedArray) -> Reader:
        """The reader that knows the names in training cells too; those it knows keep their index.

        By default itself: of a modality without names.
        """
        return self

    @classmethod
    def readable_together(cls, table: Table, names: Sequence[str], config: InputConfig) -> list[list[str]]:
        """Columns of equal settings, grouped by what one reader can read."""
        return [list(names)]

    @classmethod
    def load_part(cls, folder: Path) -> Any:
        """The ``part`` that is saved in a folder, by Transformers' own files.

        Raises:
            ValueError: If it cannot be read; Transformers raises many classes of errors on damaged files.
        """
        try:
            return cls._try_part(_transformers_class(cls.part_class), folder)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of tokenizers' Rust is no Exception
            raise ValueError(f"{folder.name}: {str(error) or type(error).__name__}") from error

    @classmethod
    def _try_part(cls, loader: Any, folder: Path) -> Any:
        return loader.from_pretrained(folder, trust_remote_code=False, local_files_only=True)

    @classmethod
    def part_of_checkpoint(cls, checkpoint: str | None) -> Any:
        """The ``part`` that belongs to a pretrained encoder; None without one.

        Raises:
            ConfigError: If it cannot be had.
        """
        if not checkpoint:
            return None
        from polymodal.utils.hub import load_pretrained

        return load_pretrained(_transformers_class(cls.part_class), checkpoint)

    @classmethod
    def check_settings(cls, settings: dict[str, Any]) -> None:
        """Refuse saved settings that no fit writes.

        Raises:
            ValueError: Naming the first such setting.
        """
        # A reader that another package derives from one of ours may write other settings.
        check_settings(cls.modality, settings, cls.vectors, vars(cls).get("required", ()))

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """Decode an item of media without a fitted reader, to see that it can be.

        Raises:
            MediaError: If it cannot.
        """
        if cls.holds is Content.MEDIA:
            media.open_cell(item, root, media.LIMITS).close()

    @classmethod
    def measure(cls, item: Any, root: Root) -> tuple[float, ...]:
        """The size of an item of media, its length first; empty where there is nothing to measure."""
        return ()

    @classmethod
    def describe_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> str:
        """The sizes of items as :meth:`measure` returns them, in words."""
        return ""

    @classmethod
    def judge_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> SizeFinding | None:
        """The problem that the sizes of a column's items show, if there is one.

        Args:
            sizes: The size of each item that was measured, in the reader's own dimensions.
        """
        return None

    @classmethod
    def is_cut(cls, kept: Any, size: tuple[float, ...]) -> bool:
        """Whether what :meth:`read` returned lacks the end of an item of this size, to be counted."""
        return False

    @property
    def kept_length(self) -> KeptLength | None:
        """The longest item that is read whole; None where no length is cut."""
        return None

    def read(self, cell: Any, root: Root) -> Any:
        """The content of a cell, or of one of its items, that is not empty.

        Raises:
            MediaError: If the cell does not hold what the modality needs.
        """
        raise TypeError(f"{type(self).__name__} has no read of its own")

    def describe_kept(self) -> str:
        """How much of an item is read, in words; empty where it is read whole."""
        kept = self.kept_length
        return "" if kept is None else f"at most {kept.value:g} {kept.unit}"

    def read_cached(self, cell: Any, root: Root, cache: ReadCache | None) -> Any:
        """What :meth:`read` returns, looked up in ``cache`` first and kept there."""
        key = self.key(cell, root) if cache is not None else None
        if key is None or cache is None:
            return self.read(cell, root)
        return cache.get(key, partial(self.read, cell, root), partial(self.digest, cell, root))

    @property
    def main(self) -> Reader:
        """The reader itself; of one that joins several readers, the first of them."""
        return self

    def arrays(self, items: Sequence[Any]) -> dict[str, np.ndarray]:
        """What :meth:`collate` gives, as arrays: readers of ours make them without torch."""
        raise TypeError(f"{type(self).__name__} has no arrays of its own")

    def collate(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """Tensors of several items, by the names the encoder's ``forward`` takes."""
        return as_tensors(self.arrays(items))

    def collate_dense(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """The same, padded to the longest that :meth:`read` keeps: of one shape in every batch."""
        return self.collate(items)

    def blank(self) -> Any:
        """What :meth:`read` might return for an item without content.

        It fills the slot of an item that is missing; what a model computes from it is never used.
        """
        raise TypeError(f"{type(self).__name__} has no blank of its own")

    def shortest(self) -> Any:
        """A blank item whose tensors are as short as they may be: an export finds free lengths by it."""
        return self.blank()

    def content(self, cell: Any, root: Root) -> bytes:
        """The digest of what a cell holds, wherever its file lies; of a value, as it is written.

        Raises:
            MediaError: If there is no such file.
        """
        if self.holds is not Content.MEDIA:
            return as_label(cell).encode("utf-8", "surrogatepass")
        with media.open_cell(cell, root, media.LIMITS) as stream:
            return hashlib.file_digest(stream, "blake2b").digest()  # type: ignore[arg-type]

    def unknown_names(self, cell: Any) -> list[str]:
        """The names in a cell that is not empty which :attr:`vocabulary` lacks."""
        return []

    @classmethod
    def without_rare(
        cls, values: pa.ChunkedArray, config: InputConfig, rows: int, missing: Marks = DEFAULT_MARKS
    ) -> pa.ChunkedArray | None:
        """Training cells of other values without what fewer than ``rows`` rows hold, for a private fit.

        Cells that cannot be read stay unreadable, so that the check names them.

        Args:
            values: The cells.
            config: Their settings.
            rows: Fewest rows that hold a value that is kept.
            missing: Marks of a missing value.

        Returns:
            None where the reader keeps nothing that is of a few rows alone: the cells stay as they are.
        """
        return None

    def key(self, cell: Any, root: Root) -> tuple[Hashable, ...] | None:
        """The key of a cell read by this reader, unique in this process; None if it has no such key."""
        is_kept = self.cached and not self.holds.is_tabular
        key = cell_key(cell) if is_kept else None
        return None if key is None else (self.fingerprint, root, key)

    def declared(self, config: InputConfig, missing: Marks) -> Self:
        """A copy that reads cells written as a declaration has it; what was learned stays.

        Args:
            config: The settings of the input in a fit that starts from the reader's run.
            missing: Marks of a missing value in that fit.
        """
        other = copy.copy(self)
        other.items = config.items
        return other

    def with_settings(self, **settings: Any) -> Self:
        """This reader if the settings are its own already, else a copy that has them."""
        if all(getattr(self, name) == value for name, value in settings.items()):
            return self
        other = copy.copy(self)
        other.__dict__.pop("fingerprint", None)
        for name, value in settings.items():
            setattr(other, name, value)
        return other

    def digest(self, cell: Any, root: Root) -> bytes:
        """The key of a cell across processes, a digest of :attr:`fingerprint` and :meth:`content`."""
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

    def settings(self) -> Settings:
        """The keyword arguments, JSON values all, that build this reader again beside its ``part``."""
        return {}

    @classmethod
    def is_empty(cls, cell: Any) -> bool:
        """Whether the row lacks this input; pandas' words for nothing count too."""
        return media.is_empty(cell) or type(cell).__name__ in ("NAType", "NaTType")


READERS: Registry[type[Reader]] = MODALITIES
"""Readers by modality; other packages offer theirs as entry points of the group ``polymodal.modalities``."""
READERS.base = Reader


def as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays as tensors that share their memory."""
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _transformers_class(name: str) -> Any:
    """A class of Transformers, which is imported when its first object is needed."""
    import transformers

    return getattr(transformers, name)


def content_of(role: str | None) -> Content | None:
    """The content type of a modality; None for any other name, such as a task."""
    return READERS[role].holds if role is not None and role in READERS else None


def is_media(role: str | None) -> bool:
    """Whether a name is that of a modality whose cells are opened and decoded."""
    return content_of(role) is Content.MEDIA
