"""Masking by modality: patches of an input, or cells of one value, and their ground truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from polymodal.models.encoders import (
    AudioEncoder,
    CategoriesEncoder,
    CategoryEncoder,
    DateEncoder,
    Encoder,
    ImageEncoder,
    NumberEncoder,
    SequenceEncoder,
    VideoEncoder,
)
from polymodal.models.encoders.mel import LogMel
from polymodal.models.outputs import TokenSequence
from polymodal.utils.registry import Registry

Values = Mapping[str, Tensor]

SIDE, PIXELS = 8, 4
"""Patches along the side of an image, and pixels along the side of a patch after downsampling."""
CLIP_SIDE, CLIP_STEPS = 4, 4
"""Patches along the side of a clip, and segments of its frames."""
STRETCHES, WITHIN = 16, 2
"""Segments of a recording or sequence, and means per segment that are predicted."""


class Patches(ABC):
    """Patches of one input.

    Args:
        encoder: Of the input.

    Attributes:
        shape: Number of patches along each dimension.
        outputs: Numbers that are predicted per patch.
    """

    shape: tuple[int, ...]
    outputs: int

    @abstractmethod
    def __init__(self, encoder: Any) -> None: ...

    @staticmethod
    def refusal(encoder: Any) -> str | None:
        """Why an input of this encoder cannot take part; None if it can."""
        return None

    @property
    def count(self) -> int:
        """Number of patches."""
        return prod(self.shape)

    @abstractmethod
    def hide(self, values: Values, where: Tensor) -> dict[str, Tensor]:
        """Mask the patches of an input where ``(items, count)`` is true."""

    @abstractmethod
    def answers(self, values: Values) -> Tensor:
        """The ground truth of each patch: ``(items, count, outputs)``."""

    def nearest_tokens(self, sequence: TokenSequence) -> Tensor:
        """The index of the token nearest to each patch: ``(items, count)``."""
        index = torch.zeros((), dtype=torch.long, device=sequence.tokens.device)
        for patches, tokens in zip(self.shape, sequence.grid, strict=True):
            middle = (torch.arange(patches, device=index.device) * 2 + 1) * tokens // (2 * patches)
            index = index.unsqueeze(-1) * tokens + middle
        return index.flatten().expand(len(sequence.row), -1)


PATCHES: Registry[type[Patches]] = Registry("way to patch", group="polymodal.patches", base=Patches)
"""By modality; another package adds its own under the entry points ``polymodal.patches``. An input that is
neither here nor in :data:`HIDDEN_CELLS` cannot be masked, and the objective refuses it."""


class HiddenCells(ABC):
    """Cells of one value, which are hidden whole: the row then lacks the input.

    Args:
        encoder: Of the input.

    Attributes:
        outputs: Numbers that a cell is predicted by.
    """

    count: ClassVar[int] = 1
    outputs: int

    @abstractmethod
    def __init__(self, encoder: Any) -> None: ...

    @abstractmethod
    def answers(self, value: Tensor) -> Tensor:
        """The targets of hidden cells, from the encoder's ``value`` ``(cells, …)``."""

    @abstractmethod
    def loss(self, predicted: Tensor, answers: Tensor) -> Tensor:
        """The sum of the losses of ``predicted`` ``(cells, outputs)``, in fp32."""


HIDDEN_CELLS: Registry[type[HiddenCells]] = Registry(
    "way to hide cells", group="polymodal.hidden_cells", base=HiddenCells
)
"""By modality; another package adds its own under the entry points ``polymodal.hidden_cells``."""


@HIDDEN_CELLS.register(NumberEncoder.modality)
@HIDDEN_CELLS.register(DateEncoder.modality)
class NumberCells(HiddenCells):
    """Numbers and dates: their standardized value, the first of ``value`` ``(cells, features)``."""

    def __init__(self, encoder: Encoder) -> None:
        self.outputs = 1

    def answers(self, value: Tensor) -> Tensor:
        """See :meth:`HiddenCells.answers`: ``(cells,)``."""
        return value[:, 0]

    def loss(self, predicted: Tensor, answers: Tensor) -> Tensor:
        """See :meth:`HiddenCells.loss`: squared errors."""
        return F.mse_loss(predicted[:, 0], answers.float(), reduction="sum")


