"""Settings that a declaration inherits from the run it fine-tunes: its inputs and its fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from polymodal.config import TUNING, EncoderConfig, InputConfig
from polymodal.config.generation import LanguageModelConfig
from polymodal.config.parsing import located, parse
from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError
from polymodal.training.warm_start.start import Start, require_common

BOUND = (
    "modality", "encoder", "share", "tokens", "size", "frames", "rate", "seconds", "max_length", "top_db",
    "length",
)  # fmt: skip
"""Settings of an input that its weights depend on; others may be changed."""


def take_over(
    start: Start,
    values: Mapping[str, Any],
    table: Table,
    *,
    targets: Sequence[str] = (),
    inputs: Sequence[str] = (),
    named: Sequence[str] = (),
    source: str = "",
    lines: Mapping[tuple, int] | None = None,
) -> dict[str, Any]:
    """Complete the sections of a declaration by the run's settings of inputs and fusion.

    Args:
        start: The run; its inputs that are not used are added to ``start.dropped``.
        values: The sections of the declaration; not changed.
        table: The training table.
        targets: Target columns, besides those declared.
        inputs: The only columns to read, if any.
        named: Inputs that only a setting names, which does not exclude others.
        source: Name of the declaration in messages.
        lines: Line of each key path.

    Returns:
        The completed sections.

    Raises:
        ConfigError: If an input contradicts its weights, or there are no common inputs.
    """
    lines = lines or {}
    declared, learnt = (_section(values.get(name)) for name in ("inputs", "targets"))
    if declared is None or learnt is None:
        return dict(values)  # of a wrong type: parse reports it
    for name in (name for name in start.inputs if name in declared):
        _refuse_other(start, name, declared[name], source, lines)
    everything = not inputs and set(declared) <= {*named}
    requested = list(inputs) or list(declared)
    taken, weight = {*targets, *learnt}, (_section(values.get("data")) or {}).get("sample_weight")
    start.dropped = {}
    chosen = []
    for name in start.inputs:
        if name in requested or (everything and name in table.columns and name not in {*taken, weight}):
            chosen.append(name)
        elif name in taken:
            start.dropped[name] = "a target now"
        elif name == weight:
            start.dropped[name] = "the weight of the rows now"
        elif name in table.columns:
            start.dropped[name] = "not among the inputs"
        else:
            start.dropped[name] = "not in the table"
    require_common(start, chosen, table.name)
    read = {name: inherited(start, name, declared.get(name)) for name in chosen}
    read |= {name: declared.get(name) for name in requested if name not in read}
    _refuse_unequal(start, read)
    return {**values, "inputs": read, "fusion": inherited_fusion(start, values.get("fusion"))}


def take_over_words(
    start: Start,
    values: dict[str, Any],
    declared: Mapping[str, Any],
    *,
    table: str,
    source: str = "",
    lines: Mapping[tuple, int] | None = None,
) -> None:
    """Complete a declaration of answers in words by the run: its inputs, and its language model.

    The language model is that of the run where none is declared.

    Args:
        start: The run; its inputs that are not read are kept in ``start.dropped``.
        values: The sections, with all inputs; changed in place.
        declared: The inputs as the user declared them.
        table: Name of the training table.
        source: What to call the declaration in a message.
        lines: Line of each key path.

    Raises:
        ConfigError: If an input is declared otherwise than its weights were trained, or nothing is in common.
    """
    for name in (name for name in start.inputs if name in declared):
        _refuse_other(start, name, declared[name], source, lines or {})
    read = {
        name: inherited(start, name, declared.get(name)) if name in start.inputs else entry
        for name, entry in values["inputs"].items()
    }
    start.dropped = {name: "not in the prompt" for name in start.inputs if name not in read}
    own = start.declaration.generation
    model = own and _language_model(values["generation"].get("language_model"), own.language_model)
    if own and model == own.language_model:
        start.speaks = True
        values["generation"] = values["generation"] | {"language_model": own.language_model.model_dump()}
    elif own is None or model is not None:
        require_common(start, list(read), table)
    _refuse_unequal(start, read)
    values["inputs"] = read


def _language_model(declared: Any, own: LanguageModelConfig) -> LanguageModelConfig | None:
    """The declared language model, by default that of the run; None for a wrong one, which parse refuses."""
    if not declared:
        return own
    try:
        return LanguageModelConfig.model_validate(declared)
    except ValidationError:
        return None


def inherited(start: Start, name: str, declared: Any) -> Any:
    """An input's settings: the run's, except for declared ones that may be changed."""
    if not isinstance(declared, Mapping | None):
        return declared
    chosen = {key: value for key, value in (declared or {}).items() if key not in BOUND}
    own = start.declaration.inputs[name].model_dump()
    if any(chosen.get(way) for way in TUNING):  # they exclude each other
        own |= {way: InputConfig.model_fields[way].default for way in TUNING}
    return own | chosen


def inherited_fusion(start: Start, declared: Any) -> Any:
    """The run's fusion with the declared options; another one as declared, with the run's width."""
    if not isinstance(declared, Mapping | None):
        return declared
    own, given = start.declaration.fusion, dict(declared or {})
    if given.get("name", own.name) == own.name:
        return own.model_dump() | given
    return {"width": own.width} | given


def _refuse_other(start: Start, name: str, declared: Any, source: str, lines: Mapping[tuple, int]) -> None:
    """Refuse settings that contradict the weights of an input of the run.

    Raises:
        ConfigError: With the line of the setting.
    """
    if not isinstance(declared, Mapping):
        return
    own = start.declaration.inputs[name]
    entry = {"modality": own.modality} | {key: value for key, value in declared.items() if value is not None}
    given = parse({"inputs": {name: entry}}, source=source, lines=lines).inputs[name]
    for key in BOUND:
        value = getattr(given, key)
        if key not in declared or value is None or _agrees(start, name, key, value):
            continue
        with located(source, lines, "inputs", name, key):
            has = _value_text(trained(start, name, key))
            reason = (
                f"'{key}' of '{name}' is {_value_text(value)}, but its weights in {start.folder} were trained"
            )
            raise ConfigError(f"{reason} with {has}. Leave it out, or give the column another name")


def trained(start: Start, name: str, key: str) -> Any:
    """The value of an input's setting in the run, inferred values included."""
    own = start.declaration.inputs[name]
    if key == "encoder" and own.encoder is None:
        return str(start.encoders[name].get("backbone", {}).get("model_type", own.modality))
    return getattr(start.processor.readers[name], key, None) or getattr(own, key)


