"""The base of featurizers: what a reader keeps of a cell to columns of numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np

from polymodal.data.readers import READERS, Reader
from polymodal.errors import RunError
from polymodal.plain.blocks import Block, Columns, Kind
from polymodal.plain.sparse import Matrix, Sparse
from polymodal.utils.records import JsonValue, Settings
from polymodal.utils.registry import Registry

if TYPE_CHECKING:
    from polymodal.data.readers.columns import TrainingColumns

KINDS: tuple[Kind, ...] = get_args(Kind)
CHUNK = 256
"""Items whose features are computed at once: a few megabytes lie between input and features."""
VALUE = "value"
"""Name of the column of an input that is a single value."""
LIMIT = 1e18
"""Largest size of a feature."""


@dataclass(frozen=True)
class Piece:
    """A part of an input of one row, and what it adds to a score.

    Attributes:
        kind: "cell", the only value; "word"; or "feature", a column of what is computed from the input.
        text: The word, or the name of the column; empty for a cell.
        contribution: In the unit of the score.
        item: Of the cell, from 1; None for columns of a cell of several items, of whose mean they are.
        start: Of a word, its first letter, from 0.
        end: Of a word, behind its last letter.
    """

    kind: Literal["cell", "word", "feature"]
    text: str
    contribution: float
    item: int | None = None
    start: int | None = None
    end: int | None = None


class Featurizer(ABC):
    """Base of all featurizers: one class per modality, which other packages can add to.

    A subclass implements :meth:`learn`, which sets ``columns``, and :meth:`features`; settings of its
    constructor are keywords with defaults, returned by :meth:`options`, and what is larger by :meth:`arrays`.

    Attributes:
        modality: The name it is registered under.
        columns: By part, what the columns are: set by :meth:`fit`. A part without columns is left out.
    """

    modality: ClassVar[str]
    columns: dict[str, Columns]

    @classmethod
    def reader(cls, columns: TrainingColumns) -> Reader:
        """The reader whose ``read`` returns what this featurizer takes.

        By default the modality's own, without the image processor or the like of a pretrained encoder.

        Args:
            columns: The training cells of the input.
        """
        config = columns.config.model_copy(update={"encoder": None})
        return READERS[cls.modality].fit(replace(columns, config=config))

    @classmethod
    def load_reader(cls, settings: Settings) -> Reader:
        """The reader again, from its own ``settings``.

        Raises:
            ValueError: If a setting is none that a fit writes.
        """
        kind = READERS[cls.modality]
        kind.check_settings(settings)
        return kind(**settings)

    @classmethod
    def for_reader(cls, reader: Reader) -> Self:
        """The featurizer, not yet fitted, of what this reader keeps; by default it takes nothing from it."""
        return cls()

    def fit(self, items: Sequence[Sequence[Any]]) -> Self:
        """Learn vocabulary, sizes and the like; an input that no training row has gets no columns.

        Args:
            items: By training row, what the reader kept of each item of the cell; none where it is missing.
        """
        self.columns = {}
        known = [item for row in items for item in row]
        if known:
            self.learn(known)
        self.columns = {part: columns for part, columns in self.columns.items() if columns.names}
        return self

    def blocks(self, items: Sequence[Sequence[Any]]) -> dict[str, Block]:
        """The features of rows, by part ("" for a single one); of a cell of several items, their mean.

        Args:
            items: As in :meth:`fit`.

        Raises:
            RunError: If the columns of a file are other ones than it computes.
        """
        present = np.array([len(row) > 0 for row in items], bool)
        known = [item for row in items for item in row]
        features = self.features(known) if known and self.columns else {}
        empty = Sparse.zeros((0, 0))
        for part, matrix in features.items():
            if part in self.columns and matrix.shape[1] != len(self.columns[part].names):
                computed, named = matrix.shape[1], len(self.columns[part].names)
                wrong = f"{computed} columns of '{part}' are computed from {self.modality}, {named} are named"
                raise RunError(f"the file of a plain model is damaged: {wrong}. Fit again")
        return {
            part: Block(_mean_of_items(features.get(part, empty), items, columns), present, columns)
            for part, columns in self.columns.items()
        }

    @abstractmethod
    def learn(self, items: Sequence[Any]) -> None:
        """Set ``columns`` from the items of all training rows, at least one."""

    @abstractmethod
    def features(self, items: Sequence[Any]) -> Mapping[str, Matrix]:
        """By part, a matrix with one row per item, of at least one; parts without columns may be there."""

    def pieces(self, items: Sequence[Any], part: str, found: np.ndarray) -> list[Piece]:
        """What parts of one row's input add to a score; they sum to that of the columns.

        Args:
            items: What the reader kept of each item of the cell; none where that is not known.
            part: Of :attr:`columns`.
            found: ``(columns,)`` what the columns of the part add.
        """
        names = self.columns[part].names
        item = 1 if len(items) == 1 else None
        if names == (VALUE,):
            return [Piece("cell", "", float(found[0]), item)]
        return [
            Piece("feature", names[column], float(found[column]), item) for column in np.flatnonzero(found)
        ]

    def options(self) -> Settings:
        """The keyword arguments of the constructor, what was learned included, as JSON holds them."""
        return {}

    def arrays(self) -> dict[str, np.ndarray]:
        """What was learned and is too large for JSON, by name."""
        return {}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`arrays` returned.

        Raises:
            ValueError: If an array is missing, of another shape, or not one of this featurizer.
        """
        if arrays:
            raise ValueError(f"a featurizer of {self.modality} with arrays")

    def settings(self) -> Settings:
        """All of the fitted featurizer but :meth:`arrays`, as JSON holds it."""
        written: dict[str, JsonValue] = {
            part: {"names": list(columns.names), "kind": columns.kind, "categories": columns.categories}
            for part, columns in self.columns.items()
        }
        return {"columns": written, "options": self.options()}

    @classmethod
    def restore(cls, settings: Settings, arrays: Mapping[str, np.ndarray]) -> Self:
        """The fitted featurizer again, from :meth:`settings` and :meth:`arrays`.

        Raises:
            ValueError: If they are none that a fit writes.
        """
        options = settings.get("options")
        if not isinstance(options, dict):
            raise ValueError(f"a featurizer of {cls.modality} without options")
        try:
            featurizer = cls(**options)
        except TypeError as error:
            raise ValueError(f"a featurizer of {cls.modality} with options that it does not have") from error
        featurizer.columns = _read_columns(settings.get("columns"))
        featurizer.load_arrays(arrays)
        return featurizer


