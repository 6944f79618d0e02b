"""Rows to arrays as an exported model takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers import READERS, AudioReader, ImageReader, Reader, TextReader, load_reader
from polymodal.data.row_processor import RowProcessor, items_of, place_problems
from polymodal.errors import DataError, Problem, RunError
from polymodal.runtime.feature_extractor import feature_extractor
from polymodal.runtime.file_part import FILE, FilePart
from polymodal.runtime.image_processor import FileImageProcessor
from polymodal.runtime.manifest import InputEntry, Manifest
from polymodal.runtime.tokenizer import FileTokenizer
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonObject

PARTS: Mapping[str, Callable[[JsonObject], FilePart]] = {
    ImageReader.part_class: FileImageProcessor,
    AudioReader.part_class: feature_extractor,
}
"""By class of Transformers that reads for pretrained encoders what does so here, from the same settings."""

FEW = 4
"""Rows that are computed at once where a pretrained encoder hears recordings: onnxruntime holds all scores of
attention. For 32 recordings of 30 seconds Whisper tiny took 5.1 GiB and 27 s; by fours 1.4 GiB and 23 s."""


class ArrayProcessor(RowProcessor):
    """Reads rows for an exported model; its text readers have tokenizers of the ``tokenizers`` library."""

    @classmethod
    def of_export(cls, folder: Path, manifest: Manifest) -> Self:
        """The processor that is saved in an export's folder.

        Raises:
            RunError: If there is none, or it is not of the same model as the manifest.
        """
        processor = cls.read_folder(folder, partial(load_array_reader, manifest.tokenizers))
        names = [entry.name for entry in manifest.inputs]
        if list(processor.readers) != names or list(processor.targets) != list(manifest.decoders):
            raise RunError(f"{folder}: its files are of different exports. Export again")
        return processor

    def batches(self, cells: Sequence[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
        """Rows that were read, at least one, in parts that are computed at once."""
        hears = any(isinstance(each, AudioReader) and each.part for each in self.readers.values())
        most = FEW if hears else len(cells)
        return [cells[start : start + most] for start in range(0, len(cells), most)]

    def feeds(
        self, entries: Sequence[InputEntry], cells: Sequence[Mapping[str, Any]]
    ) -> dict[str, np.ndarray]:
        """What the model takes for rows that were read.

        Args:
            entries: The model's inputs.
            cells: By input what :meth:`read` kept, of each row.

        Returns:
            By name of the model's own: for input number ``n`` the tensors of all items (``n.<tensor>``
            ``(items, …)``; one blank item where no row has any), the index of the item in each place of each
            row (``n.place`` ``(rows, slots)``) and whether there is one (``n.present``).
        """
        made: dict[str, np.ndarray] = {}
        for number, entry in enumerate(entries):
            kept = [items_of(row.get(entry.name)) for row in cells]
            index, present = places(list(map(len, kept)))
            reader = self.readers[entry.name]
            arrays = reader.arrays([item for items in kept for item in items] or [reader.shortest()])
            tensors = {each.name: padded(arrays[each.name], each.shape) for each in entry.tensors}
            named = {"place": index, "present": present, **tensors}
            made |= {f"{number}.{name}": array for name, array in named.items()}
        return made


def load_array_reader(
    tokenizers: Mapping[str, JsonObject], modality: str, settings: dict[str, Any], part: Path | None
) -> Reader:
    """The reader with these settings.

    Args:
        tokenizers: See :class:`Manifest`.
        modality: Of its cells.
        settings: Of the reader.
        part: The folder of its tokenizer, image processor or feature extractor, if it has one.

    Raises:
        ValueError: If it needs other files than these.
    """
    if part is None:
        return load_reader(modality, settings, None)
    kind: Any = READERS[modality]
    kind.check_settings(settings)
    if modality == TextReader.modality:
        return kind(FileTokenizer(part, tokenizers[part.name]), **settings)
    if kind.part_class in PARTS:
        return kind(PARTS[kind.part_class](read_json(part / FILE)), **settings)
    raise ValueError(f"a reader of the modality {modality} with files of Transformers")


def read_rows(
    processor: RowProcessor, rows: Sequence[Mapping[str, Any]], root: Root, first: int
) -> list[dict[str, Any]]:
    """What a processor keeps of rows, by input.

    Args:
        processor: Reads them.
        rows: By input its cell, of each row.
        root: The folder that relative paths start from, or which files may be read.
        first: The number of the first row, from 0, for messages.

    Raises:
        DataError: Every cell that cannot be read, with its row and column.
    """
    problems: list[Problem] = []
    cells = []
    for number, row in enumerate(rows, start=first):
        kept, wrong = processor.read_row(row, (), root)
        problems += place_problems(wrong, "", number)
        cells.append(kept["cells"])
    if problems:
        raise DataError(problems)
    return cells


def places(counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Where the items of rows are among all items, given how many each row has.

    Returns:
        ``(rows, slots)`` int64 indices, 0 where there is no item, and bool, whether there is one.
    """
    number = np.asarray(counts, dtype=np.int64)
    slot = np.arange(max(1, int(number.max(initial=0))))
    present = slot < number[:, None]
    index = (number.cumsum() - number)[:, None] + slot
    return np.where(present, index, 0), present


def padded(array: np.ndarray, shape: Sequence[int | None]) -> np.ndarray:
    """``array`` ``(items, …)`` with zeros behind each item up to ``shape``; None is any length."""
    behind = [0 if size is None else size - own for size, own in zip(shape, array.shape[1:], strict=True)]
    return np.pad(array, [(0, 0), *((0, more) for more in behind)]) if any(behind) else array
