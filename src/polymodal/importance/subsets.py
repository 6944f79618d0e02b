"""Embedded rows with some inputs removed or permuted; every encoder runs once per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from polymodal.data.collator import Collator, RowDataset
from polymodal.models.inference import move
from polymodal.models.predictor import EmbeddedCells, Predictor
from polymodal.utils.deadline import NO_LIMIT, Deadline, in_time
from polymodal.utils.device import computing_in

TIMED_BATCH = 32
"""Rows at once where a deadline may end the work after any batch."""
Embedded = Mapping[str, EmbeddedCells]


@dataclass
class EmbeddedRows:
    """A batch of rows as the fusion reads them, with all inputs and with none.

    Attributes:
        index: ``(rows,)`` their indices in the table.
        embedded: Every input.
        missing: The same inputs, all of them missing.
        targets: Ground truth, in main memory.
        unread: ``(rows,)`` bool, true for rows that could not be read; these have no inputs.
    """

    index: Tensor
    embedded: Embedded
    missing: Embedded
    targets: dict[str, Tensor]
    unread: Tensor

    def having(self, subset: frozenset[str]) -> dict[str, EmbeddedCells]:
        """The rows with only the inputs in ``subset``, as far as they have them."""
        return {
            name: entry if name in subset else self.missing[name] for name, entry in self.embedded.items()
        }

    def lacking(self, taken: Mapping[str, Tensor]) -> dict[str, EmbeddedCells]:
        """The rows without some cells: of each input in ``taken`` those where ``(rows,)`` is true."""
        return {
            name: entry.replaced(taken[name], self.missing[name]) if name in taken else entry
            for name, entry in self.embedded.items()
        }

    def permuted(self, name: str, random: torch.Generator) -> dict[str, EmbeddedCells]:
        """The rows with one input permuted among those that have it."""
        entry = self.embedded[name]
        having = entry.present.cpu().nonzero().squeeze(1)
        order = torch.arange(len(entry.present))
        order[having] = having[torch.randperm(len(having), generator=random)]
        return {**self.embedded, name: entry.pick(order)}


def embed_rows(
    model: Predictor,
    rows: RowDataset,
    *,
    batch_size: int = 128,
    precision: str = "fp32",
    order: Sequence[int] | np.ndarray | None = None,
    deadline: Deadline = NO_LIMIT,
) -> Iterator[EmbeddedRows]:
    """Batches of ``rows``, all or those of ``order``, through the encoders and the embedding.

    The first batch always comes; another one only where it can be embedded and used before the deadline.
    """
    model.eval()
    batch_size = min(batch_size, TIMED_BATCH) if deadline.is_set else batch_size
    indices = range(len(rows)) if order is None else [int(index) for index in order]
    loader = DataLoader(rows, batch_size, sampler=indices, collate_fn=Collator(rows.processor))
    for batch in in_time(loader, deadline):
        with torch.inference_mode(), computing_in(model.device, precision):
            index = batch["index"].to(model.device)
            embedded = model.embed(index, move(batch["inputs"], model.device))
            missing = model.embed(index, {})
        unread = torch.isin(batch["index"], torch.tensor(list(batch.get("problems", ())), dtype=torch.long))
        yield EmbeddedRows(batch["index"], embedded, missing, batch["targets"], unread)


@torch.inference_mode()
def logits_of(model: Predictor, embedded: Embedded, precision: str = "fp32") -> dict[str, Tensor]:
    """The logits of every head for embedded rows, in main memory."""
    with computing_in(model.device, precision):
        return {name: logits.float().cpu() for name, logits in model.predict_embedded(embedded).items()}
