"""The number of tokens that a run reads of the texts of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polymodal.data.readers.text import TextReader
from polymodal.data.tables.table import read_table
from polymodal.runs.generation_run import GenerationRun
from polymodal.runs.prediction_run import PredictionRun


def text_tokens(run: PredictionRun | GenerationRun, rows: Sequence[Mapping[str, Any]]) -> int:
    """The number of tokens that a run keeps of the texts of all rows; of prompts where it answers in words.

    Pictures, recordings and clips are not read, and count as missing.

    Args:
        run: With vectors.
        rows: Cells by input.

    Raises:
        DataError: If a text cannot be read.
    """
    if isinstance(run, GenerationRun):
        texts = [
            {name: None if name in run.processor.readers else cell for name, cell in row.items()}
            for row in rows
        ]
        return int(run.readable(read_table(texts)).lengths.sum())
    reading = run.fused.reading
    names = [name for name, reader in reading.readers.items() if isinstance(reader.main, TextReader)]
    kept = [reading.read(name, row.get(name)) for row in rows for name in names]
    items = [item for value in kept for item in (value if isinstance(value, list) else [value])]
    return sum(len(item) for item in items if item is not None)
