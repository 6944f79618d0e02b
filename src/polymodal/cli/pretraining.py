"""The command that learns without targets: pretrain."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from polymodal.cli.options import (
    From,
    Inputs,
    Json,
    Output,
    Overwrite,
    PrecisionOption,
    Resume,
    Settings,
    SourceArg,
    Threads,
    TrainingDevice,
    command_name,
    printed,
    resumable,
    split,
    with_settings,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.skipped import OnErrorOption
from polymodal.errors import Terminated


@reads_table
def pretrain(
    source: SourceArg,
    inputs: Inputs = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            help="contrastive, sigmoid, matching, masked_text, masked_patch: several with commas between.",
        ),
    ] = None,
    output: Output = None,
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
    from polymodal import api
    from polymodal.cli.show_pretraining import show_pretraining
    from polymodal.utils import distributed as processes

    try:
        run = api.pretrain(
            source, inputs=split(inputs), objectives=split(objectives), output=output,
            settings=with_settings(settings, on_error, device, precision, start, threads=threads),
            resume=resume, overwrite=overwrite, quiet=as_json,
        )  # fmt: skip
        processes.stop()
    except (KeyboardInterrupt, Terminated) as stop:
        raise resumable(stop) from None
    if not processes.is_main():
        return
    results = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    results.pop("history")
    if not printed({"run": str(run.folder), **results}, as_json):
        show_pretraining(run.folder, results, command=command_name(), source=source)
