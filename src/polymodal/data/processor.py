"""The processor: rows in, a batch for the model out; saved beside the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import ProcessorMixin

from polymodal.data.cache.memory import ReadCache
from polymodal.data.media.path_access import Root
from polymodal.data.readers import Reader
from polymodal.data.row_processor import Row, RowProcessor, items_of, place_problems
from polymodal.data.targets import TargetReader
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.errors import DataError, Problem

Form = Literal["items", "idle", "dense"]
"""See :meth:`PolymodalProcessor.collate`."""


class PolymodalProcessor(RowProcessor, ProcessorMixin):  # type: ignore[misc]
    """Rows to batches: one reader per input, and one per target.

    Args:
        readers: By input, in declared order; inputs that share an encoder share the object.
        targets: By target, in declared order.
        missing: The marks of an empty cell in any of them.
    """

    attributes: list[str] = []  # Transformers reads parts from a fixed signature; ours vary

    def __init__(
        self,
        readers: Mapping[str, Reader] | None = None,
        targets: Mapping[str, TargetReader] | None = None,
        missing: Marks = DEFAULT_MARKS,
    ) -> None:
        super().__init__(readers, targets, missing)
        self.chat_template = None
        self._blanks: dict[str, Any] = {}

    def change_readers(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """See :class:`RowProcessor`."""
        super().change_readers(settings)
        self._blanks.clear()

    @classmethod
    def for_model(cls, model: Any, rows: Sequence[Mapping[str, Any]] = ()) -> PolymodalProcessor:
        """The processor of ``model``; see :func:`polymodal.models.processor_for_model.processor_for_model`.

        Args:
            model: A model made by ``from_parts``, or loaded.
            rows: Training rows, from which numbers learn their scale, categories their names and text
                its vocabulary.
        """
        return model.make_processor(rows)

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
            kept = [items_of(row.get(name)) for row in cells]
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


def for_batches(rows: RowProcessor) -> PolymodalProcessor:
    """The processor that makes batches of what ``rows`` reads."""
    return PolymodalProcessor(rows.readers, rows.targets, rows.missing)
