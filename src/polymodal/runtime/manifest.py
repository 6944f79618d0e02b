"""``export.json``: the inputs and outputs of ``model.onnx``, and what its outputs mean."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from polymodal.answers import DECODERS, decoder_of_state
from polymodal.answers.base import SavedDecoder
from polymodal.errors import RunError
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonObject, JsonValue, Record
from polymodal.utils.version import __version__

T = TypeVar("T")

FILE, MODEL = "export.json", "model.onnx"
FORMAT = 1
"""Of the folder; a later one may hold what this version does not know."""
FP32, INT8 = "fp32", "int8"
CANDIDATES, VECTORS = "candidates", "vectors"
"""The folder of a blend's candidates, and in that of one the folder of its encoders."""
ONNX, PLAIN, ENCODED = "onnx", "plain", "encoded"
"""The kinds of candidates."""
PLACES = ("place", "present")
"""What the model takes of an input besides the tensors of its items; see :class:`ArrayProcessor`."""


@dataclass(frozen=True, kw_only=True)
class TensorEntry(Record):
    """A tensor of an input's items.

    Attributes:
        name: As readers name it.
        shape: Of one item; None for a dimension of any length.
    """

    name: str
    shape: list[int | None]


@dataclass(frozen=True, kw_only=True)
class InputEntry(Record):
    """An input of the model.

    Attributes:
        name: Of the column.
        tensors: In the order in which the model takes them.
    """

    name: str
    tensors: list[TensorEntry]

    @property
    def names(self) -> list[str]:
        """What the model takes of it, in order."""
        return [*PLACES, *(entry.name for entry in self.tensors)]


@dataclass(frozen=True, kw_only=True)
class SourceRun(Record):
    """The run that an export is of.

    Attributes:
        name: Of its folder.
        identity: Of its declaration and models; see :func:`polymodal.artifact.integrity.identity_of`.
        metric: The leading metric on the test rows (``name``, ``value``, ``rows``); None where the run has
            none, or the export answers otherwise, as with weights of 8 bits.
        units: By target of numbers the unit of its answers, where one is declared.
    """

    name: str
    identity: str
    metric: JsonObject | None = None
    units: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """What an export holds.

    Attributes:
        format: See :data:`FORMAT`.
        polymodal: The version that wrote it.
        precision: ``fp32`` or ``int8``.
        inputs: Of the model, in declared order.
        decoders: By target, in declared order, what its outputs mean.
        candidates: Of a blend, by name what its folder in ``candidates`` holds: ``onnx``, an export,
            ``plain``, plain models, or ``encoded``, such models with encoders; empty for one model.
        weights: Of a blend, by target and by model; see :mod:`polymodal.answers.plain_answers`.
        tokenizers: By folder of a tokenizer its ``pad`` token, the most tokens it takes (``most``) and the
            ``side`` where it cuts.
        run: Which it is of; None of earlier versions.
    """

    format: int = FORMAT
    polymodal: str = __version__
    precision: str = FP32
    inputs: list[InputEntry] = field(default_factory=list)
    decoders: dict[str, JsonObject] = field(default_factory=dict)
    candidates: dict[str, str] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    tokenizers: dict[str, JsonObject] = field(default_factory=dict)
    run: SourceRun | None = None

    def write(self, folder: Path) -> None:
        """Write it into an export's folder."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read it from an export's folder.

        Raises:
            RunError: If it is no export, of a later version, or damaged.
        """
        manifest = read_description(folder, FILE, FORMAT, cls.from_dict, "ONNX")
        for name in (*manifest.candidates, *manifest.tokenizers):
            if os.path.isabs(name) or ".." in Path(name).parts:
                raise RunError(f"{folder}: {FILE} names '{name}', outside of the export. Do not trust it")
        return manifest

    def answering(self, folder: Path) -> dict[str, SavedDecoder]:
        """By target its decoder.

        Raises:
            RunError: If a setting is none that an export writes.
        """
        try:
            return {name: decoder_of_state(state) for name, state in self.decoders.items()}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reason = str(error).split("\n")[0] or type(error).__name__
            raise RunError(f"{folder}: no readable {FILE} ({reason}). Export again") from None


def is_saved(state: Mapping[str, JsonValue]) -> bool:
    """Whether a decoder's state is of a task that is read back without torch."""
    return str(state.get("task")) in DECODERS


def read_description(folder: Path, file: str, newest: int, make: Callable[[JsonObject], T], shown: str) -> T:
    """What a file of an export describes.

    Args:
        folder: Of the export.
        file: Its name in the folder.
        newest: The latest format that this version reads.
        make: Makes the description of the file's content.
        shown: The name of the export's format in messages; in lower case that of ``--to``.

    Raises:
        RunError: If it is no such export, of a later version, or damaged.
    """
    try:
        content = read_json(folder / file)
        if content["format"] > newest:
            newer = f"is of polymodal {content['polymodal']}, and this is {__version__}"
            raise RunError(f"{folder}: {newer}. Install the newer one, or export again")
        return make(content)
    except FileNotFoundError:
        fix = f"polymodal export RUN --to {shown.lower()} -o FOLDER writes one"
        raise RunError(f"{folder}: no export to {shown} (it has no {file}). {fix}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise RunError(f"{folder}: no readable {file} ({reason}). Export again") from None
