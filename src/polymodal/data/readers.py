"""One reader a modality: a cell becomes what is kept (``read``), what is kept becomes tensors (``collate``).

What ``read`` returns is small, the same in every epoch, and may be cached; ``collate`` pads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, PreTrainedTokenizerBase

from polymodal.data import media
from polymodal.data.numbers import mean_and_deviation, read_number
from polymodal.data.values import EMPTY_NUMBERS, as_label
from polymodal.registry import Registry


class Reader:
    """Base of all readers.

    Attributes:
        modality: The name it is registered under.
        cached: Whether reading costs enough to keep the result.
        part: A Transformers processor that is saved beside the settings, if there is one.
    """

    modality: ClassVar[str]
    cached: ClassVar[bool] = True
    part: Any = None

    def read(self, cell: Any, root: Path | None) -> Any:
        """The content of a cell that is not empty.

        Raises:
            MediaError: If the cell does not hold what the modality needs.
        """
        raise TypeError(f"{type(self).__name__} has no read of its own")

    def collate(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """Tensors of several items, by the names the encoder's ``forward`` takes."""
        raise TypeError(f"{type(self).__name__} has no collate of its own")

    def settings(self) -> dict[str, Any]:
        """The keyword arguments, JSON values all, that build this reader again beside its ``part``."""
        return {}

    def is_empty(self, cell: Any) -> bool:
        """Whether the row lacks this input; pandas' words for nothing count too."""
        return media.is_empty(cell) or type(cell).__name__ in ("NAType", "NaTType")


READERS: Registry[type[Reader]] = Registry("modality")


@READERS.register("text")
class TextReader(Reader):
    """Text to token ids.

    Args:
        part: The tokenizer.
        max_length: Most tokens kept; the tokenizer's own limit holds too.
    """

    modality = "text"

    def __init__(self, part: PreTrainedTokenizerBase, *, max_length: int = 128) -> None:
        self.part, self.max_length = part, min(max_length, part.model_max_length)

    def read(self, cell: Any, root: Path | None) -> np.ndarray:
        """Token ids ``(length,)``."""
        text = cell if isinstance(cell, str) else as_label(cell)
        ids = self.part(text, truncation=True, max_length=self.max_length).input_ids
        return np.asarray(ids, dtype=np.int64)

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask``, both ``(items, longest)``."""
        longest = max(max(map(len, items)), 1)
        ids = np.full((len(items), longest), self.part.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros((len(items), longest), dtype=np.int64)
        for place, item in enumerate(items):
            ids[place, : len(item)], mask[place, : len(item)] = item, 1
        mask[:, 0] = 1  # a text without any token is still a text
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"max_length": self.max_length}


@READERS.register("image")
class ImageReader(Reader):
    """Pictures to squares of pixels, or to what a checkpoint's image processor makes of them.

    Args:
        part: The image processor of a pretrained encoder.
        size: Side of the square, without one.
    """

    modality = "image"

    def __init__(self, part: Any = None, *, size: int = 64) -> None:
        self.part, self.size = part, size

    def read(self, cell: Any, root: Path | None) -> np.ndarray:
        """uint8 ``(3, size, size)``, or the image processor's floats."""
        image = media.load_image(cell, root)
        if self.part is not None:
            return np.asarray(self.part(image, return_tensors="np")["pixel_values"][0])
        if image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``pixel_values`` ``(items, 3, height, width)``."""
        return {"pixel_values": torch.from_numpy(np.stack(items))}

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"size": self.size}


@READERS.register("audio")
class AudioReader(Reader):
    """Sound to a waveform of one channel, padded or cut to a fixed length.

    Args:
        part: The feature extractor of a pretrained encoder.
        rate: Samples a second.
        seconds: The fixed length.
    """

    modality = "audio"

    def __init__(self, part: Any = None, *, rate: int = 16000, seconds: float = 4.0) -> None:
        self.part, self.rate, self.seconds = part, rate, seconds

    @property
    def samples(self) -> int:
        """The fixed length in samples."""
        return round(self.rate * self.seconds)

    def read(self, cell: Any, root: Path | None) -> np.ndarray:
        """float32 ``(at most samples,)``."""
        return media.load_audio(cell, root, rate=self.rate)[: self.samples].copy()

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``length`` ``(items,)`` and ``waveform`` ``(items, samples)`` or the extractor's tensors."""
        length = torch.tensor([len(item) for item in items])
        if self.part is not None:
            return {"length": length, **self._extract(items)}
        return {"length": length, "waveform": torch.from_numpy(self._pad(items))}

    def _pad(self, items: Sequence[np.ndarray]) -> np.ndarray:
        waveform = np.zeros((len(items), self.samples), dtype=np.float32)
        for place, item in enumerate(items):
            waveform[place, : len(item)] = item
        return waveform

    def _extract(self, items: Sequence[np.ndarray]) -> Mapping[str, Tensor]:
        """What the feature extractor makes, of the fixed length."""
        names = self.part.model_input_names
        counts_samples = "input_values" in names or hasattr(self.part, "n_samples")
        if not counts_samples:  # its max_length would count frames: it gets recordings of one length
            padded = list(self._pad(items))
            return self.part(padded, sampling_rate=self.rate, return_tensors="pt")
        return self.part(
            list(items), sampling_rate=self.rate, padding="max_length", max_length=self.samples,
            truncation=True, return_tensors="pt",
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"rate": self.rate, "seconds": self.seconds}


