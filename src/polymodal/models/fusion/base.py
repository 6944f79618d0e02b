"""What every fusion is: the embedded inputs in, one state out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.outputs import EmbeddedInput, FusedState
from polymodal.utils.registry import Registry


class Fusion(nn.Module):
    """Base of all fusions; a subclass takes the names of the inputs, the width and its own options.

    Attributes:
        gives_tokens: Whether :class:`FusedState` holds tokens; what needs them refuses a fusion without.
    """

    gives_tokens: ClassVar[bool] = False

    def __init__(self, inputs: Sequence[str], *, width: int) -> None:
        super().__init__()
        self.inputs, self.width = list(inputs), width

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse ``embedded``, which holds every input in declared order."""
        raise TypeError(f"{type(self).__name__} has no forward of its own")


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
            try:
                self.fusion = FUSIONS[self.name](inputs, width=self.width, **self.options)
            except (TypeError, ValueError, AssertionError, RuntimeError) as error:
                given = {"width": self.width, **self.options}
                raise ConfigError(f"the fusion '{self.name}' cannot be built with {given}: {error}") from None
        return self

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """See :meth:`Fusion.forward`.

        Raises:
            ValueError: If the inputs were never named.
        """
        if self.fusion is None:
            raise ValueError(f"FeatureFusion('{self.name}') does not know its inputs yet: call bind(names)")
        return self.fusion(embedded)


def check_options(name: str, options: Iterable[str]) -> None:
    """Refuse what the fusion ``name`` has no option for.

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
    """All inputs' tokens in one row, ``(batch, length, width)``, their mask, and where each input lies."""
    spans, start = {}, 0
    for name, entry in embedded.items():
        spans[name] = slice(start, start + entry.tokens.shape[1])
        start += entry.tokens.shape[1]
    tokens = torch.cat([entry.tokens for entry in embedded.values()], dim=1)
    mask = torch.cat([entry.mask for entry in embedded.values()], dim=1)
    return tokens, mask, spans


def require_positive(**options: int) -> None:
    """Refuse counts below one, with which a fusion would not see its inputs.

    Raises:
        ValueError: If one of them is.
    """
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")


def require_heads(width: int, heads: int) -> None:
    """Refuse attention heads that do not share the width evenly.

    Raises:
        ValueError: If they do not.
    """
    if heads < 1 or width % heads:
        raise ValueError(f"{heads} heads do not divide the width {width}")


def transformer_layer(width: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    """A pre-norm Transformer layer with GELU; its feed-forward part is twice as wide.

    Raises:
        ValueError: If the heads do not divide the width.
    """
    require_heads(width, heads)
    return nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )
