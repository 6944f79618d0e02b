"""Rows that were read to batches: padding, and what objectives need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xxhash

from polymodal.data.processor import Form, PolymodalProcessor
from polymodal.data.row_processor import Row


class Collator:
    """Rows to a batch: ``index`` ``(batch,)``, ``inputs`` and ``targets`` by name, any ``problems`` by index.

    Args:
        processor: Pads.
        form: See :meth:`PolymodalProcessor.collate`.
        for_objectives: Add what objectives need: by input ``contents`` ``(batch,)``, numbers that are
            equal where rows hold the same, and ``draws`` ``(batch,)``, seeds of the random draws per row.
    """

    def __init__(
        self, processor: PolymodalProcessor, *, form: Form = "items", for_objectives: bool = False
    ) -> None:
        self.processor, self.form, self.for_objectives = processor, form, for_objectives

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        problems = {row["index"]: row["problems"] for row in rows if "problems" in row}
        batch = self.processor.batch(rows, form=self.form) | ({"problems": problems} if problems else {})
        if self.for_objectives:
            batch["draws"] = torch.tensor([row["draw"] for row in rows])
            batch["contents"] = {
                name: torch.tensor([content_of(row["cells"][name], row["index"]) for row in rows])
                for name in self.processor.readers
            }
        return batch


def content_of(kept: Any, index: int) -> int:
    """A number for what a reader kept of a cell; rows without one are unlike each other."""
    if kept is None:
        return -1 - index
    whole = xxhash.xxh3_64()
    for item in kept if isinstance(kept, list) else [kept]:
        whole.update(np.ascontiguousarray(item).tobytes())
    return whole.intdigest() >> 1
