"""Rows read: a reader per input and per target, saved beside the weights. None of it needs torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from polymodal.config import MOST_ITEMS
from polymodal.data.cache.memory import ReadCache
from polymodal.data.media.cells import MediaError
from polymodal.data.media.path_access import Root
from polymodal.data.media.reading_notes import collect_notes
from polymodal.data.readers import Reader, load_reader
from polymodal.data.readers.items import check_count, each_item, of_item, split_items
from polymodal.data.readers.saved_settings import check_settings
from polymodal.data.targets import TargetReader, target_reader
from polymodal.data.values.label_types import TEXT
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.errors import Problem, RunError
from polymodal.utils.json_files import read_json

FILE = "processor_config.json"

Row = dict[str, Any]
"""``index``, ``cells`` (what the processor keeps, by input) and ``targets`` of one row, maybe ``weight``."""
LoadReader = Callable[[str, dict[str, Any], Path | None], Reader]
"""See :func:`polymodal.data.readers.load_reader`."""


class RowProcessor:
    """One reader per input, and one per target.

    Args:
        readers: By input, in declared order; inputs that share an encoder share the object.
        targets: By target, in declared order.
        missing: The marks of an empty cell in any of them.

    Attributes:
        groups: By input, the first of the inputs that share its encoder.
        saved_as: The class that reads back what is saved.
    """

    saved_as: ClassVar[str] = "PolymodalProcessor"

    def __init__(
        self,
        readers: Mapping[str, Reader] | None = None,
        targets: Mapping[str, TargetReader] | None = None,
        missing: Marks = DEFAULT_MARKS,
    ) -> None:
        self.readers, self.targets, self.missing = dict(readers or {}), dict(targets or {}), missing
        self.groups = self._grouped()

    def _grouped(self) -> dict[str, str]:
        """By input, the first of the inputs that share its reader, and so its encoder."""
        firsts: dict[int, str] = {}
        return {name: firsts.setdefault(id(reader), name) for name, reader in self.readers.items()}

    def change_readers(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Read some inputs with other settings from now on, such as those that their encoders request.

        Args:
            settings: By input; of those that share a reader the first counts.
        """
        changed = {name: self.readers[name].with_settings(**settings.get(name, {})) for name in self.firsts}
        self.readers = {name: changed[first] for name, first in self.groups.items()}

    @property
    def firsts(self) -> list[str]:
        """One input per reader: the first of those that share it."""
        return list(dict.fromkeys(self.groups.values()))

    def read(self, name: str, cell: Any, root: Root = None, cache: ReadCache | None = None) -> Any:
        """The value that input ``name`` keeps of a cell: None where it is empty, a list for several items.

        Raises:
            MediaError: If the cell does not hold what the modality needs, or more items than it may.
        """
        reader, cell = self.readers[name], self.missing.cleared(cell)
        if reader.is_empty(cell):
            return None
        if split_items(cell, reader.modality) is None:
            return reader.read_cached(cell, root, cache)
        check_count(cell, reader.modality, reader.items)
        kept = []
        for index, item in each_item(cell, reader.modality):
            try:
                kept.append(reader.read_cached(item, root, cache))
            except MediaError as error:
                raise of_item(error, index) from error
        return kept or None

    def read_row(
        self,
        row: Mapping[str, Any],
        targets: Iterable[str] = (),
        root: Root = None,
        cache: ReadCache | None = None,
    ) -> tuple[Row, list[tuple[str, MediaError]]]:
        """The values kept of a row for all inputs and some ``targets``, and by column the reading errors."""
        kept: Row = {"cells": {}, "targets": {}}
        wrong = []
        for name in self.readers:
            try:
                with collect_notes() as notes:
                    kept["cells"][name] = self.read(name, row.get(name), root, cache)
            except MediaError as error:
                wrong.append((name, error))
            if notes:
                kept["notes"] = kept.get("notes", []) + [(name, text) for text in notes]
        for name in targets:
            try:
                kept["targets"][name] = self.targets[name].read(self.missing.cleared(row.get(name)))
            except MediaError as error:
                wrong.append((name, error))
        return kept, wrong

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> list[str]:
        """Write ``processor_config.json`` and a folder ``reader_<n>`` for each tokenizer or the like."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        firsts = self.firsts
        distinct = [self.readers[name] for name in firsts]
        for index, reader in enumerate(distinct):
            if reader.part is not None:
                reader.part.save_pretrained(folder / f"reader_{index}")
        content = {
            "processor_class": self.saved_as,
            "readers": [
                {
                    "modality": r.modality,
                    "part": r.part is not None,
                    "items": r.items,
                    "settings": r.settings(),
                }
                for r in distinct
            ],
            "missing": self.missing.given,
            "inputs": [{"name": n, "reader": firsts.index(first)} for n, first in self.groups.items()],
            "targets": [
                {
                    "name": n,
                    "task": t.task,
                    "classes": t.classes,
                    "separator": t.separator,
                    "kind": t.kind,
                }
                | ({"written": t.written} if t.written is not None else {})
                for n, t in self.targets.items()
            ],
        }
        (folder / FILE).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return [str(folder / FILE)]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Read back what :meth:`save_pretrained` wrote, from a folder or the hub.

        Raises:
            RunError: If there is no processor there.
        """
        from polymodal.utils.hub import local_folder

        return cls.read_folder(local_folder(pretrained_model_name_or_path, **kwargs))

    @classmethod
    def read_folder(cls, folder: Path, load: LoadReader = load_reader) -> Self:
        """Read back what :meth:`save_pretrained` wrote into a folder.

        Args:
            folder: Where it lies.
            load: Makes a reader of its modality, its settings and the folder of its tokenizer or the like.

        Raises:
            RunError: If there is no processor there.
        """
        try:
            content = read_json(folder / FILE)
            readers = []
            for index, entry in enumerate(content["readers"]):
                part = folder / f"reader_{index}" if entry["part"] else None
                readers.append(load(entry["modality"], entry["settings"], part))
                check_settings(entry["modality"], {"items": entry.get("items", MOST_ITEMS)})
                readers[-1].items = entry.get("items", MOST_ITEMS)
            inputs = {entry["name"]: readers[entry["reader"]] for entry in content["inputs"]}
            missing = Marks.of_saved(content.get("missing"))
            targets = {
                e["name"]: target_reader(
                    e["task"],
                    e["classes"],
                    e.get("separator"),
                    e.get("written"),
                    missing,
                    e.get("kind", TEXT),
                )
                for e in content["targets"]
            }
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            reason = getattr(error, "strerror", None) or str(error).split("\n")[0] or type(error).__name__
            problem = f"no readable {FILE} and its folders ({reason})"
            raise RunError(f"{folder}: {problem}; the run is incomplete") from None
        return cls(inputs, targets, missing)


def items_of(kept: Any) -> list[Any]:
    """The items that :meth:`RowProcessor.read` kept of a cell; none where it is empty."""
    return [] if kept is None else kept if isinstance(kept, list) else [kept]


def place_problems(wrong: Iterable[tuple[str, MediaError]], file: str, number: int) -> list[Problem]:
    """The errors that :meth:`RowProcessor.read_row` met in row ``number`` (from 0), for a message."""
    return [
        Problem(file=file, row=number + 1, column=name, found=e.found, expected=e.expected, cure=e.cure)
        for name, e in wrong
    ]