@HIDDEN_CELLS.register(CategoryEncoder.modality)
class CategoryCells(HiddenCells):
    """Categories, predicted by their index ``value`` ``(cells,)``."""

    def __init__(self, encoder: CategoryEncoder) -> None:
        self.outputs = getattr(encoder, "categories", 0) + 1

    def answers(self, value: Tensor) -> Tensor:
        """See :meth:`HiddenCells.answers`: the same."""
        return value

    def loss(self, predicted: Tensor, answers: Tensor) -> Tensor:
        """See :meth:`HiddenCells.loss`: cross-entropy."""
        return F.cross_entropy(predicted, answers, reduction="sum")


@HIDDEN_CELLS.register(CategoriesEncoder.modality)
class CategoriesCells(HiddenCells):
    """Sets of categories, label by label; ``value`` ``(cells, labels + 1)`` begins with the unknown."""

    def __init__(self, encoder: CategoriesEncoder) -> None:
        self.outputs = max(1, encoder.categories)

    def answers(self, value: Tensor) -> Tensor:
        """See :meth:`HiddenCells.answers`: ``(cells, labels)``, 1 where the label is there."""
        return (value[:, 1:] > 0).float()

    def loss(self, predicted: Tensor, answers: Tensor) -> Tensor:
        """See :meth:`HiddenCells.loss`: the binary cross-entropy of each cell, the mean over its labels."""
        each = F.binary_cross_entropy_with_logits(predicted[:, : answers.shape[1]], answers, reduction="none")
        return each.sum() / max(1, answers.shape[1])


