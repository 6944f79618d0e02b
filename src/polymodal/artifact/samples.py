"""The rows that a run keeps with the answers to them: ``samples/rows.json`` and the files of their media.

A row holds its cells as JSON values; an item of media is ``{"file": "media/…"}``. :class:`Samples` is what
``polymodal verify`` replays, and what the service shows as examples. None of it needs torch or pandas.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polymodal.data.media.sequence import load_sequence
from polymodal.errors import RunError
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonObject, JsonValue

SAMPLES = "samples"
ROWS = f"{SAMPLES}/rows.json"
MEDIA = "media"
FORMAT = 1
FILE = "file"
"""The only key of a cell, or of an item in it, that is a file in ``samples/``."""
KINDS = {".npy": "application/octet-stream", ".npz": "application/octet-stream", ".webp": "image/webp"}
"""Types of files that ``mimetypes`` does not know everywhere."""


@dataclass(frozen=True)
class Sample:
    """A row of the fit's table with the answer of the run.

    Attributes:
        row: Its number in the table, from 1, the header not counted.
        cells: By column its cell as JSON; ``{"file": …}`` in the place of an item of media.
        answer: ``values`` by target, and where there are any ``probabilities`` by target and class,
            ``intervals`` by target and ``missing``, the inputs that the row lacks; of a run without targets
            ``vector`` alone.
    """

    row: int
    cells: JsonObject
    answer: JsonObject


@dataclass(frozen=True)
class Samples:
    """The samples of a run.

    Attributes:
        folder: ``samples/`` of the run.
        split: The split that the rows are of.
        device: What computed the answers: ``cpu``, ``cuda`` or ``mps``.
        left_out: Rows that were not kept, for the size of their media or as JSON cannot hold their cells.
        rows: In the order of the table.
    """

    folder: Path
    split: str
    device: str
    rows: list[Sample]
    left_out: int = 0
    files: list[str] = field(default_factory=list)

    def named(self) -> list[JsonObject]:
        """The rows' cells; files by their paths, relative to :attr:`folder`."""
        return [_replaced(sample.cells, _path_of) for sample in self.rows]

    def embedded(self, sequences: Collection[str] = ()) -> list[JsonObject]:
        """The rows' cells as the service takes them: files as ``data:`` URIs, those of sequences as numbers.

        Args:
            sequences: The columns of feature sequences.

        Raises:
            MediaError: If a sequence cannot be read.
        """
        return [self._embedded(sample.cells, sequences) for sample in self.rows]

    def _embedded(self, cells: JsonObject, sequences: Collection[str]) -> JsonObject:
        def numbers(name: str) -> JsonValue:
            steps: list[JsonValue] = load_sequence(name, self.folder).tolist()
            return steps

        listed = {name: _with_files(cells[name], numbers) for name in sequences if name in cells}
        return _replaced(cells | listed, lambda name: data_uri(self.folder / name))


def data_uri(path: Path) -> str:
    """A file as a ``data:`` URI."""
    kind = KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def is_file(value: object) -> bool:
    """Whether a JSON value is the place of a file."""
    return isinstance(value, dict) and value.keys() == {FILE}


def _path_of(name: str) -> str:
    return name


def _replaced(cells: JsonObject, by: Callable[[str], JsonValue]) -> JsonObject:
    return {name: _with_files(value, by) for name, value in cells.items()}


def _with_files(value: JsonValue, by: Callable[[str], JsonValue]) -> JsonValue:
    if isinstance(value, dict):
        if is_file(value):
            return by(str(value[FILE]))
        return {key: _with_files(inner, by) for key, inner in value.items()}
    return [_with_files(inner, by) for inner in value] if isinstance(value, list) else value


def read_samples(folder: Path) -> Samples | None:
    """The samples in the folder of a run; None where it keeps none.

    Raises:
        RunError: If they are none that a fit writes, or name a file outside of ``samples/media``.
    """
    path = folder / ROWS
    if not path.is_file():
        return None
    try:
        return _parsed(folder / SAMPLES, read_json(path))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{path}: no readable samples ({reason}). Fit again") from None


def _parsed(folder: Path, content: Mapping[str, JsonValue]) -> Samples:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
    rows = content["rows"]
    if not isinstance(rows, list):
        raise ValueError("'rows' is no list")
    samples = [_sample(entry) for entry in rows]
    names = list(dict.fromkeys(name for sample in samples for name in files_of(sample.cells)))
    for name in names:
        if Path(name).parent != Path(MEDIA) or not (folder / name).is_file():
            raise ValueError(f"'{name}' is no file in {SAMPLES}/{MEDIA}")
    left_out = content.get("left_out", 0)
    if not isinstance(left_out, int):
        raise ValueError("'left_out' is no number")
    return Samples(folder, str(content["split"]), str(content["device"]), samples, left_out, names)


def _sample(entry: JsonValue) -> Sample:
    if not isinstance(entry, dict):
        raise ValueError("a row is no object")
    row, cells, answer = entry["row"], entry["cells"], entry["answer"]
    if not (isinstance(row, int) and isinstance(cells, dict) and isinstance(answer, dict)):
        raise ValueError("a row without its number, cells and answer")
    return Sample(row, cells, answer)


def files_of(value: JsonValue) -> Iterator[str]:
    """The files that cells name."""
    if isinstance(value, dict):
        if is_file(value):
            yield str(value[FILE])
            return
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from files_of(inner)
