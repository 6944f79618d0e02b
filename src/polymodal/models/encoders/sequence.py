"""Sequences of features extracted before: a Transformer over stretches of steps, or a picture network."""

from __future__ import annotations

import inspect
import math
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.data.readers import Reader, SequenceReader
from polymodal.errors import ConfigError
from polymodal.models.encoders.augment.signals import equalize, mask_stretches, stretch
from polymodal.models.encoders.backbone import (
    SMALL_BERT,
    SMALL_RESNET,
    BackboneEncoder,
    hidden_shape,
    known_sizes,
)
from polymodal.models.encoders.base import ENCODERS, EncoderRequest, pool_sequence
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings


@ENCODERS.register("sequence")
class SequenceEncoder(BackboneEncoder):
    """Steps of features to one vector a stretch of time: ``SequenceEncoder(features=64, length=300)``.

    A text backbone reads stretches of ``patch`` steps, each projected to its width as ViT does with patches
    of pixels (Dosovitskiy et al. 2021, equation 1); nothing is supposed of the features' order. A vision
    backbone reads the steps as a picture of one channel and fixed length, which suits features whose
    neighbours are alike, such as mel bins.

    Args:
        backbone: A model type that takes ``inputs_embeds`` or pictures; by default a small bidirectional
            Transformer (BERT). See :class:`BackboneEncoder`.
        features: Features per step.
        length: Most steps of a sequence; a vision backbone reads all at this length.
        patch: Steps that a text backbone reads as one; by default so many that ``tokens`` stretches are left.
        masking: In training, widest stretch of steps and of features that is masked, as a share
            (SpecAugment, Park et al. 2019); 0 masks nothing.
        warp: In training, how far time is stretched, as a share; for a vision backbone the features too.
        equalize: In training, deviation of random gains over the features, in that of the features, for a
            vision backbone; 0 changes nothing.
    """

    modality = "sequence"
    READS = ("input_ids", "pixel_values")
    reads_checkpoints = False
    DEFAULT_TYPE = "bert"
    DEFAULT_SIZES = SMALL_BERT

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        features: int = 64,
        length: int = 256,
        tokens: int = 64,
        patch: int | None = None,
        masking: float = 0.0,
        warp: float = 0.0,
        equalize: float = 0.0,
        **options: Any,
    ) -> None:
        _require_positive(features=features, length=length, patch=1 if patch is None else patch)
        patch = patch or math.ceil(length / tokens)
        if not isinstance(backbone, dict):
            options = self._own_sizes(backbone, math.ceil(length / patch)) | options
        super().__init__(backbone, tokens=tokens, **options)
        self.features, self.length, self.patch = features, length, patch
        self.masking, self.warp, self.equalize = masking, warp, equalize
        self.reads_picture = self.backbone.main_input_name == "pixel_values"
        if equalize and not self.reads_picture:
            reason = f"equalize is {equalize}, and a model of type '{self.config.model_type}'"
            raise ConfigError(f"{reason} supposes no order of the features. Leave it out, or give resnet")
        if self.reads_picture:
            self.width = self._picture_width()
        else:
            self.width = self.config.get_text_config().hidden_size
            self.project = nn.Linear(patch * features, self._leave_out_words())
        self.norm = nn.LayerNorm(self.width)

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> SequenceEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, SequenceReader)
        options = {**request.config.changes, "masking": request.masking, **request.common}
        return cls(request.backbone, features=reader.features, length=reader.length, **options)

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        names = ("features", "length", "patch", "masking", "warp", "equalize")
        return super().settings() | {name: getattr(self, name) for name in names}

    def forward(self, *, row: Tensor, steps: Tensor, length: Tensor) -> TokenSequence:
        """Encode ``steps`` ``(items, steps, features)``, of which ``length`` ``(items,)`` are content.

        Raises:
            ValueError: If there is another number of features.
        """
        if steps.shape[2] != self.features:
            raise ValueError(f"expected {self.features} features, got {steps.shape[2]}")
        length = length.clamp(max=self.length)
        steps = steps[:, : self.length].to(self.dtype)
        if self.reads_picture:  # always of one size: convolutions see what lies behind the content
            steps = F.pad(steps, (0, 0, 0, self.length - steps.shape[1]))
        if self.varies:
            steps, length = self._augment(steps, length)
        steps = steps * first(length, steps.shape[1]).unsqueeze(-1)
        hidden, mask = (self._picture if self.reads_picture else self._stretches)(steps, length)
        tokens, mask = pool_sequence(self.norm(hidden), mask, self.tokens)
        return TokenSequence(tokens, mask, row, (tokens.shape[1],))

    def _augment(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The steps as another source would give them, and how many of them are content now."""
        if self.equalize:
            steps = equalize(steps, first(length, steps.shape[1]), self.equalize)
        if self.warp:
            steps, faster = stretch(steps, self.warp, bins=self.reads_picture)
            length = (length / faster).ceil().long().clamp(max=steps.shape[1])
        if self.masking:
            steps = mask_stretches(steps, self.masking, length)
        return steps, length

    def _picture(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """A picture of one channel whose columns are steps, to a vector a column that the backbone leaves."""
        hidden = self.backbone(pixel_values=steps.transpose(1, 2).unsqueeze(1)).last_hidden_state
        hidden = hidden.flatten(1, 2).transpose(1, 2)  # what is left of the features goes into the width
        columns = (length / self.length * hidden.shape[1]).ceil().clamp(1, hidden.shape[1])
        return hidden, first(columns, hidden.shape[1])

    def _stretches(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Each stretch of ``patch`` steps as one embedding, to a vector each."""
        steps = F.pad(steps, (0, 0, 0, -steps.shape[1] % self.patch))
        stretches = steps.unflatten(1, (-1, self.patch)).flatten(2)
        mask = first((length / self.patch).ceil(), stretches.shape[1])
        embeds = self.project(stretches)
        return self.backbone(inputs_embeds=embeds, attention_mask=mask.long()).last_hidden_state, mask

    @classmethod
    def _own_sizes(cls, backbone: str | os.PathLike[str] | None, stretches: int) -> Settings:
        """Required settings of a backbone from scratch: no vocabulary, enough positions, one channel."""
        kind = cls.scratch_type(backbone)
        if kind is None:
            fix = "Give a model type such as bert or resnet, and its sizes"
            raise ConfigError(f"'{backbone}' is a checkpoint, and none reads features. {fix}")
        known = known_sizes(kind)
        if "vocab_size" not in known:
            sizes = SMALL_RESNET if kind == "resnet" else {}
            return {"num_channels": 1, **sizes} if "num_channels" in known else {}
        # RoBERTa counts positions from the padding token's number on.
        own = {"vocab_size": 1, "pad_token_id": 0, "max_position_embeddings": stretches + 1}
        return {name: value for name, value in own.items() if name in known or name == "pad_token_id"}

    def _leave_out_words(self) -> int:
        """The width that the backbone's words have; they are never read and do not learn.

        Raises:
            ConfigError: If the backbone reads nothing but words.
        """
        kind = self.config.model_type
        if "inputs_embeds" not in inspect.signature(self.backbone.forward).parameters:
            raise ConfigError(f"a model of type '{kind}' takes no features. Give another, such as bert")
        words = self.backbone.get_input_embeddings()
        words.requires_grad_(False)
        unread = [name for name, weight in self.backbone.named_parameters() if weight is words.weight]
        self.never_learn = [*self.never_learn, *unread]
        return int(words.weight.shape[1])  # type: ignore

    def _picture_width(self) -> int:
        """Channels times the rows that the backbone leaves of the features, found by running it once."""
        shape = hidden_shape(self.backbone, (1, 1, self.features, self.length))
        if len(shape) != 4:
            kind, fix = self.config.model_type, "Convolutional types such as resnet can"
            raise ConfigError(f"a model of type '{kind}' cannot read features as a picture. {fix}")
        return shape[1] * shape[2]


def first(count: Tensor, size: int) -> Tensor:
    """``(items, size)`` bool, true on the first ``count`` ``(items,)`` places."""
    return torch.arange(size, device=count.device) < count.unsqueeze(1)


def _require_positive(**counts: int) -> None:
    """Refuse counts that are none.

    Raises:
        ConfigError: If one is below 1.
    """
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} is {value!r}, expected a whole number of at least 1")
