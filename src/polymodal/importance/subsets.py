"""Embedded rows with some inputs removed or permuted; every encoder runs once per row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
import torch
from torch import Tensor

from polymodal.data.collator import Collator
from polymodal.data.row_dataset import RowDataset
from polymodal.models.blend import BlendedModel
from polymodal.models.inference import move
from polymodal.models.predictor import EmbeddedCells, Predictor
from polymodal.utils.cancelling import stop_if_cancelled
from polymodal.utils.deadline import NO_LIMIT, Deadline, in_time
from polymodal.utils.device import computing_in
from polymodal.utils.out_of_memory import RowsAtOnce

TIMED_BATCH = 32
"""Rows at once where a deadline may end the work after any batch."""
STACKED = 512
"""Rows that a blend answers at once, about: its plain models take as long to begin as for many rows."""
MOST_KEPT = 2**29
"""Bytes of embedded rows that are kept between analyses."""
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

    def pick(self, rows: Tensor) -> EmbeddedRows:
        """Some rows ``(picked,)`` of the batch."""
        return EmbeddedRows(
            self.index[rows],
            {name: entry.pick(rows) for name, entry in self.embedded.items()},
            {name: entry.pick(rows) for name, entry in self.missing.items()},
            {name: target[rows] for name, target in self.targets.items()},
            self.unread[rows],
        )

    def beside(self, other: EmbeddedRows) -> EmbeddedRows:
        """These rows, then those of ``other``."""
        return EmbeddedRows(
            torch.cat([self.index, other.index]),
            {name: entry.beside(other.embedded[name]) for name, entry in self.embedded.items()},
            {name: entry.beside(other.missing[name]) for name, entry in self.missing.items()},
            {name: torch.cat([target, other.targets[name]]) for name, target in self.targets.items()},
            torch.cat([self.unread, other.unread]),
        )

    def having(self, subset: frozenset[str]) -> dict[str, EmbeddedCells]:
        """The rows with only the inputs in ``subset``, as far as they have them."""
        return {
            name: entry if name in subset else self.missing[name] for name, entry in self.embedded.items()
        }

    def stacked(self, subsets: Sequence[frozenset[str]]) -> dict[str, EmbeddedCells]:
        """All rows with the first subset of the inputs, as :meth:`having`, then with the second, …."""
        every, result = torch.arange(len(self.index)), {}
        for name, entry in self.embedded.items():
            missing = [0 if name in subset else len(every) for subset in subsets]
            if all(missing):  # one token long, however many the input has
                result[name] = self.missing[name].pick(every.repeat(len(subsets)))
                continue
            both = entry.beside(self.missing[name])
            result[name] = both.pick(torch.cat([every + first for first in missing]))
        return result

    def together(self, subsets: Sequence[frozenset[str]], size: int) -> list[Sequence[frozenset[str]]]:
        """The subsets in parts of ``size`` that lack the same large inputs, as far as possible."""
        large = sorted(self.embedded, key=lambda name: self.embedded[name].nbytes, reverse=True)
        ordered = sorted(subsets, key=lambda subset: [name in subset for name in large])
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]

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


class KeptRows:
    """Embedded rows that are kept for the next analysis of the same rows, up to a limit of memory.

    Encoders and features then run once per row, not once per analysis.

    Args:
        limit: Bytes of what is kept; other rows are embedded every time.
    """

    def __init__(self, limit: int = MOST_KEPT) -> None:
        self.limit, self.size = limit, 0
        self._parts: list[EmbeddedRows] = []
        self._places: dict[int, tuple[int, int]] = {}

    def lacks(self, indices: Sequence[int]) -> list[int]:
        """Those of ``indices`` that are not kept."""
        return [index for index in indices if index not in self._places]

    def add(self, batch: EmbeddedRows) -> None:
        """Keep a batch, if there is room."""
        size = sum(entry.nbytes for entry in batch.embedded.values())
        if self.size + size > self.limit:
            return
        self.size += size
        for position, index in enumerate(batch.index.tolist()):
            self._places[index] = len(self._parts), position
        self._parts.append(batch)

    def take(self, indices: Sequence[int], others: EmbeddedRows | None) -> EmbeddedRows:
        """The rows ``indices``, of those kept and ``others``."""
        positions = {} if others is None else {row: at for at, row in enumerate(others.index.tolist())}
        wanted: dict[int, list[int]] = {}
        for index in indices:
            part, at = (-1, positions[index]) if index in positions else self._places[index]
            wanted.setdefault(part, []).append(at)
        parts = [self._parts[n] if n >= 0 or others is None else others for n in wanted]
        picked = [part.pick(torch.tensor(at)) for part, at in zip(parts, wanted.values(), strict=True)]
        whole = picked[0]
        for more in picked[1:]:
            whole = whole.beside(more)
        order = {row: at for at, row in enumerate(whole.index.tolist())}
        return whole.pick(torch.tensor([order[index] for index in indices]))


def count_batches(rows: int, batch_size: int, deadline: Deadline = NO_LIMIT) -> int:
    """The number of batches of :func:`embed_rows`, where the deadline leaves time for all."""
    return -(-rows // (min(batch_size, TIMED_BATCH) if deadline.is_set else batch_size))


def embed_rows(
    model: Predictor,
    rows: RowDataset,
    *,
    batch_size: int = 128,
    precision: str = "fp32",
    order: Sequence[int] | np.ndarray | None = None,
    deadline: Deadline = NO_LIMIT,
    kept: KeptRows | None = None,
) -> Iterator[EmbeddedRows]:
    """Batches of ``rows``, all or those of ``order``, through the encoders and the embedding.

    The first batch always comes; another one only where it can be embedded and used before the deadline.
    Rows are taken from ``kept``, as far as it has them, and kept there.
    """
    model.eval()
    batch_size = min(batch_size, TIMED_BATCH) if deadline.is_set else batch_size
    every = list(range(len(rows))) if order is None else [int(index) for index in order]
    at_once, embed = (
        RowsAtOnce(batch_size, model.device),
        partial(_embedded, model, rows, precision=precision),
    )
    for start in in_time(range(0, len(every), batch_size), deadline):
        indices = every[start : start + batch_size]
        new = indices if kept is None else kept.lacks(indices)
        batch = _joined(part for _, part in at_once.work(new, embed)) if new else None
        if batch is not None and len(new) == len(indices):
            yield batch
        elif kept is not None:
            yield kept.take(indices, batch)
        if kept is not None and batch is not None:
            kept.add(batch)


def _joined(parts: Iterable[EmbeddedRows]) -> EmbeddedRows:
    """The parts of a batch as one."""
    return reduce(EmbeddedRows.beside, parts)


def _embedded(model: Predictor, rows: RowDataset, indices: Sequence[int], precision: str) -> EmbeddedRows:
    """Some rows through the encoders and the embedding."""
    stop_if_cancelled()
    batch = Collator(rows.processor)(rows.__getitems__(indices))
    with torch.inference_mode(), computing_in(model.device, precision):
        index = batch["index"].to(model.device)
        embedded = model.embed(index, move(batch["inputs"], model.device))
        missing = model.embed(index, {})
    unread = torch.isin(batch["index"], torch.tensor(list(batch.get("problems", ())), dtype=torch.long))
    return EmbeddedRows(batch["index"], embedded, missing, batch["targets"], unread)


@torch.inference_mode()
def logits_of(model: Predictor, embedded: Embedded, precision: str = "fp32") -> dict[str, Tensor]:
    """The logits of every head for embedded rows, in main memory."""
    stop_if_cancelled()
    with computing_in(model.device, precision):
        return {name: logits.float().cpu() for name, logits in model.predict_embedded(embedded).items()}


def subset_logits(
    model: Predictor, batch: EmbeddedRows, subsets: Sequence[frozenset[str]], precision: str = "fp32"
) -> Iterator[tuple[frozenset[str], dict[str, Tensor]]]:
    """Each subset of the inputs with the logits of a batch that has these alone; a blend answers several at
    once, in an order of its own."""
    rows = len(batch.index)
    at_once = max(1, STACKED // max(1, rows)) if isinstance(model, BlendedModel) else 1
    for part in batch.together(subsets, at_once):
        if len(part) == 1:
            yield part[0], logits_of(model, batch.having(part[0]), precision)
            continue
        logits = logits_of(model, batch.stacked(part), precision)
        for number, subset in enumerate(part):
            own = slice(number * rows, (number + 1) * rows)
            yield subset, {name: values[own] for name, values in logits.items()}
