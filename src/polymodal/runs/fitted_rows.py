"""Rows of a fit among those that its run is measured on: the figures would be too good."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from polymodal.data.tables.table import Table
from polymodal.errors import one_line, worded
from polymodal.runs.core import RunBase
from polymodal.training.declaration.source import MEMORY, memory_digest, table_digest
from polymodal.training.output_folder import read_results
from polymodal.training.recorded_metrics import FitResults


def fitted_rows(run: RunBase[Any, Any], table: Table) -> int:
    """How many rows of ``table`` had a part in the fit, where it is the whole table of the fit; else 0.

    Args:
        run: That is measured.
        table: What it is measured on. The rows of one split, which are no whole table, are as requested.

    Raises:
        RunError: If ``metrics.json`` of the run cannot be read.
        OSError: If the file of the table cannot be read.
    """
    results = read_results(run.folder)
    fitted = sum(results.rows.get(split, 0) for split in ("train", "validation"))
    if table.numbers is not None or not 0 < fitted <= len(table):
        return 0
    return fitted if _is_table_of(results, run, table) else 0


def repeats_fit(run: RunBase[Any, Any], table: Table) -> str:
    """A warning where rows of ``table`` had a part in the fit; else empty. Raises as :func:`fitted_rows`."""
    fitted = fitted_rows(run, table)
    if not fitted:
        return ""
    others = worded("--split test measures the others", "metrics.json has the figures of the others")
    return (
        f"{one_line(table.name, 250)}: {fitted:,} of these {len(table):,} rows had a part in the fit, so "
        f"that the figures are better than on new rows; {others}"
    )


def described_rows(run: RunBase[Any, Any], table: Table) -> str:
    """What a report calls the rows of a table; Python warns of rows that had a part in the fit.

    Raises:
        RunError: See :func:`fitted_rows`.
        OSError: Likewise.
    """
    fitted = fitted_rows(run, table)
    if not fitted:
        return "given rows"
    own = worded("polymodal report RUN measures the others", "run.report() measures the others")
    warnings.warn(
        f"{one_line(table.name, 250)}: {fitted:,} of these {len(table):,} rows had a part in the fit; {own}",
        stacklevel=3,
    )
    return f"given rows, {fitted:,} of which had a part in the fit"


def _is_table_of(results: FitResults, run: RunBase[Any, Any], table: Table) -> bool:
    """Whether a table is that of training, by the digest of its file or of its cells in memory."""
    if MEMORY in results.data:
        return memory_digest(table, run.declaration) == results.data[MEMORY]
    file = Path(table.name)
    return "train" in results.data and file.exists() and table_digest(file) == results.data["train"]
