"""Rows of a fit's table kept in its run folder, with the answers that the trained run gives to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from polymodal.artifact.integrity import add_sums
from polymodal.artifact.sample_files import discard_samples, write_rows
from polymodal.artifact.samples import ROWS, SAMPLES, Sample, Samples
from polymodal.config import Declaration
from polymodal.data.media.cells import MediaError
from polymodal.data.tables.table import Table
from polymodal.runs.core import AnyRun
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import JsonObject
from polymodal.verification.answers import answers_of
from polymodal.verification.sample_cells import CellWriter, Column, UnkeptError
from polymodal.verification.sample_rows import row_order

ROOM = 20 * 2**20
"""Bytes of media that the samples of a run may have."""
TRIED = 4
"""Rows that are tried for each one to keep; more have media that are too large."""


@dataclass(frozen=True)
class SampleSource:
    """Rows that samples may be of.

    Attributes:
        split: Their name.
        table: The rows.
        numbers: ``(rows,)`` their numbers in the table of the fit, from 0.
        columns: That the run reads.
        targets: Columns whose values are to be covered.
    """

    split: str
    table: Table
    numbers: np.ndarray
    columns: Mapping[str, Column]
    targets: Sequence[str] = ()


def keeps_samples(declaration: Declaration) -> bool:
    """Whether a run keeps rows of its table: not private ones, nor where pages show no cells."""
    return declaration.shows_cells and declaration.report.samples > 0


def write_samples(run: AnyRun, source: SampleSource, most: int) -> Samples:
    """Keep rows with the run's answers in its folder, and add their checksums.

    Args:
        run: In memory, with its folder written.
        source: The rows.
        most: How many are kept.

    Raises:
        PolymodalError: If the run cannot answer them.
        OSError: If they cannot be written.
    """
    discard_samples(run.folder)
    writer = CellWriter(run.folder / SAMPLES, ROOM)
    kept: dict[int, JsonObject] = {}
    left_out = 0
    for index in islice(row_order(source.table, list(source.columns), source.targets), TRIED * most):
        if len(kept) == most:
            break
        row = source.table.row(index)
        cells = {name: row[name] for name in source.columns if name in row}
        try:
            kept[index] = writer.row(cells, source.columns, source.table.root)
        except (UnkeptError, MediaError):
            left_out += 1
    return _written(run, source, dict(sorted(kept.items())), writer, left_out)


def _written(
    run: AnyRun, source: SampleSource, kept: Mapping[int, JsonObject], writer: CellWriter, left_out: int
) -> Samples:
    table = source.table.select(np.array(list(kept), dtype=np.int64))
    answers = answers_of(run, table) if kept else []
    rows = [
        Sample(int(source.numbers[index]) + 1, cells, answer)
        for (index, cells), answer in zip(kept.items(), answers, strict=True)
    ]
    files = list(writer.files)
    samples = Samples(writer.folder, source.split, device_of(run), rows, left_out, files)
    writer.folder.mkdir(parents=True, exist_ok=True)
    writer.write()
    write_rows(samples)
    add_sums(run.folder, [ROWS, *(f"{SAMPLES}/{name}" for name in files)])
    return samples


def device_of(run: AnyRun) -> str:
    """What a run computes on: ``cpu``, ``cuda`` or ``mps``."""
    if isinstance(run, PredictionRun) and run.plain is not None:
        return "cpu"
    return str(run.model.device.type)
