"""Numbers of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.content import Content
from polymodal.data.values.column_values import EMPTY_NUMBERS, as_label, parse_numbers
from polymodal.data.values.missing import Marks
from polymodal.data.values.number_formats import number_format
from polymodal.data.values.numbers import held_edges, mean_and_deviation, read_number
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns


@READERS.register("number")
class NumberReader(Reader):
    """Numbers to their standardized value and their position among the training split's quantiles.

    Args:
        mean: Of the column in training.
        deviation: Of the same.
        edges: Ends of the quantile bins, ascending.
        written: How the texts of the column write the number 1234.5, where not plainly.
    """

    modality = "number"
    holds = Content.NUMBER
    noun = "number"
    required = ("mean", "deviation", "edges")
    BINS = 16
    FAR = 8.0
    """Deviations from the mean beyond which a number counts as no farther: one typing error must not rule."""
    MOST = 1e100
    """Where a number counts as no larger: squares of larger ones do not fit."""

    def __init__(
        self,
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        edges: Sequence[float] = (),
        written: str | None = None,
    ) -> None:
        self.mean, self.deviation, self.edges = mean, deviation, [float(edge) for edge in edges]
        self.written = written
        if written is not None:
            number_format(written)  # a saved run's may be damaged

    @classmethod
    def fit(cls, columns: TrainingColumns) -> NumberReader:
        """See :class:`Reader`."""
        written = columns.config.format
        return cls.of_numbers(parse_numbers(columns.values, written)[0], written, columns.held_by)

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> NumberReader:
        """See :class:`Reader`; with as many bins as the encoder reads."""

        import pyarrow as pa

        features = getattr(encoder, "features", 1)
        labels = pa.array([as_label(cell) for cell in cells], pa.string())
        numbers, _ = parse_numbers(pa.chunked_array([labels]))
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            return cls(edges=np.linspace(-1, 1, features).tolist())
        mean, deviation = mean_and_deviation(known)
        # The encoder's width is fixed already, so here the bins may not shrink where quantiles coincide.
        apart = np.arange(features) * 1e-6 * deviation
        edges = np.quantile(known, np.linspace(0, 1, features)) + apart
        return cls(mean=mean, deviation=deviation, edges=edges.tolist())

    @classmethod
    def of_numbers(cls, numbers: np.ndarray, written: str | None = None, held_by: int = 1) -> NumberReader:
        """The reader of a column whose training cells are ``numbers`` ``(rows,)``, NaN where empty.

        Each edge is the mean of ``held_by`` numbers where that is more than one.
        """
        known = np.clip(numbers[~np.isnan(numbers)], -cls.MOST, cls.MOST)
        if not len(known):
            return cls(written=written)
        if held_by > 1:
            edges = held_edges(known, cls.BINS, held_by)
        else:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, min(cls.BINS, len(known)) + 1)))
        mean, deviation = mean_and_deviation(known)
        return cls(mean=mean, deviation=deviation, edges=edges.tolist(), written=written)

    def declared(self, config: InputConfig, missing: Marks) -> NumberReader:
        """See :class:`Reader`."""
        return super().declared(config, missing).with_settings(written=config.format)

    @property
    def features(self) -> int:
        """Length of the code."""
        return max(len(self.edges) - 1, 0) + 1

    def read(self, cell: Any, root: Root) -> float:
        """The number."""
        return read_number(cell, self.written)

    def blank(self) -> float:
        """The mean."""
        return self.mean

    def arrays(self, items: Sequence[float]) -> dict[str, np.ndarray]:
        """``value`` ``(items, features)``: the standardized value, then how full each bin is."""
        numbers = np.clip(np.asarray(items, dtype=np.float64)[:, None], -self.MOST, self.MOST)
        edges = np.asarray(self.edges)
        with np.errstate(over="ignore"):  # what is divided by next to nothing is as far as can be
            value = np.clip((numbers - self.mean) / self.deviation, -self.FAR, self.FAR)
            code = np.clip((numbers - edges[:-1]) / np.diff(edges), 0, 1) if len(edges) > 1 else value[:, :0]
        return {"value": np.concatenate([value, code], axis=1).astype(np.float32)}

    @classmethod
    def is_empty(cls, cell: Any) -> bool:
        """See :class:`Reader`; ``NA`` and its like are empty too."""
        return super().is_empty(cell) or (isinstance(cell, str) and cell.strip().lower() in EMPTY_NUMBERS)

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        scale: Settings = {"mean": self.mean, "deviation": self.deviation, "edges": self.edges}
        return scale | ({"written": self.written} if self.written is not None else {})
