"""The command that measures a run: its targets, and what its vectors are worth by themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polymodal.cli.options import (
    BatchSize,
    Device,
    Json,
    PrecisionOption,
    RunArg,
    TableArg,
    Threads,
    load_any_run,
    printed,
    split,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.skipped import OnError, OnErrorOption, tell_findings, warn

if TYPE_CHECKING:
    from polymodal.data.checks.findings import Findings


class Split(StrEnum):
    """What may follow ``--split``."""

    train = "train"
    validation = "validation"
    test = "test"


class Task(StrEnum):
    """What may follow ``--task``."""

    classification = "classification"
    regression = "regression"


@reads_table
def evaluate(
    run: RunArg,
    table: TableArg,
    retrieval: Annotated[
        bool, typer.Option("--retrieval", help="How well each input finds every other, in a shared space.")
    ] = False,
    zero_shot: Annotated[
        str | None, typer.Option("--zero-shot", metavar="TARGET", help="Label by the nearest class name.")
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompts", help="With --zero-shot: such as 'a drawing of {}'; may be repeated."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="With --zero-shot: commas between. [all that occur]"),
    ] = None,
    prompt_input: Annotated[
        str | None, typer.Option("--prompt-input", help="With --zero-shot: the input that reads the prompts.")
    ] = None,
    linear_probe: Annotated[
        str | None,
        typer.Option("--linear-probe", metavar="TARGET", help="A linear model on the vectors."),
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", help="With --linear-probe: one input's vectors. [the fused ones]")
    ] = None,
    task: Annotated[
        Task | None, typer.Option("--task", help="With --linear-probe: how to read the target. [as it looks]")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--inputs", "-i", help="Only these find and are found, or are labelled by."),
    ] = None,
    instead: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="INPUT=COLUMN", help="Read a column as that input; may be repeated."),
    ] = None,
    only: Annotated[
        Split | None, typer.Option("--split", help="Only these rows, split as a fit would. [all rows]")
    ] = None,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Measure a run on a table whose targets are known, or what its vectors are worth by themselves."""
    _refuse_idle("--zero-shot", zero_shot, prompts=prompts, classes=classes, prompt_input=prompt_input)
    _refuse_idle("--linear-probe", linear_probe, input=input, task=task)
    if only and linear_probe is not None:
        raise typer.BadParameter("--linear-probe takes all splits of the table", param_hint="--split")
    from polymodal.cli.show_probing import show_measured, tell_unseen
    from polymodal.data.tables.table import read_table
    from polymodal.embedding_eval.embedding_metrics import measure
    from polymodal.embedding_eval.probe_inputs import parse_instead
    from polymodal.generation.language_run import LanguageRun

    opened = load_any_run(run, device, precision, threads)
    if isinstance(opened, LanguageRun):
        _refuse_of_words(retrieval=retrieval, zero_shot=zero_shot, linear_probe=linear_probe, inputs=inputs,
                         **{"as": instead})  # fmt: skip
        asked = {"batch_size": batch_size, "split": only and only.value, "on_error": on_error or "refuse"}
        _evaluate_words(opened, read_table(table), asked, as_json, title=f"{run} on {table}")
        return
    rejected: list[Any] = []
    labels: dict[str, Any] = {"target": zero_shot, "classes": split(classes), "prompt_input": prompt_input}
    rows, columns = read_table(table), parse_instead(instead or [], opened.model.config.input_names)
    found = _without_warning(
        measure, opened, rows,
        retrieval=retrieval,
        labels=labels | ({"prompts": prompts} if prompts else {}) if zero_shot is not None else None,
        probe={"target": linear_probe, "input": input, "task": task} if linear_probe is not None else None,
        inputs=split(inputs), instead=columns,
        split=only, batch_size=batch_size, on_error=on_error or OnError.refuse, rejected=rejected,
        quiet=as_json,
    )  # fmt: skip
    warn(rejected, "left out")
    if only is None:
        tell_unseen(opened, rows, found)
    told = tell_findings(_of_what_was_read(opened.inspect(rows.reading(columns) if columns else rows), found))
    plain = with_warnings(found["targets"] if [*found] == ["targets"] else found, told)
    plain = _weighing(opened, rows, found) | plain
    if not printed(plain, as_json):
        show_measured(found, title=f"{run} on {table}")


def _without_warning(measure: Callable[..., Any], *given: Any, **asked: Any) -> Any:
    """What is measured; :func:`_weighing` says what the run would warn of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*by which the fit weighed its rows")
        return measure(*given, **asked)


def _weighing(run: Any, table: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """Say whether the metrics weigh rows, where the fit did; ``weighted`` for JSON."""
    column = run.declaration.data.sample_weight
    if column is None:
        return {}
    if others := [name.replace("_", " ") for name in found if name != "targets"]:
        typer.echo(f"note: every row counts the same in {' and '.join(others)}", err=True)
    if "targets" not in found:
        return {"weighted": False}
    lacking = run.lacks_weights(table)
    typer.echo(f"warning: {lacking}" if lacking else f"note: rows count by '{column}'", err=True)
    return {"weighted": not lacking}


def _of_what_was_read(findings: Findings, found: Mapping[str, Any]) -> Findings:
    """``findings`` without absent inputs where only retrieval and labels by names were measured."""
    needs_all = {"targets", "linear_probe"} & {*found}
    return findings if needs_all else replace(findings, absent={})


def with_warnings(found: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Figures for JSON, beside them the warnings about the table where there are any."""
    return {**({"warnings": told["warnings"]} if told["warnings"] else {}), **found}


def _evaluate_words(run: Any, table: Any, asked: dict[str, Any], as_json: bool, title: str) -> None:
    """The metrics of answers in words."""
    from polymodal.cli.show import show_metrics

    rejected: list[Any] = []
    found = run.evaluate(table, rejected=rejected, **asked)
    warn(rejected, "left out")
    told = tell_findings(run.inspect(table))
    if not printed(with_warnings(found, told), as_json):
        show_metrics(found, title=title)


def _refuse_of_words(**asked: Any) -> None:
    """Refuse what a run that answers in words cannot be measured by."""
    for name, value in asked.items():
        if value:
            raise typer.BadParameter("this run answers in words", param_hint=_option(name))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _refuse_idle(option: str, given: str | None, **others: Any) -> None:
    """Refuse what would have no effect."""
    for name, value in others.items():
        if value is not None and value != [] and given is None:
            raise typer.BadParameter(f"it goes with {option}", param_hint=_option(name))
