"""The export formats, and the modules that write them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polymodal.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        module: The module whose ``write(run, folder, inputs)`` writes it and returns an :class:`Exported`.
        words: Whether it is for generation runs; otherwise for prediction runs.
        whole: Whether it takes a blend as a whole; otherwise its neural model.
        options: What ``write`` takes besides, by name.
        libraries: The additional libraries that the module imports, if any.
        extra: The extra of polymodal that installs this library.
    """

    module: str
    words: bool = False
    whole: bool = False
    options: frozenset[str] = frozenset()
    libraries: tuple[str, ...] = ()
    extra: str = ""


FORMATS = {
    "sentence-transformers": Format(
        "polymodal.exporting.sentence_transformers",
        libraries=("sentence_transformers",),
        extra="sentence-transformers",
    ),
    "llava": Format("polymodal.exporting.llava", words=True),
    "optimum": Format(
        "polymodal.exporting.optimum",
        words=True,
        options=frozenset({"int8"}),
        libraries=("onnx", "onnx_ir", "onnxscript", "onnxruntime"),
        extra="export",
    ),
    "onnx": Format(
        "polymodal.exporting.onnx",
        whole=True,
        options=frozenset({"int8", "rows"}),
        libraries=("onnx", "onnx_ir", "onnxscript", "onnxruntime"),
        extra="export",
    ),
}
"""Formats by the name that follows ``--to``."""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        folder: Its folder.
        inputs: By modality the input of the run that it has; of several, the names with commas between.
        left_out: Inputs of the run that it does not have.
        usage: A line of Python that loads it.
        notes: What was measured or is to be known, a line each.
    """

    folder: Path
    inputs: dict[str, str]
    left_out: list[str] = field(default_factory=list)
    usage: str = ""
    notes: list[str] = field(default_factory=list)


def find_format(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in FORMATS:
        raise ConfigError(f"there is no export to '{name}'. {did_you_mean(name, FORMATS)}")
    return FORMATS[name]


def load_writer(name: str) -> Any:
    """Import the module that writes a format.

    Raises:
        ConfigError: If there is no such format, or its library is missing or too old.
    """
    result = find_format(name)
    try:
        return importlib.import_module(result.module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in result.libraries:
            raise
        fix = f"pip install -U 'polymodal[{result.extra}]'"
        raise ConfigError(f"an export to {name} needs another library, or a newer one: {fix}") from None