def _agrees(start: Start, name: str, key: str, value: Any) -> bool:
    if key != "encoder":
        return bool(value == trained(start, name, key))
    own, settings = start.declaration.inputs[name].encoder, start.encoders[name]
    if value == own:
        return True
    if value.checkpoint or (own and own.checkpoint):
        return False
    built = settings.get("backbone", settings)
    kind = built.get("model_type", settings["kind"])
    return value.type in (None, kind, settings["kind"]) and all(
        built.get(size, settings.get(size)) == wanted for size, wanted in value.sizes.items()
    )


def _refuse_unequal(start: Start, read: Mapping[str, Any]) -> None:
    """Check that inputs that share an encoder have equal settings.

    Raises:
        ConfigError: If they have not.
    """
    for name in start.inputs:
        for other in start.sharing(name):
            one, two = read.get(name), read.get(other)
            if not isinstance(one, Mapping) or not isinstance(two, Mapping):
                continue
            for key in (key for key in one if one[key] != two.get(key, one[key])):
                reason = f"'{name}' and '{other}' share an encoder in {start.folder}"
                raise ConfigError(f"{reason}: give both of them the same '{key}'")


def _value_text(value: Any) -> str:
    if isinstance(value, EncoderConfig):
        sizes = "".join(f", {key} {size}" for key, size in value.sizes.items())
        return f"'{value.checkpoint or value.type}'{sizes}"
    return repr(value)


def _section(section: Any) -> dict[str, Any] | None:
    """A section with its keys as texts; None if it is no section."""
    if section is None:
        return {}
    return {str(key): entry for key, entry in section.items()} if isinstance(section, dict) else None
