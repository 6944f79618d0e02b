"""What the command line prints of answers in words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from polymodal.cli.show import brief, console, print_remarks, print_titled, titled_table
from polymodal.generation.language_metrics import NONE


def show_words(folder: Path, results: Mapping[str, Any], command: str) -> None:
    """Test metrics, the same without each input, where the run lies, and what to do next."""
    out, trained = console(), results["train"]
    ((column, metrics),) = results["test"].items()
    if metrics:
        print_titled(words_table(metrics, results), f"{results['rows']['test']} test rows: {column}")
    epochs = f"{round(trained['epochs'], 2):g} epochs in {trained['seconds']:.0f} s"
    speed = f"{trained['tokens_per_second']:.0f} tokens a second"
    best = f"best epoch {round(results['validation']['epoch'], 2):g}"
    out.print(f"Trained on {results['rows']['train']} rows, {epochs}, {speed}; {best}.", soft_wrap=True)
    print_remarks(results["warnings"], results["notes"])
    out.print(f"The run lies in {folder}, its answers in predictions.parquet. Use it:", soft_wrap=True)
    run = shlex.quote(str(folder))
    out.print(f"  {command} chat {run}", soft_wrap=True)
    out.print(f"  {command} predict {run} TABLE -o answers.parquet", soft_wrap=True)


def words_table(metrics: Mapping[str, float], results: Mapping[str, Any]) -> Table:
    """A row for the whole test, one for each input left out, one for each set of items that rows have."""
    table = titled_table()
    table.add_column("the model is given")
    for name in metrics:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row("everything", *map(brief, metrics.values()))
    for name, figures in results["without"].items():
        what = "nothing but text" if name == "all" else f"all but {name}"
        table.add_row(what, *(brief(figures[key]) for key in metrics))
    for name, figures in results["present"].items():
        what = "of text alone" if name == NONE else f"with {name}"
        table.add_row(f"rows {what} ({figures['rows']})", *(brief(figures[key]) for key in metrics))
    return table
