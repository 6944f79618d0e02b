"""Options that several commands share, and functions that apply them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from polymodal import api
from polymodal.cli.help import MACHINE, MODEL, ROWS, WORDS
from polymodal.cli.skipped import OnError, as_settings
from polymodal.cli.streams import holds_all_characters


class Precision(StrEnum):
    """What may follow ``--precision``."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Task(StrEnum):
    """What may follow ``--task``; others follow from the targets."""

    generation = "generation"


TableArg = Annotated[
    str, typer.Argument(metavar="TABLE", help="CSV, TSV, JSONL, Parquet, Excel, or a saved dataset folder.")
]
SourceArg = Annotated[str, typer.Argument(metavar="TABLE|run.yaml", help="A table, or a declaration.")]
RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that a fit wrote.")]
Target = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", metavar="COLUMN", help="Column to learn; may be repeated."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--inputs", "-i", metavar="COLUMNS", help="Columns to read, with commas between; may be repeated."
    ),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        "--task",
        metavar="TASK",
        rich_help_panel=WORDS,
        help="generation: answer in words, by --prompt and --answer.",
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="TEXT",
        rich_help_panel=WORDS,
        help="Answer in words: what is asked, such as '{photo} {question}'.",
    ),
]
Answer = Annotated[
    str | None,
    typer.Option(
        "--answer",
        metavar="TEXT",
        rich_help_panel=WORDS,
        help="With --prompt: what is to be said, '{answer}'.",
    ),
]
SampleWeight = Annotated[
    str | None,
    typer.Option(
        "--sample-weight",
        metavar="COLUMN",
        rich_help_panel=ROWS,
        help="Column that says how much each row counts.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", rich_help_panel=MODEL, help="Any setting, such as train.epochs=3."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        rich_help_panel=MODEL,
        help="Models to try: fast (plain ones), good (and the neural one; the default), best (tuned).",
    ),
]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        metavar="10m",
        rich_help_panel=MODEL,
        help="Seconds, or 10m, that all may take; what does not fit is left out.",
    ),
]
Epochs = Annotated[
    float | None,
    typer.Option("--epochs", metavar="N", rich_help_panel=MODEL, help="Of the neural model. [by the rows]"),
]
TrainingBatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, metavar="N", rich_help_panel=MODEL, help="Rows per step."),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", metavar="X", rich_help_panel=MODEL, help="Of all new weights."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="N", rich_help_panel=MODEL, help="Of all draws. [0]")
]
ReportAmount = Annotated[
    Literal["none", "short", "full"] | None,
    typer.Option(
        "--report",
        metavar="AMOUNT",
        rich_help_panel=MODEL,
        help="none, short or full. [full where it takes 10 seconds, else short]",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="PATH", help="The run folder.")]
TrainingDevice = Annotated[
    str | None, typer.Option("--device", metavar="DEVICE", rich_help_panel=MACHINE, help="cpu, cuda or mps.")
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="RUN",
        rich_help_panel=MODEL,
        help="A run whose encoders, embedding and fusion go on.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")]
Offline = Annotated[
    bool,
    typer.Option("--offline", rich_help_panel=MACHINE, help="Download nothing, as HF_HUB_OFFLINE=1 does."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", rich_help_panel=MACHINE, help="cpu, cuda, cuda:1 or mps."),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision", metavar="NAME", rich_help_panel=MACHINE, help="fp32, or bf16 or fp16 for speed."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        rich_help_panel=MACHINE,
        help="Threads on a CPU. [training: the fastest; else the run's own]",
    ),
]
TableOutput = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE",
        help="A .parquet, .csv, .tsv, .jsonl or .xlsx file, or - for CSV on standard output. [shows 10 rows]",
    ),
]  # fmt: skip
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, metavar="N", rich_help_panel=MACHINE,
        help="Processes; then -o is a folder of Parquet parts, which the same command completes.",
    ),
]  # fmt: skip


class Engine(StrEnum):
    """What may follow ``--engine``."""

    processes = "processes"
    ray = "ray"


EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine", metavar="NAME", rich_help_panel=MACHINE,
        help="Where workers are: processes of this machine, or ray: the cluster of RAY_ADDRESS.",
    ),
]  # fmt: skip
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="COLUMNS",
        help="Columns of the table to carry over, with commas between; may be repeated.",
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", min=1, metavar="N", rich_help_panel=MACHINE, help="Rows at once.")
]


