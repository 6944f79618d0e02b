"""The base of encoders: tensors of one input's items in, a token sequence out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.config import InputConfig
from polymodal.data.readers.base import Reader
from polymodal.errors import ConfigError, RunError
from polymodal.models.encoders.tuning import hold_around
from polymodal.models.outputs import TokenSequence
from polymodal.utils.deprecated import deprecated_alias
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry, accepted


class Encoder(nn.Module):
    """Base of all encoders; a subclass declares its ``modality``, ``width`` and constructor settings.

    Attributes:
        modality: What it reads; it decides which tensors :meth:`forward` is given.
        axes: Number of dimensions its tokens lie in: 1 for text and sound, 2 for pictures, 3 for clips.
        width: Width of its tokens.
        tokens: Most tokens an item gives.
        pretrained: Whether its weights come from a checkpoint (they then learn at their own rate).
        frozen: Whether its weights stay as they are.
        augments: Whether training may change what it reads, if it was built to.
        even: Whether every item gives as many tokens.
        each: How many these are, once it is known.
        categories: Number of names of which it has a row each; 0 where it has none.
        takes_backbone: Whether it is built around a model of Transformers.
        reads_checkpoints: Whether such a model may be a pretrained one.
        revision: Of its computation: another one where equal weights and settings give other tokens than
            before, so that tokens that were kept are not used again.
    """

    modality: ClassVar[str]
    axes: ClassVar[int] = 1
    width: int
    tokens: int = 1
    pretrained: bool = False
    frozen: bool = False
    augments: bool = True
    even: ClassVar[bool] = False
    each: int | None = None
    categories: int = 0
    takes_backbone: ClassVar[bool] = False
    reads_checkpoints: ClassVar[bool] = False
    revision: ClassVar[str] = ""

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> Encoder:
        """The encoder of what a reader reads; by default see :meth:`by_arguments`."""
        return cls.by_arguments(reader, request)

    @classmethod
    def by_arguments(cls, reader: Reader, request: EncoderRequest) -> Encoder:
        """The encoder, built from the reader's and the input's settings that its constructor takes.

        Raises:
            ConfigError: If the constructor refuses an option.
        """
        known = {name: getattr(reader, name) for name in READ_SETTINGS if hasattr(reader, name)}
        known |= {"categories": len(getattr(reader, "categories", ())), "tokenizer": reader.part}
        known |= {"tokens": request.config.tokens, **request.config.changes, **tuning(request.config)}
        wanted, options = accepted(cls), dict(request.options)
        try:
            return cls(**{name: value for name, value in known.items() if name in wanted} | options)
        except TypeError as error:
            raise ConfigError(f"the encoder '{ENCODERS.name_of(cls)}' refuses {options}: {error}") from None

    @classmethod
    def check_changes(cls, config: InputConfig) -> None:
        """Refuse augmentation of an input that the encoder declared for it cannot apply.

        Raises:
            ConfigError: If it cannot.
        """

    @property
    def reader_settings(self) -> Settings:
        """Settings that the reader of its inputs has to take over, such as the size of a checkpoint."""
        return {}

    def forward(self, *args: Any, **values: Any) -> TokenSequence:
        """Encode one input's items: ``row`` ``(items,)``, the row of each, and tensors by keyword."""
        raise TypeError(f"{type(self).__name__} has no forward of its own")

    def settings(self) -> Settings:
        """The keyword arguments, JSON values all, that build this encoder again (without its weights)."""
        raise TypeError(f"{type(self).__name__} does not define its settings")

    def count(self, *args: Any, **values: Any) -> Tensor:
        """How many tokens each item gives ``(items,)``, of one item or more as :meth:`forward` takes them."""
        if not self.even:
            return self._run_to_count(values)
        if self.each is None:
            self.each = int(self._run_to_count({name: value[:1] for name, value in values.items()}))
        first = next(iter(values.values()))
        return torch.full((len(first),), self.each, device=first.device)

    @torch.no_grad()
    def _run_to_count(self, values: Mapping[str, Tensor]) -> Tensor:
        learns, first = self.training, next(iter(values.values()))
        self.eval()
        try:
            return self(row=torch.arange(len(first), device=first.device), **values).mask.sum(dim=1)
        finally:
            self.train(learns)

    @property
    def varies(self) -> bool:
        """Whether :meth:`forward` changes its tensors at random now."""
        return self.training and self.augments

    def train(self, mode: bool = True) -> Encoder:
        """Training mode, save for what is frozen and for statistics that came with a checkpoint."""
        learns = mode and not self.frozen
        super().train(learns)
        for module in self.modules() if learns else ():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


@contextmanager
def no_augmentation(module: nn.Module) -> Iterator[None]:
    """Disable augmentation in all encoders of ``module`` inside the block, in training mode too.

    A loss that reconstructs its input needs this: an image cannot be rebuilt from another crop of it.
    """
    augmenting = [part for part in module.modules() if isinstance(part, Encoder) and part.augments]
    for encoder in augmenting:
        encoder.augments = False
    try:
        yield
    finally:
        for encoder in augmenting:
            encoder.augments = True


as_it_is = deprecated_alias("as_it_is", no_augmentation)

SHIFT, MASKING = 0.08, 0.15
"""How far ``augment`` moves pictures and clips, and how much of recordings and sequences it masks: shares."""