FEATURIZERS: Registry[type[Featurizer]] = Registry(
    "featurizer", group="polymodal.featurizers", base=Featurizer
)
"""Featurizers by modality; other packages offer theirs by entry points of ``polymodal.featurizers``."""


def featurizer_of(modality: str) -> type[Featurizer] | None:
    """The featurizer of a modality; None where it has none: plain models skip such an input, and report it.

    Raises:
        ConfigError: If the package that offers it is broken.
    """
    if modality not in FEATURIZERS:
        return None
    return FEATURIZERS[modality]


def dense(values: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """``(items, columns)`` float32 of one vector per item, between bounds whose squares float32 can hold."""
    stacked = np.asarray(values, dtype=np.float64)
    return np.clip(np.nan_to_num(stacked, nan=0.0, posinf=LIMIT, neginf=-LIMIT), -LIMIT, LIMIT).astype(
        np.float32
    )


def _mean_of_items(features: Matrix, items: Sequence[Sequence[Any]], columns: Columns) -> Matrix:
    """``(rows, columns)``: the mean over the items of each row; for none NaN, or an empty row if sparse."""
    count = np.array([len(row) for row in items], np.int64)
    shape = (len(items), len(columns.names))
    if not count.sum():
        is_sparse = columns.kind == "sparse"
        return Sparse.zeros(shape) if is_sparse else np.full(shape, np.nan, np.float32)
    if (count != 1).any():
        weights = np.repeat(1 / np.maximum(count, 1), count).astype(np.float32)
        edges = np.concatenate([[0], np.cumsum(count)])
        average = Sparse(weights, np.arange(len(weights)), edges, (len(items), len(weights)))
        features = average @ (features if isinstance(features, np.ndarray) else Sparse.of(features))
    if isinstance(features, np.ndarray):
        features[count == 0] = np.nan
        return features.astype(np.float32, copy=False)
    return Sparse.of(features).astype(np.float32)


def _read_columns(written: JsonValue) -> dict[str, Columns]:
    if not isinstance(written, Mapping):
        raise ValueError("a featurizer without columns")
    return {str(part): _read_part(columns) for part, columns in written.items()}


def _read_part(columns: JsonValue) -> Columns:
    if not isinstance(columns, Mapping):
        raise ValueError("a part of a featurizer without columns")
    names, kind, categories = columns.get("names"), columns.get("kind"), columns.get("categories")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("columns whose names are not a list of texts")
    known = {str(kind): kind for kind in KINDS}
    if not isinstance(kind, str) or kind not in known or type(categories) is not int:
        raise ValueError(f"columns of the kind {kind!r} with {categories!r} categories")
    return Columns(tuple(names), known[kind], categories)
