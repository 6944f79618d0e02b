"""A recommended pretrained encoder for each input that requests one, settled before training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Literal

from pydantic import ValidationError

from polymodal.config import Declaration, InputConfig, LoraSettings
from polymodal.config.encoders import AUTO
from polymodal.errors import ConfigError
from polymodal.pretrained.finding import Found, fetched, how_to_get, on_this_machine, settle
from polymodal.pretrained.language import languages_of
from polymodal.pretrained.recommended import Recommended, recommended

Preset = Literal["good", "best"]
LAST_LAYERS, RANK = 3, 16
"""LoRA of target-aware encoders: rank 16 in the last three layers (MulTaBench, arXiv 2605.10616)."""


def choose_encoders(
    declaration: Declaration,
    texts: Callable[[str], Iterable[str]],
    announce: Callable[[str], None],
    *,
    known: Collection[str] = (),
    earlier: Mapping[str, InputConfig] | None = None,
) -> list[str]:
    """Give inputs a recommended encoder: those with ``encoder: auto``, or all under ``train.encoders``.

    The first that is on this machine is taken, else the first that can be downloaded; for ``tuned`` else one
    that is on this machine and is not tuned, frozen; else the input is read by an encoder from scratch.

    Args:
        declaration: Its inputs are replaced.
        texts: By the name of a text input, its texts.
        announce: Shows a line at once, such as the size of a download.
        known: Inputs whose encoder comes from an earlier run; they keep it.
        earlier: Inputs of the run that is resumed: what was chosen then is taken again.

    Returns:
        A note per input: what was taken, or what reading from scratch probably costs.

    Raises:
        ConfigError: If ``encoder: auto`` is declared where it cannot apply.
    """
    preset: Preset = "best" if declaration.train.encoders == "tuned" else "good"
    notes = []
    for name, entry in declaration.inputs.items():
        if name in known or not _requests(name, entry, declaration):
            continue
        bare = entry.model_copy(update={"encoder": None})
        if earlier and name in earlier:
            chosen = {key: getattr(earlier[name], key) for key in ("encoder", "freeze", "lora")}
            declaration.inputs[name] = entry.model_copy(update=chosen)
            _settle_again(earlier[name])
            continue
        languages = languages_of(texts(name)) if entry.modality == "text" else ""
        suited = recommended(entry.modality, preset=preset, languages=languages)
        result = _first(suited, announce)
        used: Preset = preset
        if result is None and preset == "best":
            result, used = _first_here(recommended(entry.modality, languages=languages)), "good"
        try:
            declaration.inputs[name] = with_encoder(bare, result, preset=used) if result else bare
            frozen = ", frozen: none that is tuned is on this machine" if used != preset else ""
            notes.append(_note(name, entry, result, suited) + (frozen if result else ""))
        except ConfigError as error:
            if entry.encoder:
                raise ConfigError(f"inputs.{name}: {error}") from None
            notes.append(f"'{name}': read by an encoder from scratch, for {error}")
    return notes


def with_encoder(entry: InputConfig, result: Found, *, preset: Preset = "good") -> InputConfig:
    """An input with a pretrained encoder: frozen for ``good``, tuned for ``best``.

    An input that declares ``lora`` or ``unfreeze_last`` keeps it.

    Args:
        entry: Of any settings.
        result: The encoder.
        preset: ``good`` or ``best``.

    Raises:
        ConfigError: If a setting of the input excludes such an encoder.
    """
    values = entry.model_dump() | {"encoder": {"checkpoint": result.checkpoint}}
    if not (entry.lora or entry.unfreeze_last):
        values |= {"freeze": True} if preset == "good" else {"lora": tuning().model_dump()}
    try:
        chosen = InputConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from None
    settle(result)
    return chosen


def tuning(*, layers: int = LAST_LAYERS, rank: int = RANK) -> LoraSettings:
    """Settings that tune a pretrained encoder to the target: LoRA in its last layers.

    Args:
        layers: Number of layers, counted from the last.
        rank: Rank of each adapter; its part is scaled by one.
    """
    return LoraSettings(rank=rank, alpha=float(rank), last=layers)


def _requests(name: str, entry: InputConfig, declaration: Declaration) -> bool:
    """Whether an input is to get a recommended encoder.

    Raises:
        ConfigError: If it requests one by name and the table has none of its modality.
    """
    has_some = bool(recommended(entry.modality))
    if entry.encoder and entry.encoder.type == AUTO:
        if not has_some:
            reason = f"no pretrained encoder for {entry.modality} is recommended"
            raise ConfigError(f"inputs.{name}.encoder is 'auto', and {reason}. Leave it out")
        return True
    return has_some and entry.encoder is None and declaration.train.encoders in ("auto", "tuned")


def _first(suited: Iterable[Recommended], announce: Callable[[str], None]) -> Found | None:
    """The first encoder on this machine, else the first that can be downloaded."""
    listed = list(suited)
    away = (fetched(encoder, announce) for encoder in listed)
    return _first_here(listed) or next(filter(None, away), None)


def _first_here(suited: Iterable[Recommended]) -> Found | None:
    """The first encoder on this machine."""
    return next(filter(None, map(on_this_machine, suited)), None)


def _settle_again(entry: InputConfig) -> None:
    """Spare the hub a request for an encoder of the table that an earlier leg has fetched."""
    checkpoint = entry.encoder.checkpoint if entry.encoder else None
    for encoder in recommended(entry.modality) + recommended(entry.modality, preset="best"):
        result = on_this_machine(encoder) if checkpoint and encoder.hub == checkpoint else None
        if result and result.checkpoint == checkpoint:
            settle(result)


def _note(name: str, entry: InputConfig, result: Found | None, suited: list[Recommended]) -> str:
    if result:
        source = {"package": "of an installed package", "folder": "of POLYMODAL_MODELS"}
        where = source.get(result.source, "of the hub's cache")
        return f"'{name}': read by the pretrained encoder {result.encoder.name} {where}"
    cost = "with few rows probably 15 points of accuracy or more"
    get = how_to_get(suited[0])
    return f"'{name}': read by an encoder from scratch, which costs {cost}. To get a pretrained one: {get}"
