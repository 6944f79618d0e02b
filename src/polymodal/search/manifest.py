"""``index.json``, the manifest of an index, which is read before anything else in its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from polymodal.data.readers import AudioReader, ImageReader, TextReader, VideoReader
from polymodal.errors import RunError, worded
from polymodal.search.fields import Field
from polymodal.utils.atomic import write_text
from polymodal.utils.json_files import read_json
from polymodal.utils.records import Record
from polymodal.utils.version import __version__

FILE = "index.json"
QUERIES = {
    TextReader.modality: '"a few words"',
    ImageReader.modality: "FILE",
    AudioReader.modality: "FILE",
    VideoReader.modality: "FILE",
}
"""The option of a search by modality; others are searched by ``query={input: cell}``."""
WIDEST = 2**16
"""The most numbers of a vector."""
FORMAT = 1
"""Version of the index's format; raised when an older release could no longer read it."""


@dataclass(frozen=True, kw_only=True)
class ApproximateIndex(Record):
    """The approximate index of an input.

    Attributes:
        rows: Number of vectors that it was built from.
        partitions: Number of partitions that a search reads.
        refine: Candidates per hit that are compared with their whole vectors.
        recall: The share of the nearest 10 vectors that a search finds, from 0 to 1.
    """

    rows: int
    partitions: int
    refine: int
    recall: float


@dataclass
class Manifest:
    """Everything about an index but its rows.

    Attributes:
        model: The digest of the model that made the vectors; see :mod:`polymodal.search.fingerprints`.
        run: That model's folder, relative to the index's own folder where both are on one drive.
        width: Of a vector.
        inputs: Modality by input; each has a table of its own, in this order.
        shared: Whether vectors of different inputs may be compared.
        key: The column that identifies a row; None for row numbers.
        fields: The table's columns.
        ann: The approximate index by input; inputs without one are searched exactly.
        format: See :data:`FORMAT`.
        polymodal_version: That wrote it.
    """

    model: str
    run: str
    width: int
    inputs: dict[str, str]
    shared: bool
    key: str | None = None
    fields: list[Field] = field(default_factory=list)
    ann: dict[str, ApproximateIndex] = field(default_factory=dict)
    format: int = FORMAT
    polymodal_version: str = __version__

    def write(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        self.format, self.polymodal_version = FORMAT, __version__
        write_text(folder / FILE, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    def run_folder(self, folder: Path) -> Path:
        """Where the run was when ``folder`` was made."""
        return Path(os.path.normpath(folder / self.run))


def relative_run(run: Path, folder: Path) -> str:
    """The path of ``run`` from ``folder``, absolute where there is no way."""
    try:
        return Path(os.path.relpath(run.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return run.resolve().as_posix()


def _checked(manifest: Manifest) -> Manifest:
    """``manifest``, if its values have the types and sizes that an index is written with.

    Raises:
        TypeError: If one has not: memory of ``width`` is taken before a vector is read.
    """
    inputs = manifest.inputs
    named = isinstance(inputs, dict) and all(isinstance(entry, str) for entry in inputs.values())
    sized = isinstance(manifest.width, int) and 0 < manifest.width <= WIDEST
    if not (named and sized and isinstance(manifest.run, str) and isinstance(manifest.model, str)):
        raise TypeError("no index writes this")
    return manifest


def _object(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a key, which may be absent."""
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise TypeError(f"'{name}' is no object")
    return value


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the index in ``folder``.

    Raises:
        RunError: If it is no index, or one of a newer version.
    """
    make = f"Make one: {worded('polymodal index RUN TABLE -o INDEX', 'pm.Index.build(folder, run, table)')}"
    if not os.path.isdir(folder):
        raise RunError(f"{folder}: no such index folder. {make}")
    path = folder / FILE
    if not path.is_file():
        raise RunError(f"{folder}: not an index, {FILE} is missing. {make}")
    try:
        content = read_json(path)
        if int(content["format"]) > FORMAT:
            raise RunError(
                f"{folder}: written by polymodal {content.get('polymodal_version')} in index format "
                f"{content['format']}, this is {__version__} and knows formats up to {FORMAT}. "
                "Upgrade: pip install -U polymodal"
            )
        typed = {
            "fields": [Field(**entry) for entry in content["fields"]],
            "ann": {
                name: ApproximateIndex.from_dict(entry) for name, entry in _object(content, "ann").items()
            },
        }
        return _checked(Manifest(**content | typed))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RunError(f"{path}: cannot be read ({reason}). {make}") from None
