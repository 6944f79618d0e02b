"""The processor: rows in, a batch for the model out; saved beside the weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import ProcessorMixin

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
from polymodal.errors import DataError, Problem, RunError
from polymodal.utils.hub import local_folder
from polymodal.utils.json_files import read_json

FILE = "processor_config.json"

Form = Literal["items", "idle", "dense"]
"""See :meth:`PolymodalProcessor.collate`."""
Row = dict[str, Any]
"""``index``, ``cells`` (what the processor keeps, by input) and ``targets`` of one row, maybe ``weight``."""


class PolymodalProcessor(ProcessorMixin):
    """One reader per input, and one per target.

    Args:
        readers: By input, in declared order; inputs that share an encoder share the object.
        targets: By target, in declared order.
        missing: The marks of an empty cell in any of them.

    Attributes:
        groups: By input, the first of the inputs that share its encoder.
    """

    attributes: list[str] = []  # Transformers reads parts from a fixed signature; ours vary

    def __init__(
        self,
        readers: Mapping[str, Reader] | None = None,
        targets: Mapping[str, TargetReader] | None = None,
        missing: Marks = DEFAULT_MARKS,
    ) -> None:
        self.readers, self.targets, self.missing = dict(readers or {}), dict(targets or {}), missing
        self.groups = self._grouped()
        self.chat_template = None
        self._blanks: dict[str, Any] = {}

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
        self._blanks.clear()

    @property
    def firsts(self) -> list[str]:
        """One input per reader: the first of those that share it."""
        return list(dict.fromkeys(self.groups.values()))

    @classmethod
    def for_model(cls, model: Any, rows: Sequence[Mapping[str, Any]] = ()) -> PolymodalProcessor:
        """The processor of ``model``; see :func:`polymodal.models.processor_for_model.processor_for_model`.

        Args:
            model: A model made by ``from_parts``, or loaded.
            rows: Training rows, from which numbers learn their scale, categories their names and text
                its vocabulary.
        """
        return model.make_processor(rows)

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

    def __call__(
        self,
        rows: Sequence[Mapping[str, Any]],
        root: str | Root = None,
        *,
        cache: ReadCache | None = None,
        numbers: Sequence[int] | None = None,
        source: str = "",
        form: Form = "items",
    ) -> dict[str, Any]:
        """A batch of ``rows``: cells by column; an input that a row does not name is missing.

        Args:
            rows: At least one.
            root: The folder that relative paths start from; or, as a
                :class:`polymodal.data.media.path_access.MediaAccess`, also which files may be named.
            cache: Keeps what was read.
            numbers: Of the rows in their table, from 0, for messages.
            source: Name of the table, for messages.
            form: See :meth:`collate`.

        Returns:
            ``index`` ``(batch,)``, ``inputs`` (see the model), and ``targets`` for those that any row names.

        Raises:
            DataError: Every cell that cannot be read, with its row and column.
        """
        folder = Path(root) if isinstance(root, str) else root
        numbers = range(len(rows)) if numbers is None else numbers
        problems: list[Problem] = []
        answered = [name for name in self.targets if any(name in row for row in rows)]
        read = []
        for row, number in zip(rows, numbers, strict=True):
            kept, wrong = self.read_row(row, answered, folder, cache)
            problems += place_problems(wrong, source, int(number))
            read.append({"index": number, **kept})
        if problems:
            raise DataError(problems)
        return self.batch(read, form=form)

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

    def batch(self, rows: Sequence[Row], *, form: Form = "items") -> dict[str, Any]:
        """``index`` ``(batch,)``, ``inputs`` and ``targets`` of rows that were read, at least one.

        Where the rows have weights, ``weight`` ``(batch,)`` is the weight of each.
        """
        targets = {
            name: self.targets[name].collate([row["targets"][name] for row in rows])
            for name in rows[0]["targets"]
        }
        inputs = self.collate([row["cells"] for row in rows], form=form)
        batch = {"index": torch.tensor([row["index"] for row in rows]), "inputs": inputs, "targets": targets}
        if "weight" in rows[0]:
            batch["weight"] = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
        return batch

    def collate(
        self, cells: Sequence[Mapping[str, Any]], *, form: Form = "items"
    ) -> dict[str, dict[str, Tensor]]:
        """Tensors by input from what :meth:`read` kept of each row; an input that no row has is left out.

        ``row`` ``(items,)`` names each item's row: once a row, or as often as its cell holds items.

        Args:
            cells: By input, of each row.
            form: ``items``: only what is there. ``idle``: an input that no row has holds a blank item of no
                row. ``dense``: every row holds as many items of an input as the fullest, at least one, all
                of the longest length that is kept, and ``present`` ``(batch, slots)`` in the place of ``row``
                is false where they are blank.
        """
        inputs = {}
        for name, reader in self.readers.items():
            kept = [_items(row.get(name)) for row in cells]
            if form == "dense":
                slots = max(1, *map(len, kept))
                filled = [[*items, *[self._blank(name)] * (slots - len(items))] for items in kept]
                present = torch.tensor([[slot < len(items) for slot in range(slots)] for items in kept])
                values = reader.collate_dense([item for items in filled for item in items])
                inputs[name] = {"present": present, **values}
                continue
            placed = [(index, item) for index, items in enumerate(kept) for item in items]
            if placed or form == "idle":
                rows = torch.tensor([index for index, _ in placed], dtype=torch.long)
                items = [item for _, item in placed] or [self._blank(name)]
                inputs[name] = {"row": rows, **reader.collate(items)}
        return inputs

    def _blank(self, name: str) -> Any:
        """The input's blank item, made once."""
        if name not in self._blanks:
            self._blanks[name] = self.readers[name].blank()
        return self._blanks[name]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> list[str]:  # type: ignore[override]
        """Write ``processor_config.json`` and a folder ``reader_<n>`` for each tokenizer or the like."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        firsts = self.firsts
        distinct = [self.readers[name] for name in firsts]
        for index, reader in enumerate(distinct):
            if reader.part is not None:
                reader.part.save_pretrained(folder / f"reader_{index}")
        content = {
            "processor_class": type(self).__name__,
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
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> PolymodalProcessor:
        """Read back what :meth:`save_pretrained` wrote, from a folder or the hub.

        Raises:
            RunError: If there is no processor there.
        """
        folder = local_folder(pretrained_model_name_or_path, **kwargs)
        try:
            content = read_json(folder / FILE)
            readers = []
            for index, entry in enumerate(content["readers"]):
                part = folder / f"reader_{index}" if entry["part"] else None
                readers.append(load_reader(entry["modality"], entry["settings"], part))
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


def _items(kept: Any) -> list[Any]:
    """The items that :meth:`PolymodalProcessor.read` kept."""
    return [] if kept is None else kept if isinstance(kept, list) else [kept]


def place_problems(wrong: Iterable[tuple[str, MediaError]], file: str, number: int) -> list[Problem]:
    """The errors that :meth:`PolymodalProcessor.read_row` met in row ``number`` (from 0), for a message."""
    return [
        Problem(file=file, row=number + 1, column=name, found=e.found, expected=e.expected, cure=e.cure)
        for name, e in wrong
    ]