def load_run(
    run: Path, device: str | None, precision: Precision | None, threads: int | None = None
) -> api.Run:
    """The run of a folder, on a device; one that answers in words is refused."""
    api.require_run(run)  # before torch is imported
    api.use_threads(threads, run)
    return api.Run.load(run, device=device, precision=(precision or Precision.fp32).value)


def load_any_run(
    run: Path, device: str | None, precision: Precision | None, threads: int | None = None
) -> api.Run | api.LanguageRun:
    """The same, also of a run that answers in words."""
    api.require_run(run)
    api.use_threads(threads, run)
    return api.load(run, device=device, precision=(precision or Precision.fp32).value)


def load_with_table(
    run: Path,
    table: Any,
    device: str | None,
    precision: Precision | None,
    threads: int | None,
    load: Callable[..., api.Run | api.LanguageRun] = load_any_run,
) -> tuple[Any, api.Table]:
    """The run of a folder, and a table: what is wrong with it is reported before torch is imported."""
    api.require_run(run)
    rows = api.read_table(table)
    return load(run, device, precision, threads), rows


def option_name(argument: str) -> str:
    """``--zero-shot`` of ``zero_shot``."""
    return f"--{argument.replace('_', '-')}"


def refuse_of_words(**given: object) -> None:
    """Refuse options that a run of a language model does not support.

    Raises:
        BadParameter: At the first one that is given.
    """
    for name, value in given.items():
        if value:
            raise typer.BadParameter("this run answers in words", param_hint=option_name(name))


def printed(content: dict[str, Any], as_json: bool) -> bool:
    """Print ``content`` as JSON if ``as_json``; returns ``as_json``."""
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=not holds_all_characters(sys.stdout), default=str))
    return as_json


def with_settings(
    settings: list[str] | None,
    on_error: OnError | None,
    device: str | None,
    precision: Precision | None,
    start: Path | None,
    labels: str | None = None,
    weight: str | None = None,
    threads: int | None = None,
) -> list[str]:
    """The settings of ``--set``, and those that other options are shorthands of."""
    given: dict[str, Any] = {
        "train.device": device,
        "train.precision": precision and precision.value,
        "train.threads": threads,
        "data.labels": labels,
    }
    given["start"] = json.dumps(str(start)) if start else None
    given["data.sample_weight"] = json.dumps(weight) if weight else None  # a column may be called 1
    named = [f"{name}={value}" for name, value in given.items() if value]
    return [*(settings or []), *as_settings(on_error), *named]


def running(limit: str | None) -> api.Deadline | None:
    """The deadline of ``--time-limit``, counted from now; None without one.

    Raises:
        BadParameter: If it is no length of time.
    """
    if limit is None:
        return None
    try:
        return api.Deadline.start(api.read_limit(limit))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--time-limit") from None


def require_templates(task: Task | None, prompt: str | None, answer: str | None, source: str) -> None:
    """Refuse ``--task generation`` on a table without templates of prompt and answer.

    Raises:
        BadParameter: If either is missing.
    """
    if task and not (prompt and answer) and not source.lower().endswith((".yaml", ".yml")):
        raise typer.BadParameter("it needs --prompt and --answer, or a declaration", param_hint="--task")


def resumable(stop: BaseException) -> typer.Exit:
    """Print how to resume a fit that was stopped; returns an exit with the status of the signal."""
    terminated = isinstance(stop, api.Terminated)
    if not int(os.environ.get("RANK", 0)):  # of several processes, the one that prints
        what = "terminated" if terminated else "interrupted"
        typer.echo(f"{what}: the same command with --resume goes on from the last checkpoint", err=True)
    return typer.Exit(143 if terminated else 130)


def split(names: str | list[str] | None) -> list[str]:
    """Names with commas between, of an option that may be repeated."""
    given = [names] if isinstance(names, str) else names or []
    return [name.strip() for some in given for name in some.split(",") if name.strip()]


def command_name() -> str:
    """How this command was called, to print commands that can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_near(Path(sys.executable))} -m polymodal"
    on_path = shutil.which(called.name)
    is_on_path = not called.exists() or (on_path is not None and Path(on_path).samefile(called))
    return called.name if is_on_path else _near(called)


def _near(path: Path) -> str:
    """``path`` from the current folder if it lies below it, else whole; links are left as they are."""
    whole = Path(os.path.abspath(path))
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)
