"""Sequences of features that were extracted before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.cells import MediaError, describe, filled_items
from polymodal.data.media.path_access import Root
from polymodal.data.media.sequence import load_sequence
from polymodal.data.readers.base import READERS, Reader, as_tensors
from polymodal.data.readers.content import Content, KeptLength, SizeFinding
from polymodal.data.readers.items import shown_range, some_of
from polymodal.data.tables.lists import as_list, number_depth, written_list
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns
    from polymodal.data.tables.table import Table

FEWEST = 5  # of fewer sequences, equal lengths are no evidence
VARIED = 3  # different numbers of features that no extractor writes
TRANSPOSE = "If the first dimension counts the features, transpose the arrays (array.T)"


@READERS.register("sequence")
class SequenceReader(Reader):
    """Steps of features, each feature standardized; what lies beyond the longest length is cut.

    Args:
        features: Features per step.
        length: Most steps that are kept.
        mean: Of each feature in training.
        deviation: Of the same.
    """

    modality = "sequence"
    holds = Content.MEDIA
    may_share = holds_items = True
    noun = "sequence"
    length_setting = "length"
    vectors = ("mean", "deviation")
    required = ("features", "length", "mean", "deviation")
    sizes_agree = True
    MOST_STEPS = 1024
    """Most steps that are kept where the declaration has no limit."""
    FAR = 8.0
    """Deviations from the mean beyond which a value counts as no farther."""

    def __init__(
        self,
        *,
        features: int = 1,
        length: int = 256,
        mean: Sequence[float] = (),
        deviation: Sequence[float] = (),
    ) -> None:
        self.features, self.length = features, length
        self.mean = np.asarray(mean if len(mean) else [0.0] * features, dtype=np.float64)
        self.deviation = np.asarray(deviation if len(deviation) else [1.0] * features, dtype=np.float64)

    @classmethod
    def check_settings(cls, settings: dict[str, Any]) -> None:
        """See :class:`Reader`."""
        super().check_settings(settings)
        for name in cls.vectors:
            if len(settings[name]) != settings["features"]:
                raise ValueError(
                    f"a reader of sequences of {settings['features']} features with {len(settings[name])} "
                    f"numbers as {name}"
                )

    @classmethod
    def split_items(cls, cell: Any) -> list[Any] | None:
        """See :class:`Reader`; a list of numbers, or of lists of numbers, is one sequence."""
        items = as_list(written_list(cell) if isinstance(cell, str) else cell)
        return None if items is None or 1 <= number_depth(items) <= 2 else items

    @classmethod
    def fit(cls, columns: TrainingColumns) -> SequenceReader:
        """See :class:`Reader`."""
        return cls.of_arrays(columns.measured(load_sequence), length=columns.config.length)

    @classmethod
    def readable_together(cls, table: Table, names: Sequence[str], config: InputConfig) -> list[list[str]]:
        """See :class:`Reader`; columns whose steps have as many features."""

        from polymodal.data.readers.columns import TrainingColumns

        if len(names) < 2:
            return [list(names)]
        groups: dict[int, list[str]] = {}
        for name in names:
            alone = TrainingColumns(table, [name], config, cls.split_items)
            groups.setdefault(cls.fit(alone).features, []).append(name)
        return list(groups.values())

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> SequenceReader:
        """See :class:`Reader`; scaled by the cells that have as many features as the encoder reads."""
        features, length = getattr(encoder, "features", 1), getattr(encoder, "length", 256)
        arrays = [load_sequence(item) for cell in cells for _, item in filled_items(cell, cls.split_items)]
        arrays = [array for array in arrays if array.shape[1] == features]
        return cls.of_arrays(arrays, length=length) if arrays else cls(features=features, length=length)

    @classmethod
    def of_arrays(cls, arrays: Iterable[np.ndarray], *, length: int | None = None) -> SequenceReader:
        """The reader of a column, from training cells ``(time, features)`` that are looked at one by one.

        Args:
            arrays: Of any lengths; where they do not all have the same number of features, the usual counts.
            length: Most steps that are kept; by default 98 of 100 arrays are kept whole.
        """
        scales: dict[int, FeatureScale] = {}
        for array in arrays:
            scales.setdefault(array.shape[1], FeatureScale()).add(array)
        if not scales:
            return cls(length=length or cls.length_of([256]))
        features, scale = max(scales.items(), key=lambda entry: len(entry[1].lengths))
        return cls(
            features=features,
            length=length or cls.length_of(scale.lengths),
            mean=scale.mean.tolist(),
            deviation=scale.deviation.tolist(),
        )

    @classmethod
    def length_of(cls, lengths: Sequence[int]) -> int:
        """The steps that hold 98 of 100 sequences whole, within what a CPU can bear."""
        return min(cls.MOST_STEPS, int(np.quantile(lengths, 0.98, method="higher")))

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """See :class:`Reader`."""
        load_sequence(item, root)

    @classmethod
    def measure(cls, item: Any, root: Root) -> tuple[float, ...]:
        """Steps and features."""
        return load_sequence(item, root).shape

    @classmethod
    def describe_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> str:
        """``12–90 steps of 64 features``."""
        steps = shown_range((size[0] for size in sizes), ",.0f")
        return f"{steps} steps of {some_of(size[1] for size in sizes)} features"

    @classmethod
    def is_cut(cls, kept: Any, size: tuple[float, ...]) -> bool:
        """See :class:`Reader`."""
        return isinstance(kept, np.ndarray) and len(kept) < size[0]

    @classmethod
    def judge_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> SizeFinding | None:
        """Arrays written as ``(features, time)``: all have as many steps, fewer than features."""
        shapes = np.array([*sizes], dtype=np.int64).reshape(-1, 2)
        if len(shapes) < FEWEST or len(set(shapes[:, 0])) > 1:
            return None
        steps, features = int(shapes[0, 0]), np.unique(shapes[:, 1])
        if steps >= np.median(shapes[:, 1]):
            return None
        every = f"each of the {len(shapes)} sequences has {steps} step{'s' * (steps > 1)}"
        if len(features) >= VARIED:
            return SizeFinding(
                f"{every} of {features[0]} to {features[-1]} features",
                "numbers of shape (time, features), as many features in each",
                TRANSPOSE + ".", is_refused=True, covers="features a step",
            )  # fmt: skip
        if len(features) > 1:
            return None
        return SizeFinding(f"{every} of {features[0]} features: its steps look like features", cure=TRANSPOSE)

    @property
    def kept_length(self) -> KeptLength:
        """See :class:`Reader`."""
        return KeptLength(self.length, "steps")

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """float32 ``(at most length, features)``."""
        array = load_sequence(cell, root)
        if array.shape[1] != self.features:
            reason = f"{describe(cell)} has {array.shape[1]} features a step"
            fix = "Extract them as those of the training rows."
            raise MediaError(found=reason, expected=f"{self.features} as in training", cure=fix)
        value = (array[: self.length] - self.mean) / self.deviation
        return np.clip(value, -self.FAR, self.FAR).astype(np.float32)

    def blank(self) -> np.ndarray:
        """One step of means."""
        return np.zeros((1, self.features), dtype=np.float32)

    def content(self, cell: Any, root: Root) -> bytes:
        """See :class:`Reader`; a list that is written out is its own content."""
        is_written = isinstance(cell, str) and written_list(cell) is not None
        return cell.encode("utf-8", "surrogatepass") if is_written else super().content(cell, root)

    def arrays(self, items: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """``steps`` ``(items, longest, features)``, zero behind each sequence; ``length`` ``(items,)``."""
        return self._pad(items, max(map(len, items)))

    def collate_dense(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """See :class:`Reader`."""
        return as_tensors(self._pad(items, self.length))

    def _pad(self, items: Sequence[np.ndarray], longest: int) -> dict[str, np.ndarray]:
        length = [len(item) for item in items]
        steps = np.zeros((len(items), longest, self.features), dtype=np.float32)
        for index, item in enumerate(items):
            steps[index, : len(item)] = item
        return {"length": np.array(length, dtype=np.int64), "steps": steps}

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        return {
            "features": self.features,
            "length": self.length,
            "mean": self.mean.tolist(),
            "deviation": self.deviation.tolist(),
        }


class FeatureScale:
    """Mean and deviation of each feature over arrays that come one by one, and how long these are.

    Two groups' sums of squares are joined as in Chan, Golub & LeVeque (1979), equation 1.5b.
    """

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.mean: np.ndarray = np.zeros(1)
        self._squares: np.ndarray = np.zeros(1)

    def add(self, array: np.ndarray) -> None:
        """Take ``array`` ``(time, features)`` in."""
        before, values = sum(self.lengths), array.astype(np.float64)
        total = before + len(values)
        apart = values.mean(axis=0) - self.mean
        self._squares = (
            self._squares + values.var(axis=0) * len(values) + apart**2 * before * len(values) / total
        )
        self.mean = self.mean + apart * len(values) / total
        self.lengths.append(len(values))

    @property
    def deviation(self) -> np.ndarray:
        """Of each feature; 1 for a feature that is the same everywhere, save for the rounding of float32."""
        deviation = np.sqrt(self._squares / sum(self.lengths))
        return np.where(deviation > 1e-6 * np.abs(self.mean), deviation, 1.0)
