"""Base of the fusions: the embedded inputs in, one fused state out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.outputs import EmbeddedInput, FusedState
from polymodal.utils.registry import Registry


class Fusion(nn.Module):
    """Base of all fusions; a subclass takes the names of the inputs, the width and its own options.

    Args:
        inputs: Names of the inputs, in declared order.
        width: Width of the embedded tokens and of the pooled state.

    Attributes:
        gives_tokens: Whether :class:`FusedState` holds tokens; objectives that need them refuse a fusion
            without.
        tensor_rules: Which weights a fit that fine-tunes from a run (``--from``) can copy when the set of
            inputs differs: by pattern of a tensor's name, the dimensions that have one block per input. In a
            pattern ``<input>`` is the index of an input, ``<source>`` the index of an input that it reads
            (where ``fusion.sources`` lists these), ``#`` any number and ``*`` any rest. A tensor without a
            pattern depends on all inputs at once and starts with fresh weights; so does every tensor of a
            fusion without rules. With the same inputs every tensor is copied, with or without rules.
    """

    gives_tokens: ClassVar[bool] = False
    tensor_rules: ClassVar[Mapping[str, tuple[int, ...]]] = {}

    def __init__(self, inputs: Sequence[str], *, width: int) -> None:
        super().__init__()
        self.inputs, self.width = list(inputs), width

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs of a batch.

        Args:
            embedded: Every input, in declared order: tokens ``(batch, length, width)``, their mask, and
                ``present`` ``(batch,)``. A row without an input holds one learned token there.

        Returns:
            The state: ``pooled`` ``(batch, width)``, and tokens if the fusion gives any.
        """
        raise TypeError(f"{type(self).__name__} has no forward of its own")

    @classmethod
    def check(cls, inputs: Sequence[str], *, width: int, **options: Any) -> None:
        """Check that the fusion can be built for these inputs, before any file is read.

        By default it is built without weights (on the ``meta`` device); override it to check more.

        Args:
            inputs: Names of the inputs, in declared order.
            width: The shared width.
            options: The fusion's own.

        Raises:
            ValueError: If it cannot be built; the message becomes a line for the user.
        """
        with torch.device("meta"):
            cls(inputs, width=width, **options)


FUSIONS: Registry[type[Fusion]] = Registry("fusion", group="polymodal.fusions", base=Fusion)


class FeatureFusion(nn.Module):
    """A fusion by name: ``FeatureFusion("bottleneck", width=256, layers=2)``.

    Args:
        name: A registered fusion.
        width: The shared width.
        inputs: Names of the inputs; may be given later by :meth:`bind` (``from_parts`` does).
        options: The fusion's own.

    Raises:
        ConfigError: If the name or an option is unknown.
    """

    def __init__(
        self, name: str = "transformer", *, width: int = 128, inputs: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__()
        self.name, self.width, self.options = name, width, options
        check_options(name, options)
        self.fusion: Fusion | None = None
        if inputs:
            self.bind(inputs)

    def bind(self, inputs: Sequence[str]) -> FeatureFusion:
        """Build the weights for ``inputs``."""
        if self.fusion is None or self.fusion.inputs != list(inputs):
            with self._as_config_error():
                self.fusion = FUSIONS[self.name](inputs, width=self.width, **self.options)
        return self

    def check(self, inputs: Sequence[str]) -> None:
        """Check that the fusion can be built for ``inputs``: see :meth:`Fusion.check`.

        Raises:
            ConfigError: If it cannot.
        """
        with self._as_config_error():
            FUSIONS[self.name].check(inputs, width=self.width, **self.options)

    @contextmanager
    def _as_config_error(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            settings = {"width": self.width, **self.options}
            raise ConfigError(f"the fusion '{self.name}' cannot be built with {settings}: {error}") from None

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs of a batch: see :meth:`Fusion.forward`.

        Raises:
            ValueError: If the inputs are not bound yet.
        """
        if self.fusion is None:
            raise ValueError(f"FeatureFusion('{self.name}') does not know its inputs yet: call bind(names)")
        return self.fusion(embedded)


def check_options(name: str, options: Iterable[str]) -> None:
    """Refuse options that the fusion ``name`` does not have.

    Raises:
        ConfigError: If there is no such fusion or option.
    """
    known = keyword_options(FUSIONS[name])
    for option in options:
        if option not in known:
            raise ConfigError(f"the fusion '{name}' has no option '{option}'. {did_you_mean(option, known)}")


def keyword_options(kind: type) -> list[str]:
    """The keyword-only options of a component's constructor, save the width."""
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "width"]


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean ``(batch, width)`` of ``tokens`` ``(batch, length, width)`` under ``mask`` ``(batch, length)``."""
    keep = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1)


def join(embedded: Mapping[str, EmbeddedInput]) -> tuple[Tensor, Tensor, dict[str, slice]]:
    """Concatenate the tokens of all inputs.

    Returns:
        tokens ``(batch, length, width)``, their mask ``(batch, length)``, and the slice of each input.
    """
    spans, start = {}, 0
    for name, entry in embedded.items():
        spans[name] = slice(start, start + entry.tokens.shape[1])
        start += entry.tokens.shape[1]
    tokens = torch.cat([entry.tokens for entry in embedded.values()], dim=1)
    mask = torch.cat([entry.mask for entry in embedded.values()], dim=1)
    return tokens, mask, spans


def require_positive(**options: int) -> None:
    """Check counts of layers, latents and the like.

    Raises:
        ValueError: If one is below 1.
    """
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")


def require_heads(width: int, heads: int) -> None:
    """Check that the attention heads divide the width.

    Raises:
        ValueError: If they do not.
    """
    if heads < 1 or width % heads:
        raise ValueError(f"{heads} heads do not divide the width {width}")


def transformer_layer(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    """A pre-norm Transformer layer with GELU; its feed-forward layer is twice as wide.

    Raises:
        ValueError: If the heads do not divide the width.
    """
    require_heads(width, heads)
    return nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )
