"""Attribution sites: the tensors of an input that integrated gradients interpolates.

Independent of the architecture. Of a reader's tensors floats are varied themselves;
whole numbers that the encoder looks up in a table of embeddings are varied behind that table; pixels in whole
numbers are varied as the floats of which the encoder makes the same tokens; and sound that the encoder turns
into log-mel is varied there, for log-mel is scaled to one loudness and hears no half-loud recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from polymodal.attribution.baselines import baseline_values
from polymodal.data.readers import Reader
from polymodal.models.base import encode
from polymodal.models.encoders import Encoder
from polymodal.models.encoders.mel import LogMel
from polymodal.models.outputs import TokenSequence

FRAMES = (LogMel,)
"""Modules of an encoder whose first output is varied instead of the waveform."""
HELD = ("row", "length")
"""Tensors of positions and lengths, which are not varied; nor are those named ``…mask…``."""
SCALES: tuple[tuple[float, float], ...] = ((127.5, -1.0), (255.0, 0.0), (1.0, 0.0))
"""Divisor and shift: floats that an encoder may make of pixels in whole numbers."""

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Inlet:
    """One attribution site: a tensor of one input of one row that is varied.

    Attributes:
        name: Of the input.
        key: The reader's tensor that it represents.
        kind: ``values`` (that tensor itself), ``frames`` (log-mel made of it) or ``embedding`` (its rows of a
            table of embeddings).
        value: ``(items, …)`` the row's values.
        baseline: The baseline values, of the same shape.
        module: Whose output is replaced; None for ``values``.
    """

    name: str
    key: str
    kind: str
    value: Tensor
    baseline: Tensor
    module: nn.Module | None = None


def find_inlets(name: str, encoder: Encoder, reader: Reader, values: Values) -> tuple[list[Inlet], str]:
    """The attribution sites of one input of a row, and in one line why there is none.

    Args:
        name: Of the input.
        encoder: That reads it.
        reader: That made ``values``; its blank item is the baseline.
        values: The input's tensors, ``(items, …)`` each, on the encoder's device.
    """
    inlets: list[Inlet] = []
    blank = baseline_values(reader, values)
    for key in values:
        if key in HELD or "mask" in key:
            continue
        inlet = _inlet(name, key, encoder, values, {**values, key: blank[key]})
        if inlet is not None:
            inlets.append(inlet)
    if not inlets:
        keys = ", ".join(f"'{key}'" for key in values if key not in HELD and "mask" not in key)
        return (
            [],
            f"no map: its encoder takes {keys} in whole numbers, and looks them up in no table of vectors",
        )
    learned = [
        inlet for inlet, passes in zip(inlets, _passes(encoder, values, inlets), strict=True) if passes
    ]
    if not learned:
        return [], "no map: its encoder lets no gradient through to what it reads"
    return learned, ""


def _inlet(name: str, key: str, encoder: Encoder, values: Values, blank: Values) -> Inlet | None:
    tensor = values[key]
    if key == "waveform":
        for module in (part for part in encoder.modules() if isinstance(part, FRAMES)):
            there, gone = (_outputs(encoder, given, [module])[module] for given in (values, blank))
            return Inlet(name, key, "frames", there[0][0], gone[0][0], module)
    if tensor.is_floating_point():
        return Inlet(name, key, "values", tensor, blank[key])
    return _looked_up(name, key, encoder, values, blank) or _scaled(name, key, encoder, values, blank)


def _looked_up(name: str, key: str, encoder: Encoder, values: Values, blank: Values) -> Inlet | None:
    """The table of embeddings that ``values[key]`` goes through, if there is one."""
    tables = [part for part in encoder.modules() if isinstance(part, nn.Embedding)]
    seen = _outputs(encoder, values, tables, values[key])
    for module in tables:
        if module in seen:
            gone = _outputs(encoder, blank, [module], blank[key])[module]
            return Inlet(name, key, "embedding", seen[module][0], gone[0], module)
    return None


def _scaled(name: str, key: str, encoder: Encoder, values: Values, blank: Values) -> Inlet | None:
    """Whole numbers as the floats of which the encoder makes the same tokens, if it takes any."""
    if values[key].dtype != torch.uint8:
        return None
    with torch.no_grad():
        wanted = encode(encoder, values).tokens
        for divisor, shift in SCALES:
            there, gone = (given[key].to(wanted.dtype) / divisor + shift for given in (values, blank))
            tokens = encode(encoder, {**values, key: there}).tokens
            if torch.allclose(tokens, wanted, rtol=1e-3, atol=1e-4):
                return Inlet(name, key, "values", there, gone)
    return None


@torch.no_grad()
def _outputs(
    encoder: Encoder, values: Values, modules: Sequence[nn.Module], ids: Tensor | None = None
) -> dict[nn.Module, list[Any]]:
    """The outputs of ``modules`` as ``encoder`` runs; with ``ids`` only of calls with these as the input."""
    seen: dict[nn.Module, list[Any]] = {}

    def look(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        if ids is None:
            seen.setdefault(module, []).append(output)
            return
        turned = _turned(given[0] if given else None, ids)
        if turned is not None and isinstance(output, Tensor) and output.is_floating_point():
            seen.setdefault(module, []).append(_content(output, ids, turned))

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(look).remove)
        encode(encoder, values)
    return seen


def _turned(given: Any, ids: Tensor) -> bool | None:
    """Whether ``given`` holds ``ids`` transposed (XLNet); None where it does not hold them at all.

    Longformer and others pad their tokens further: positions behind ``ids`` are ignored.
    """
    if not isinstance(given, Tensor) or given.ndim != ids.ndim:
        return None
    first = given[..., : ids.shape[-1]] if ids.ndim > 1 else given
    if torch.equal(first, ids):
        return False
    return True if ids.ndim == 2 and torch.equal(given, ids.T) else None


def _content(output: Tensor, ids: Tensor, turned: bool) -> Tensor:
    """A table's output as ``(items, …, width)`` without the encoder's own padding."""
    output = output.transpose(0, 1) if turned else output
    return output[:, : ids.shape[1]] if ids.ndim == 2 else output


@contextmanager
def replaced(inlet: Inlet, point: Tensor, ids: Tensor) -> Iterator[None]:
    """A context in which ``inlet``'s module returns ``point`` ``(items, …)`` for ``ids``."""

    def exchange(_: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        if inlet.kind == "frames":
            return (point, *output[1:])
        turned = _turned(given[0] if given else None, ids)
        if turned is None:
            return None
        behind = (output.transpose(0, 1) if turned else output)[:, ids.shape[1] :] if ids.ndim == 2 else None
        whole = point if behind is None or not behind.shape[1] else torch.cat([point, behind], dim=1)
        return whole.transpose(0, 1) if turned else whole

    handle = cast(nn.Module, inlet.module).register_forward_hook(exchange)
    try:
        yield
    finally:
        handle.remove()


def encode_at(
    encoder: Encoder, values: Values, inlets: Sequence[Inlet], points: Sequence[Tensor], steps: int
) -> TokenSequence:
    """Tokens of one row's input at ``steps`` points of the path, as a batch of ``steps`` rows.

    Args:
        encoder: Of the input.
        values: The input's tensors, ``(items, …)`` each.
        inlets: Of this input.
        points: For each inlet ``(steps, items, …)``.
        steps: Number of points.
    """
    items = len(values["row"])
    given = {key: tensor.repeat(steps, *[1] * (tensor.ndim - 1)) for key, tensor in values.items()}
    given["row"] = torch.arange(steps, device=values["row"].device).repeat_interleave(items)
    with ExitStack() as stack:
        for inlet, point in zip(inlets, points, strict=True):
            if inlet.kind == "values":
                given[inlet.key] = point.flatten(0, 1)
            else:
                stack.enter_context(replaced(inlet, point.flatten(0, 1), given[inlet.key]))
        return encode(encoder, given)


def _passes(encoder: Encoder, values: Values, inlets: Sequence[Inlet]) -> list[bool]:
    """For each of ``inlets`` whether the tokens have a gradient to it."""
    points = [inlet.value.detach().clone().unsqueeze(0).requires_grad_() for inlet in inlets]
    tokens = encode_at(encoder, values, inlets, points, 1).tokens
    if not tokens.requires_grad:
        return [False] * len(inlets)
    return [grad is not None for grad in torch.autograd.grad(tokens.sum(), points, allow_unused=True)]
