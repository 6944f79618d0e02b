"""Settings as Python callers give them: a mapping, or keyword arguments that are shorthands of settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import yaml

from polymodal.errors import ConfigError, did_you_mean

SettingsLike: TypeAlias = "Sequence[str] | Mapping[str, Any]"
"""``["train.epochs=3"]``, ``{"train.epochs": 3}`` or ``{"train": {"epochs": 3}}``."""


class Shorthands(TypedDict, total=False):
    """Keyword arguments of functions that train, and options of commands that do; None is not given."""

    epochs: float | None
    batch_size: int | None
    learning_rate: float | None
    seed: int | None
    labels: float | None
    device: str | None
    precision: str | None
    threads: int | None
    report: str | None


SHORTHANDS: Mapping[str, str] = {
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "learning_rate": "train.learning_rate",
    "seed": "train.seed",
    "labels": "data.labels",
    "device": "train.device",
    "precision": "train.precision",
    "threads": "train.threads",
    "report": "report.amount",
}
"""The setting of each."""
_METRIC = "settings={'train.metric': …}"
ELSEWHERE: Mapping[str, str] = {
    "label": "target=", "y": "target=", "path": "output=", "output_dir": "output=", "presets": "preset=",
    "eval_metric": _METRIC, "metric": _METRIC, "num_train_epochs": "epochs=", "max_epochs": "epochs=",
    "lr": "learning_rate=", "per_device_train_batch_size": "batch_size=", "random_state": "seed=",
    "features": "inputs=", "verbose": "quiet=", "verbosity": "quiet=", "hyperparameters": "settings=",
}  # fmt: skip
"""Arguments of AutoGluon, Transformers and scikit-learn, and the one that does the same here."""


def all_settings(
    settings: SettingsLike,
    shorthands: Mapping[str, object],
    call: Callable[..., object],
    others: Sequence[Callable[..., object]] = (),
) -> list[str]:
    """Settings as texts ``section.key=value``, then those of the shorthands that are not None.

    Args:
        settings: As a caller gave them.
        shorthands: By name of :class:`Shorthands`.
        call: The function that was called, for the error.
        others: Functions that may have an argument which it has not.

    Raises:
        TypeError: If a shorthand has another name.
        ConfigError: If a value is none that a declaration can hold.
    """
    for name in shorthands:
        if name not in SHORTHANDS:
            unknown = f"{call.__name__}() got an unexpected keyword argument '{name}'"
            takes = [f"pm.{other.__name__}" for other in others if name in arguments(other)]
            fix = f"{' and '.join(takes)} take it" if takes else did_you_mean(name, arguments(call))
            if (own := ELSEWHERE.get(name, "")).split("=")[0] in arguments(call):
                fix = f"Here it is {own}"
            raise TypeError(f"{unknown}. {fix}; others by settings=")
    given = {SHORTHANDS[name]: value for name, value in shorthands.items() if value is not None}
    if isinstance(settings, str):
        raise ConfigError(f"settings is the text '{settings}', expected a list such as ['{settings}']")
    texts = list(_texts(settings, ())) if isinstance(settings, Mapping) else list(settings)
    return [*texts, *_texts(given, ())]


def arguments(function: Callable[..., object]) -> list[str]:
    """Names of the keyword arguments of a function, shorthands included."""
    kept = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return [*kept, *SHORTHANDS]


def _texts(settings: Mapping[str, Any], section: tuple[str, ...]) -> Iterator[str]:
    """The settings of a mapping, which may have sections, dots in its keys, or both."""
    for key, value in settings.items():
        path = (*section, str(key))
        if isinstance(value, Mapping) and value:
            yield from _texts(value, path)
        else:
            yield f"{'.'.join(path)}={_yaml(value, '.'.join(path))}"


def _yaml(value: Any, name: str) -> str:
    """A value in one line of YAML, which reads back as the same.

    Raises:
        ConfigError: If YAML cannot hold it.
    """
    value = str(value) if isinstance(value, Path) else value
    value = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value  # of NumPy
    value = list(value) if isinstance(value, tuple) else value
    try:
        text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9)
    except yaml.YAMLError:
        kind = type(value).__name__
        raise ConfigError(
            f"settings: '{name}' is of type {kind}, expected text, a number, a list or None"
        ) from None
    return text.removesuffix("...\n").strip()
