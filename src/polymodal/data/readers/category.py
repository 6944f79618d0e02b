"""Categories of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.content import Content
from polymodal.data.values.column_values import as_label, as_labels, vocabulary_of
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from polymodal.data.readers.columns import TrainingColumns


@READERS.register("category")
class CategoryReader(Reader):
    """Categories to their index; every category of the training split has its own, however rare.

    Args:
        categories: Names in order.
    """

    modality = "category"
    vocabulary: Vocabulary
    holds = Content.CATEGORY
    noun = "category"
    required = ("categories",)

    def __init__(self, *, categories: Sequence[str]) -> None:
        self.categories = list(categories)
        self.vocabulary = Vocabulary(self.categories)

    @classmethod
    def fit(cls, columns: TrainingColumns) -> CategoryReader:
        """See :class:`Reader`."""
        return cls.of_labels(vocabulary_of(columns.values).names)

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> CategoryReader:
        """See :class:`Reader`."""
        return cls.of_labels(as_label(cell) for cell in cells)

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> CategoryReader:
        """The reader of a column whose training cells are ``labels``, empty text where empty."""
        return cls(categories=sorted({label for label in labels if label}))

    def grown(self, values: pa.ChunkedArray) -> CategoryReader:
        """See :class:`Reader`."""
        new = sorted({label for label in as_labels(values) if label and label not in self.vocabulary})
        return CategoryReader(categories=[*self.categories, *new])

    def read(self, cell: Any, root: Root) -> int:
        """The category's index from 1; 0 for one that training never saw."""
        index = self.vocabulary.index(cell)
        return 0 if index is None else index + 1

    def unknown_names(self, cell: Any) -> list[str]:
        """See :class:`Reader`."""
        return [] if cell in self.vocabulary else [as_label(cell)]

    def blank(self) -> int:
        """An unknown category."""
        return 0

    def arrays(self, items: Sequence[int]) -> dict[str, np.ndarray]:
        """``value`` ``(items,)``."""
        return {"value": np.array(items, dtype=np.int64)}

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        return {"categories": self.categories}
