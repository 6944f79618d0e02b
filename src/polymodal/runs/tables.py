"""Write predictions or embeddings of a table to a file, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from polymodal.answers.batches import answer_types, batches_of
from polymodal.data.checks.rejected import SKIP
from polymodal.data.tables.kept_columns import KeptColumns
from polymodal.data.tables.table import read_table
from polymodal.data.tables.table_writing import check_output, write_table
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runs.row_errors import ERROR, Rows, errors_of
from polymodal.utils.progress import progress

if TYPE_CHECKING:  # a run of plain models needs no torch
    from polymodal.runs.generation_run import GenerationRun


def predict_to(
    run: PredictionRun | GenerationRun,
    source: Any,
    output: Path,
    *,
    probabilities: bool = False,
    batch_size: int = 128,
    on_error: str = "refuse",
    rejected: list[str] | None = None,
    keep: str | Sequence[str] = (),
) -> int:
    """Predict every row of a table and write the answers to a file, batch by batch.

    Args:
        run: Predicts.
        source: The rows, see :func:`polymodal.data.tables.table.read_table`.
        output: File to write; its suffix is the format, see
            :func:`polymodal.data.tables.table_writing.write_table`.
        probabilities: Write also the probability of each class.
        batch_size: Rows per batch.
        on_error: With ``skip`` the answers to a row that cannot be read are empty, and the column ``error``
            has the reason.
        rejected: These reasons are appended to it.
        keep: Columns of the table that are written before the answers.

    Returns:
        Number of rows.

    Raises:
        PolymodalError: If a cell cannot be read or the file cannot be written.
    """
    check_output(output)
    table = read_table(source)
    check_output(output, table.name)
    frames = note_errors(run.predict_batches(table, batch_size, probabilities, on_error, keep), rejected)
    shown = progress(frames, "predicting", batches_of(table, batch_size))
    types = {}
    if isinstance(run, PredictionRun):
        types = answer_types(run.answerer.decoders, run.reading.targets)
    return write_table(shown, output, types | KeptColumns(table, keep).types)


def note_errors(frames: Iterator[pd.DataFrame], rejected: list[str] | None) -> Iterator[pd.DataFrame]:
    """Yield ``frames`` unchanged; the texts of their column ``error`` are appended to ``rejected``."""
    for frame in frames:
        if rejected is not None and ERROR in frame:
            rejected.extend(frame[ERROR].dropna())
        yield frame


def embed_to(
    run: PredictionRun | GenerationRun,
    source: Any,
    output: Path,
    *,
    input: str | None = None,
    batch_size: int = 128,
    on_error: str = "refuse",
    rejected: list[str] | None = None,
    keep: str | Sequence[str] = (),
) -> int:
    """Embed every row of a table and write the vectors to a file, as the list column ``embedding``.

    CSV and Excel files have each vector as a JSON list.

    Args:
        run: Embeds.
        source: The rows, see :func:`polymodal.data.tables.table.read_table`.
        output: File to write; formats as in :func:`predict_to`.
        input: Embed this input alone; by default the fused row, or the prompt of a language model.
        batch_size: Rows per batch.
        on_error: With ``skip`` the vector of a row that cannot be read is NaN, and the column ``error`` has
            the reason.
        rejected: These reasons are appended to it.
        keep: Columns of the table that are written before the vectors.

    Returns:
        Number of rows.

    Raises:
        PolymodalError: If a cell cannot be read or the file cannot be written.
    """
    check_output(output)
    table = read_table(source)
    check_output(output, table.name)
    kept = KeptColumns(table, keep)
    frames = embed_frames(run.embed_batches(table, input, batch_size, on_error), on_error == SKIP, kept)
    noted = note_errors(frames, rejected)
    shown = progress(noted, "embedding", batches_of(table, batch_size))
    return write_table(shown, output, kept.types)


def embed_frames(
    batches: Iterable[tuple[np.ndarray, Rows]], skip: bool, kept: KeptColumns
) -> Iterator[pd.DataFrame]:
    """DataFrames with the column ``embedding``, per batch; with ``skip`` also the column ``error``."""
    for vectors, batch in batches:
        frame = pd.DataFrame({"embedding": list(vectors)})
        errors = {ERROR: pd.array(errors_of(batch), dtype="string")} if skip else {}
        yield kept.beside(frame.assign(**errors), batch.index)