@PATCHES.register(ImageEncoder.modality)
class PicturePatches(Patches):
    """Squares of images ``pixel_values`` ``(items, colours, height, width)``."""

    def __init__(self, encoder: Any) -> None:
        side = min(SIDE, max(2, encoder.size // PIXELS))
        self.shape, self.outputs = (side, side), 3 * PIXELS**2

    def hide(self, values: Values, where: Tensor) -> dict[str, Tensor]:
        """Set the masked patches to grey: see :meth:`Patches.hide`."""
        pixels = values["pixel_values"]
        hidden = F.interpolate(where.view(-1, 1, *self.shape).float(), pixels.shape[2:]) > 0.5
        return {**values, "pixel_values": pixels.masked_fill(hidden, grey(pixels))}

    def answers(self, values: Values) -> Tensor:
        """The pixels of each patch from -1 to 1, downsampled to 4 × 4."""
        rows, columns = self.shape
        small = F.adaptive_avg_pool2d(floats(values["pixel_values"]), (rows * PIXELS, columns * PIXELS))
        return F.unfold(small, PIXELS, stride=PIXELS).transpose(1, 2)


@PATCHES.register(VideoEncoder.modality)
class ClipPatches(Patches):
    """Blocks of clips ``pixel_values`` ``(items, frames, colours, height, width)``."""

    def __init__(self, encoder: Any) -> None:
        self.shape = (min(CLIP_STEPS, encoder.frames), CLIP_SIDE, CLIP_SIDE)
        self.outputs = 3 * PIXELS**2

    def hide(self, values: Values, where: Tensor) -> dict[str, Tensor]:
        """Set the masked patches to grey: see :meth:`Patches.hide`."""
        pixels = values["pixel_values"]
        size = (pixels.shape[1], *pixels.shape[3:])
        hidden = F.interpolate(where.view(-1, 1, *self.shape).float(), size).transpose(1, 2) > 0.5
        return {**values, "pixel_values": pixels.masked_fill(hidden, grey(pixels))}

    def answers(self, values: Values) -> Tensor:
        """The pixels of each patch from -1 to 1, at 4 × 4, averaged over its frames."""
        steps, rows, columns = self.shape
        pixels = floats(values["pixel_values"]).transpose(1, 2)  # (items, colours, frames, height, width)
        small = F.adaptive_avg_pool3d(pixels, (steps, rows * PIXELS, columns * PIXELS))
        blocks = small.unflatten(4, (columns, PIXELS)).unflatten(3, (rows, PIXELS))
        return blocks.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3)


class TimePatches(Patches):
    """Base of segments of time: equal shares of the content of an item, without its padding."""

    def _cut(self, features: int) -> None:
        self.shape, self.outputs = (STRETCHES,), WITHIN * features

    def nearest_tokens(self, sequence: TokenSequence) -> Tensor:
        """The index of the token nearest to each segment: ``(items, count)``."""
        length = sequence.mask.sum(dim=1, keepdim=True)
        middle = torch.arange(self.count, device=length.device) * 2 + 1
        return middle * length // (2 * self.count)

    def within(self, where: Tensor, length: Tensor, size: int) -> Tensor:
        """``(items, size)`` bool: the time steps in segments of ``where``; ``length`` steps have content."""
        moment = torch.arange(size, device=where.device)
        stretch = moment * self.count // length.unsqueeze(1).clamp(min=1)
        inside = moment < length.unsqueeze(1)
        return where.gather(1, stretch.clamp(max=self.count - 1)) & inside

    def means(self, frames: Tensor, length: Tensor) -> Tensor:
        """Means over parts of segments; ``length`` steps of ``frames`` ``(items, time, features)`` count."""
        parts = self.count * WITHIN
        edges = torch.arange(parts + 1, device=frames.device) * length.unsqueeze(1) / parts
        start = edges[:, :-1].floor().long().clamp(max=frames.shape[1] - 1)
        stop = torch.maximum(edges[:, 1:].ceil().long(), start + 1).clamp(max=frames.shape[1])
        total = F.pad(frames.cumsum(dim=1), (0, 0, 1, 0))
        wide = frames.shape[2]
        ends = [total.gather(1, edge.unsqueeze(-1).expand(-1, -1, wide)) for edge in (start, stop)]
        return (
            ((ends[1] - ends[0]) / (stop - start).unsqueeze(-1)).unflatten(1, (self.count, WITHIN)).flatten(2)
        )


@PATCHES.register(AudioEncoder.modality)
class SoundPatches(TimePatches):
    """Segments of recordings, a waveform ``(items, samples)``; the ground truth is their log-mel."""

    def __init__(self, encoder: Any) -> None:
        self.own, self.rate = encoder.mel if encoder.reads_mel else None, encoder.rate
        self._cut(encoder.bins)

    @staticmethod
    def refusal(encoder: Any) -> str | None:
        """See :meth:`Patches.refusal`."""
        if encoder.reads_mel or reads_waveform(encoder):
            return None
        return "its checkpoint reads features that its own extractor makes, not a waveform"

    @cached_property
    def mel(self) -> LogMel:
        """The encoder's, or one of its rate; built on first use, for a model may be built without weights."""
        return self.own or LogMel(rate=self.rate, bins=self.outputs // WITHIN)

    def hide(self, values: Values, where: Tensor) -> dict[str, Tensor]:
        """Set the masked segments to silence: see :meth:`Patches.hide`."""
        key = waveform_of(values)
        hidden = self.within(where, values["length"], values[key].shape[1])
        return {**values, key: values[key].masked_fill(hidden, 0.0)}

    def answers(self, values: Values) -> Tensor:
        """Log-mel of each segment, standardized per recording."""
        waveform = values[waveform_of(values)]
        frames, mask = self.mel.to(waveform.device)(waveform, values["length"])
        return self.means(frames, mask.sum(dim=1))


@PATCHES.register(SequenceEncoder.modality)
class StepPatches(TimePatches):
    """Segments of feature sequences ``steps`` ``(items, time, features)``."""

    def __init__(self, encoder: Any) -> None:
        self.longest = encoder.length
        self._cut(encoder.features)

    def hide(self, values: Values, where: Tensor) -> dict[str, Tensor]:
        """Set the masked segments to 0, the mean of the features: see :meth:`Patches.hide`."""
        hidden = self.within(where, values["length"].clamp(max=self.longest), values["steps"].shape[1])
        return {**values, "steps": values["steps"].masked_fill(hidden.unsqueeze(-1), 0.0)}

    def answers(self, values: Values) -> Tensor:
        """Means of the features of each segment."""
        return self.means(values["steps"], values["length"].clamp(max=self.longest))


def reads_waveform(encoder: Any) -> bool:
    """Whether an audio backbone takes samples: AST's ``input_values`` are frames."""
    backbone = encoder.backbone
    return backbone.main_input_name == "input_values" and not hasattr(backbone.config, "num_mel_bins")


def waveform_of(values: Values) -> str:
    """The name of the waveform among a recording's tensors."""
    return "waveform" if "waveform" in values else "input_values"


def floats(pixels: Tensor) -> Tensor:
    """Pixels from -1 to 1; floats of a checkpoint's own processor stay unchanged."""
    return pixels if pixels.is_floating_point() else pixels.float() / 127.5 - 1


def grey(pixels: Tensor) -> float:
    """The value halfway between black and white."""
    return 0.0 if pixels.is_floating_point() else 128
