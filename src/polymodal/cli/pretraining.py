"""The command that learns without targets: pretrain."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from polymodal import api
from polymodal.cli.evaluating import show_retrieval
from polymodal.cli.help import MODEL
from polymodal.cli.options import (
    Epochs,
    From,
    Inputs,
    Json,
    LearningRate,
    Output,
    Overwrite,
    PrecisionOption,
    Resume,
    Seed,
    Settings,
    SourceArg,
    Threads,
    TrainingBatchSize,
    TrainingDevice,
    command_name,
    printed,
    resumable,
    split,
    with_settings,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.show import console, titled_table
from polymodal.cli.skipped import OnErrorOption


@reads_table
def pretrain(
    source: SourceArg,
    inputs: Inputs = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            metavar="NAMES",
            rich_help_panel=MODEL,
            help="contrastive, sigmoid, matching, masked_text, masked_patch: several with commas between.",
        ),
    ] = None,
    output: Output = None,
    epochs: Epochs = None,
    batch_size: TrainingBatchSize = None,
    rate: LearningRate = None,
    seed: Seed = None,
    settings: Settings = None,
    on_error: OnErrorOption = None,
    device: TrainingDevice = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    start: From = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Learn from rows without targets; then: polymodal fit TABLE --target COLUMN --from RUN."""

    try:
        run = api.pretrain(
            source, inputs=split(inputs), objectives=split(objectives), output=output,
            settings=with_settings(settings, on_error, device, precision, start, threads=threads),
            resume=resume, overwrite=overwrite, quiet=as_json,
            epochs=epochs, batch_size=batch_size, learning_rate=rate, seed=seed,
        )  # fmt: skip
        api.stop_processes()
    except (KeyboardInterrupt, api.Terminated) as stop:
        raise resumable(stop) from None
    if not api.is_main_process():
        return
    results = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    results.pop("history")
    if not printed({"run": str(run.folder), **results}, as_json):
        show_pretraining(run.folder, results, command=command_name(), source=source)


def show_pretraining(folder: Path, results: Mapping[str, Any], command: str, source: str) -> None:
    """The losses at the start and at the best epoch, where the run lies, and what to do next."""
    out, trained, rows = console(), results["train"], results["rows"]["train"]
    best = results["validation"]
    table = titled_table("Losses")
    table.add_column("objective")
    for name in ("first", "last", "validation"):
        table.add_column(name, justify="right")
    for name, (first, last) in results["losses"].items():
        validation = best.get(f"{name}.loss", best.get(name))
        cell = f"{validation:.4f}" if validation is not None else ""
        table.add_row(name, f"{first:.4f}", f"{last:.4f}", cell)
    out.print(table)
    if results["retrieval"]:
        show_retrieval(results["retrieval"], f"{results['rows']['test']} test rows")
    spent = f"{round(trained['epochs'], 2):g} epochs in {trained['seconds']:.0f} s"
    out.print(f"Learned from {rows} rows, {spent}; best epoch {round(best['epoch'], 2):g}.", soft_wrap=True)
    out.print(f"The run lies in {folder}. Use it:", soft_wrap=True)
    run = shlex.quote(str(folder))
    out.print(f"  {command} fit TABLE --target COLUMN --from {run} -o runs/tuned", soft_wrap=True)
    if results["space"]:
        out.print(f"  {command} index {run} TABLE -o runs/index", soft_wrap=True)