@READERS.register("number")
class NumberReader(Reader):
    """Numbers to their standardized value and their place among the training split's quantiles.

    Args:
        mean: Of the column in training.
        deviation: Of the same.
        edges: Ends of the quantile bins, ascending.
    """

    modality = "number"
    cached = False
    BINS = 16
    FAR = 8.0
    """Deviations from the mean beyond which a number counts as no farther: one typing error must not rule."""

    def __init__(self, *, mean: float = 0.0, deviation: float = 1.0, edges: Sequence[float] = ()) -> None:
        self.mean, self.deviation, self.edges = mean, deviation, [float(edge) for edge in edges]

    @classmethod
    def fit(cls, numbers: np.ndarray) -> NumberReader:
        """The reader of a column whose training cells are ``numbers`` ``(rows,)``, NaN where empty."""
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            return cls()
        edges = np.unique(np.quantile(known, np.linspace(0, 1, min(cls.BINS, len(known)) + 1)))
        mean, deviation = mean_and_deviation(known)
        return cls(mean=mean, deviation=deviation, edges=edges.tolist())

    @property
    def features(self) -> int:
        """Length of the code."""
        return max(len(self.edges) - 1, 0) + 1

    def read(self, cell: Any, root: Path | None) -> float:
        """The number."""
        return read_number(cell)

    def collate(self, items: Sequence[float]) -> dict[str, Tensor]:
        """``value`` ``(items, features)``: the standardized value, then how full each bin is."""
        numbers = np.asarray(items, dtype=np.float64)[:, None]
        value = np.clip((numbers - self.mean) / self.deviation, -self.FAR, self.FAR)
        edges = np.asarray(self.edges)
        code = np.clip((numbers - edges[:-1]) / np.diff(edges), 0, 1) if len(edges) > 1 else value[:, :0]
        return {"value": torch.from_numpy(np.concatenate([value, code], axis=1)).float()}

    def is_empty(self, cell: Any) -> bool:
        """See :class:`Reader`; ``NA`` and its like are empty too."""
        return super().is_empty(cell) or (isinstance(cell, str) and cell.strip().lower() in EMPTY_NUMBERS)

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"mean": self.mean, "deviation": self.deviation, "edges": self.edges}


@READERS.register("category")
class CategoryReader(Reader):
    """Categories to their place; every category of the training split has its own, however rare.

    Args:
        categories: Names in order.
    """

    modality = "category"
    cached = False

    def __init__(self, *, categories: Sequence[str]) -> None:
        self.categories = list(categories)
        self.place = {name: place for place, name in enumerate(self.categories, start=1)}

    @classmethod
    def fit(cls, labels: Iterable[str]) -> CategoryReader:
        """The reader of a column whose training cells are ``labels``, empty text where empty."""
        return cls(categories=sorted({label for label in labels if label}))

    def read(self, cell: Any, root: Path | None) -> int:
        """The category's place from 1; 0 for one that training never saw."""
        return self.place.get(as_label(cell), 0)

    def collate(self, items: Sequence[int]) -> dict[str, Tensor]:
        """``value`` ``(items,)``."""
        return {"value": torch.tensor(items, dtype=torch.long)}

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"categories": self.categories}


def fixed_seconds(part: Any) -> float | None:
    """The one length that a feature extractor makes of every recording, where it does (Whisper, AST)."""
    frames = getattr(part, "max_length", None)  # of 10 milliseconds each
    return getattr(part, "chunk_length", None) or (frames / 100 if frames else None)


PARTS = {"text": AutoTokenizer, "image": AutoImageProcessor, "audio": AutoFeatureExtractor}
"""How a reader's ``part`` is loaded."""


def load_reader(modality: str, settings: dict[str, Any], folder: Path | None) -> Reader:
    """The reader with these settings, its part loaded from ``folder`` where it has one."""
    kind: Any = READERS[modality]
    loader: Any = PARTS.get(modality)
    return kind(loader.from_pretrained(folder), **settings) if folder else kind(**settings)
