"""What a pre-training prints."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from polymodal.cli.show import console, print_remarks
from polymodal.cli.show_probing import show_retrieval


def show_pretraining(folder: Path, results: Mapping[str, Any], command: str, source: str) -> None:
    """The losses at the start and at the best epoch, where the run lies, and what to do next."""
    out, trained, rows = console(), results["train"], results["rows"]["train"]
    best = results["validation"]
    table = Table(title="Losses", title_justify="left", box=None, pad_edge=False)
    table.add_column("objective")
    for name in ("first", "last", "validation"):
        table.add_column(name, justify="right")
    for name, (first, last) in results["losses"].items():
        validation = best.get(f"{name}.loss", best.get(name))
        told = f"{validation:.4f}" if validation is not None else ""
        table.add_row(name, f"{first:.4f}", f"{last:.4f}", told)
    out.print(table)
    if results["retrieval"]:
        show_retrieval(results["retrieval"], f"{results['rows']['test']} test rows")
    spent = f"{round(trained['epochs'], 2):g} epochs in {trained['seconds']:.0f} s"
    out.print(f"Learned from {rows} rows, {spent}; best epoch {round(best['epoch'], 2):g}.", soft_wrap=True)
    print_remarks(results["warnings"], results["notes"])
    out.print(f"The run lies in {folder}. Use it:", soft_wrap=True)
    run = shlex.quote(str(folder))
    out.print(f"  {command} fit TABLE --target COLUMN --from {run} -o runs/tuned", soft_wrap=True)
    if results["space"]:
        out.print(f"  {command} index {run} TABLE -o runs/index", soft_wrap=True)
