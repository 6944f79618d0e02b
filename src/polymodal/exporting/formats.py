"""What a run can be exported to: every format, and where it is written."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymodal.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Format:
    """A form that a run can take.

    Attributes:
        module: Whose ``write(run, folder, inputs)`` writes it and returns an :class:`Exported`.
        words: Whether it holds runs that answer in words; else it holds the others.
        library: What that module imports beside what polymodal needs anyhow, if anything.
        extra: The extra of polymodal that installs it.
    """

    module: str
    words: bool = False
    library: str = ""
    extra: str = ""


FORMATS = {
    "sentence-transformers": Format(
        "polymodal.exporting.sentence_transformers",
        library="sentence_transformers",
        extra="sentence-transformers",
    ),
    "llava": Format("polymodal.exporting.llava", words=True),
}
"""By the name that follows ``--to``."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where it lies.
        inputs: Inputs of the run that can be given to it, by modality.
        left_out: Inputs of the run that it does not have.
        usage: A line of Python that loads it.
    """

    folder: Path
    inputs: dict[str, str]
    left_out: list[str] = field(default_factory=list)
    usage: str = ""


def find_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in FORMATS:
        raise ConfigError(f"there is no export to '{name}'. {did_you_mean(name, FORMATS)}")
    return FORMATS[name]


def load_writer(name: str) -> Any:
    """The module that writes that format.

    Raises:
        ConfigError: If there is no such format, or its library is absent or too old.
    """
    found = find_format(name)
    try:
        return importlib.import_module(found.module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != found.library:
            raise
        cure = f"pip install -U 'polymodal[{found.extra}]'"
        raise ConfigError(f"an export to {name} needs that library, or a newer one: {cure}") from None