@dataclass(frozen=True)
class EncoderRequest:
    """The settings of an encoder that a declaration requests for an input.

    Attributes:
        config: The input's settings.
        backbone: A checkpoint, a model type, the configuration of one, or None for the default.
        options: The sizes given beside it.
        pretrained: Whether the weights come from a checkpoint.
    """

    config: InputConfig
    backbone: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    pretrained: bool = False

    @property
    def common(self) -> Settings:
        """The arguments that all encoders with a backbone take."""
        return {"tokens": self.config.tokens, **tuning(self.config), **self.options}

    @property
    def shift(self) -> float:
        """How far training moves pictures and clips."""
        return SHIFT if self.config.augment and not self.pretrained else 0.0

    @property
    def masking(self) -> float:
        """How much of a recording or a sequence training masks."""
        usual = MASKING if self.config.augment and not self.pretrained else 0.0
        return usual if self.config.masking is None else self.config.masking


def tuning(config: InputConfig) -> Settings:
    """The arguments of a pretrained encoder that choose which of its weights are trained."""
    lora = config.lora.model_dump() if config.lora else None
    return {"freeze": config.freeze, "lora": lora, "unfreeze_last": config.unfreeze_last}


READ_SETTINGS = ("features", "length", "size", "frames", "rate", "seconds", "max_length")
"""Settings of readers that an encoder's constructor may take by the same names."""


ENCODERS: Registry[type[Encoder]] = Registry("encoder", group="polymodal.encoders", base=Encoder)


def build_encoder(settings: dict[str, Any]) -> Encoder:
    """The encoder that ``{"kind": …, **encoder.settings()}`` describes, with fresh weights.

    Raises:
        RunError: If its backbone is a name, which would be fetched, and not a configuration.
    """
    settings = dict(settings)
    if isinstance(settings.get("backbone"), str):
        raise RunError(f"the backbone '{settings['backbone']}' is a name, expected its configuration")
    return hold_around(ENCODERS[settings.pop("kind")](**settings))


def encoder_settings(encoder: Encoder) -> Settings:
    """The settings that :func:`build_encoder` takes to build this encoder again."""
    name = ENCODERS.name_of(type(encoder))
    if name is None:
        kind = type(encoder).__name__
        raise ValueError(f"{kind} is not registered: decorate it with ENCODERS.register(name)")
    return {"kind": name, **encoder.settings()}


def single_tokens(tokens: Tensor, row: Tensor) -> TokenSequence:
    """``tokens`` ``(items, width)`` as sequences of length one."""
    mask = torch.ones(tokens.shape[0], 1, dtype=torch.bool, device=tokens.device)
    return TokenSequence(tokens.unsqueeze(1), mask, row, (1,))


def pool_sequence(tokens: Tensor, mask: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Shorten sequences above ``limit`` tokens, each by its own length, by even means.

    The result of an item does not depend on how far it was padded.

    Args:
        tokens: ``(items, length, width)``.
        mask: ``(items, length)``, true on content, content first.
        limit: Most tokens an item may keep.

    Returns:
        tokens ``(items, at most limit, width)`` and their mask.
    """
    if torch.compiler.is_exporting():  # an exported graph has one branch, for every length
        limit = torch.sym_min(limit, tokens.shape[1])
    elif tokens.shape[1] <= limit:
        return tokens, mask
    length = mask.sum(dim=1, keepdim=True).clamp(min=1)  # (items, 1)
    index = torch.arange(tokens.shape[1], device=tokens.device).expand_as(mask)
    slot = torch.where(length > limit, index * limit // length, index).clamp(max=limit - 1)
    weight = mask.to(tokens.dtype)
    count = tokens.new_zeros(tokens.shape[0], limit).scatter_add(1, slot, weight)
    total = tokens.new_zeros(tokens.shape[0], limit, tokens.shape[2])
    total = total.scatter_add(1, slot.unsqueeze(-1).expand_as(tokens), tokens * weight.unsqueeze(-1))
    return total / count.clamp(min=1).unsqueeze(-1), count > 0


def pool_grid(features: Tensor, limit: int) -> tuple[Tensor, tuple[int, int]]:
    """Pool ``features`` ``(items, width, rows, columns)`` evenly to at most ``limit`` tokens.

    Returns:
        tokens ``(items, length, width)`` and their grid.
    """
    rows, columns = features.shape[2:]
    if rows * columns > limit:
        shrink = math.sqrt(limit / (rows * columns))
        rows = max(1, min(limit, int(rows * shrink)))
        columns = max(1, min(limit // rows, int(columns * shrink)))
        features = F.adaptive_avg_pool2d(features, (rows, columns))
    return features.flatten(2).transpose(1, 2), (rows, columns)


def pool_clip(features: Tensor, limit: int) -> tuple[Tensor, tuple[int, ...]]:
    """Pool ``features`` ``(items, width, frames, rows, columns)`` evenly to at most ``limit`` tokens.

    The dimension that would keep the largest share of itself is shortened first, one place at a time.

    Returns:
        tokens ``(items, length, width)`` and their grid.
    """
    whole = features.shape[2:]
    grid = list(whole)
    while math.prod(grid) > limit:
        shares = [((size - 1) / full, size) for size, full in zip(grid, whole, strict=True)]
        grid[shares.index(max(shares))] -= 1
    if grid != list(whole):
        features = _pool_to(features, grid[0], grid[1], grid[2])
    return features.flatten(2).transpose(1, 2), tuple(grid)


def _pool_to(features: Tensor, frames: int, rows: int, columns: int) -> Tensor:
    """Even means of ``(items, width, frames, rows, columns)`` over as many cells as named."""
    if not torch.compiler.is_exporting():
        return F.adaptive_avg_pool3d(features, (frames, rows, columns))
    # The same in two steps: exporters know the mean over two dimensions alone.
    pictures = F.adaptive_avg_pool2d(features.flatten(1, 2), (rows, columns))
    clips = pictures.unflatten(1, features.shape[1:3]).flatten(3, 4)
    return F.adaptive_avg_pool2d(clips, (frames, rows * columns)).unflatten(3, (rows, columns))
