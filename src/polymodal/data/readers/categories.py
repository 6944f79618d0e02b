"""Sets of categories: any number of labels in a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.cells import MediaError
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.values.column_values import as_label
from polymodal.data.values.labels import frequent, label_vocabulary, read_labels, readable_labels
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns


@READERS.register("categories")
class CategoriesReader(Reader):
    """Sets of labels to how often each is there; a cell without a label is not a missing one.

    Args:
        categories: Names of the labels in order: those of the training split, however rare.
        separator: Between the labels of a text; None where cells are lists.
        missing: Marks of a missing value, which are no labels; None for the usual ones.
    """

    modality = "categories"
    noun = "set of categories"
    required = ("categories",)
    cached = False
    vocabulary: Vocabulary

    def __init__(
        self, *, categories: Sequence[str], separator: str | None = None, missing: Sequence[str] | None = None
    ) -> None:
        self.categories, self.separator, self.missing = list(categories), separator, Marks.of(missing)
        self.vocabulary = Vocabulary(self.categories)

    @classmethod
    def fit(cls, columns: TrainingColumns) -> CategoriesReader:
        """See :class:`Reader`."""
        separator, missing = columns.config.separator, columns.table.missing
        rows = readable_labels(columns.values, separator, missing, written=True)
        return cls.of_labels(rows, separator, missing)

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> CategoriesReader:
        """See :class:`Reader`; the cells are lists, or texts in the notation of one.

        Vectors of the encoder that no label needs get names of their own, so that both have one width.
        """
        names = cls.of_labels(read_labels(cell, written=True) for cell in cells).categories
        unused = range(len(names), getattr(encoder, "categories", 0))
        return cls(categories=[*names, *(f"(unused {number})" for number in unused)])

    @classmethod
    def of_labels(
        cls,
        rows: Iterable[Iterable[str] | None],
        separator: str | None = None,
        missing: Marks = DEFAULT_MARKS,
    ) -> CategoriesReader:
        """The reader of a column whose training cells hold these labels, None where empty."""
        names = label_vocabulary(None if row is None else list(row) for row in rows).names
        return cls(categories=sorted(names), separator=separator, missing=missing.given)

    def declared(self, config: InputConfig, missing: Marks) -> CategoriesReader:
        """See :class:`Reader`."""
        return super().declared(config, missing).with_settings(separator=config.separator, missing=missing)

    def grown(self, values: pa.ChunkedArray) -> CategoriesReader:
        """See :class:`Reader`."""
        rows = readable_labels(values, self.separator, self.missing, written=True)
        new = sorted(name for name in label_vocabulary(rows).names if name not in self.vocabulary)
        return CategoriesReader(
            categories=[*self.categories, *new], separator=self.separator, missing=self.missing.given
        )

    @classmethod
    def check_settings(cls, settings: dict[str, Any]) -> None:
        """See :class:`Reader`."""
        super().check_settings(settings)
        separator = settings.get("separator")
        if separator is not None and not (isinstance(separator, str) and separator):
            raise ValueError("a reader of sets of categories with a separator that is no text")
        Marks.of_saved(settings.get("missing"))

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """See :class:`Reader`."""
        read_labels(item, config.separator)

    def labels(self, cell: Any) -> list[str]:
        """The labels in a cell that is not empty, those that training never saw too.

        Raises:
            MediaError: If it holds something else.
        """
        return read_labels(cell, self.separator, self.missing, written=True) or []

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """Each label's index from 1, int64 ``(labels,)``; 0 for one that training never saw."""
        indices = [self.vocabulary.index(label) for label in self.labels(cell)]
        return np.array([0 if index is None else index + 1 for index in indices], dtype=np.int64)

    def unknown_names(self, cell: Any) -> list[str]:
        """See :class:`Reader`; none of a cell that holds no labels, which reading names."""
        try:
            return [label for label in self.labels(cell) if label not in self.vocabulary]
        except MediaError:
            return []

    @classmethod
    def without_rare(
        cls, values: pa.ChunkedArray, config: InputConfig, rows: int, missing: Marks = DEFAULT_MARKS
    ) -> pa.ChunkedArray:
        """See :class:`Reader`: rare labels are left out of their cells, which become lists."""

        import pyarrow as pa

        cells: list[list[str] | str | None] = []
        for cell in values.to_pylist():
            try:
                cells.append(read_labels(cell, config.separator, missing))
            except MediaError:
                cells.append(cell if isinstance(cell, str) else json.dumps([[as_label(cell)]]))
        kept = frequent((labels for labels in cells if isinstance(labels, list)), rows)
        written = [
            json.dumps([label for label in labels if label in kept]) if isinstance(labels, list) else labels
            for labels in cells
        ]
        return pa.chunked_array([pa.array(written, pa.large_string())])

    def blank(self) -> np.ndarray:
        """No label."""
        return np.zeros(0, dtype=np.int64)

    def arrays(self, items: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """``value`` ``(items, categories + 1)``: the number of unknown labels, then 1 per known label."""
        value = np.zeros((len(items), len(self.categories) + 1), dtype=np.float32)
        for row, item in enumerate(items):
            np.add.at(value[row], item, 1.0)
        return {"value": value}

    @classmethod
    def is_empty(cls, cell: Any) -> bool:
        """See :class:`Reader`; a list without a label is not empty."""
        return not isinstance(cell, (list, tuple, set, frozenset, np.ndarray)) and super().is_empty(cell)

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`: the labels, in whichever order they are written."""
        return "\0".join(sorted(self.labels(cell))).encode("utf-8", "surrogatepass")

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        result: Settings = {"categories": self.categories}
        result |= {"separator": self.separator} if self.separator else {}
        return result | ({} if self.missing.given is None else {"missing": list(self.missing.given)})
