"""Content ids of cells, equal for rows with the same image or caption."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np

from polymodal.data.cache.memory import cell_key, digest
from polymodal.data.media.path_access import Root
from polymodal.data.readers import NumberReader, Reader
from polymodal.data.readers.items import each_item
from polymodal.data.tables.table import Table, each_cell
from polymodal.data.values.column_values import as_label
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.progress import progress


def contents(run: PredictionRun, table: Table, name: str, rows: np.ndarray, quiet: bool = True) -> np.ndarray:
    """Content ids ``(rows,)``, equal where the cells of an input hold the same; -1 for other rows.

    Files are compared by their bytes, wherever they lie, texts letter by letter, lists item by item.

    Args:
        run: Has read these rows.
        table: The rows.
        name: The input.
        rows: ``(rows,)`` bool, true for cells to read.
        quiet: Show no progress.
    """
    reader = run.processor.readers[name]
    known: dict[bytes, int] = {}
    seen: dict[Hashable, int] = {}
    result = np.full(len(table), -1, dtype=np.int64)
    if not rows.any():  # the column may not be there
        return result
    cells: Iterable[Any] = each_cell(table.values(name))
    if not quiet:
        cells = progress(cells, f"comparing {name}", len(table))
    for row, cell in enumerate(cells):
        if not rows[row]:
            continue
        key = cell_key(cell)
        if key is None or key not in seen:
            content = digest(*_items(reader, cell, table.root))
            seen[content if key is None else key] = known.setdefault(content, len(known))
        result[row] = seen[content if key is None else key]
    return result


def _items(reader: Reader, cell: Any, root: Root) -> Iterator[bytes]:
    if isinstance(reader, NumberReader):
        yield repr(reader.read(cell, root)).encode()
        return
    for _, item in each_item(cell, reader.modality):
        if reader.modality == "category":
            yield as_label(item).encode("utf-8", "surrogatepass")
        elif isinstance(item, list) or (isinstance(item, dict) and item.get("array") is not None):
            yield repr(item).encode()  # pixels, samples or steps: no file
        else:
            yield reader.content(item, root)
