"""The command that measures a run: its targets, and what its vectors are worth by themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polymodal import api
from polymodal.cli.help import ROWS, VECTORS
from polymodal.cli.options import (
    BatchSize,
    Device,
    Json,
    PrecisionOption,
    RunArg,
    TableArg,
    Threads,
    load_with_table,
    option_name,
    printed,
    refuse_of_words,
    split,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.show import literal, print_titled, show_metrics, titled_table
from polymodal.cli.skipped import OnError, OnErrorOption, tell_findings, warn

if TYPE_CHECKING:
    from rich.console import Console

RECALLS = {"recall_at_1": "recall@1", "recall_at_5": "recall@5", "recall_at_10": "recall@10"}
LEFT_OUT = {
    "no_answer": "have no answer", "other_classes": "are of other classes",
    "no_input": "have nothing to read", "unread": "could not be read",
}  # fmt: skip
SHOWN = 8
"""Classes and prompts that are named in a line."""


class Split(StrEnum):
    """What may follow ``--split``."""

    train = "train"
    validation = "validation"
    test = "test"


class Task(StrEnum):
    """What may follow ``--task``."""

    classification = "classification"
    regression = "regression"


Retrieval = Annotated[
    bool,
    typer.Option(
        "--retrieval",
        rich_help_panel=VECTORS,
        help="How well each input finds every other, in a shared space.",
    ),
]
ZeroShot = Annotated[
    str | None,
    typer.Option(
        "--zero-shot", metavar="TARGET", rich_help_panel=VECTORS, help="Label by the nearest class name."
    ),
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompts",
        metavar="TEXT",
        rich_help_panel=VECTORS,
        help="With --zero-shot: such as 'a drawing of {}'; may be repeated.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="NAMES",
        rich_help_panel=VECTORS,
        help="With --zero-shot: commas between. [all that occur]",
    ),
]
PromptInput = Annotated[
    str | None,
    typer.Option(
        "--prompt-input",
        metavar="COLUMN",
        rich_help_panel=VECTORS,
        help="With --zero-shot: the input that reads the prompts.",
    ),
]
LinearProbe = Annotated[
    str | None,
    typer.Option(
        "--linear-probe", metavar="TARGET", rich_help_panel=VECTORS, help="A linear model on the vectors."
    ),
]
ProbedInput = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="COLUMN",
        rich_help_panel=VECTORS,
        help="With --linear-probe: one input's vectors. [the fused ones]",
    ),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        "--task",
        metavar="TASK",
        rich_help_panel=VECTORS,
        help="With --linear-probe: how to read the target. [as it looks]",
    ),
]
OnlyInputs = Annotated[
    list[str] | None,
    typer.Option(
        "--inputs",
        "-i",
        metavar="COLUMNS",
        rich_help_panel=VECTORS,
        help="Only these find and are found, or are labelled by.",
    ),
]
Instead = Annotated[
    list[str] | None,
    typer.Option(
        "--as",
        metavar="INPUT=COLUMN",
        rich_help_panel=VECTORS,
        help="Read a column as that input; may be repeated.",
    ),
]
OnlySplit = Annotated[
    Split | None,
    typer.Option(
        "--split",
        metavar="NAME",
        rich_help_panel=ROWS,
        help="Only these rows, split as a fit would. [all rows]",
    ),
]


@reads_table
def evaluate(
    run: RunArg,
    table: TableArg,
    retrieval: Retrieval = False,
    zero_shot: ZeroShot = None,
    prompts: Prompts = None,
    classes: Classes = None,
    prompt_input: PromptInput = None,
    linear_probe: LinearProbe = None,
    input: ProbedInput = None,
    task: TaskOption = None,
    inputs: OnlyInputs = None,
    instead: Instead = None,
    only: OnlySplit = None,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Measure a run on a table with known targets, or the quality of its vectors."""
    _refuse_idle("--zero-shot", zero_shot, prompts=prompts, classes=classes, prompt_input=prompt_input)
    _refuse_idle("--linear-probe", linear_probe, input=input, task=task)
    if only and linear_probe is not None:
        raise typer.BadParameter("--linear-probe takes all splits of the table", param_hint="--split")
    opened, rows = load_with_table(run, table, device, precision, threads)
    if not isinstance(opened, api.Run):
        refuse_of_words(retrieval=retrieval, zero_shot=zero_shot, linear_probe=linear_probe, inputs=inputs,
                         **{"as": instead})  # fmt: skip
        settings = {"batch_size": batch_size, "split": only and only.value, "on_error": on_error or "refuse"}
        _evaluate_words(opened, rows, settings, as_json, title=f"{run} on {table}")
        return
    rejected: list[Any] = []
    labels: dict[str, Any] = {"target": zero_shot, "classes": split(classes), "prompt_input": prompt_input}
    columns = api.parse_instead(instead or [], opened.answerer.input_names)
    result = _without_warning(
        api.measure, opened, rows,
        retrieval=retrieval,
        labels=labels | ({"prompts": prompts} if prompts else {}) if zero_shot is not None else None,
        probe={"target": linear_probe, "input": input, "task": task} if linear_probe is not None else None,
        inputs=split(inputs), instead=columns,
        split=only, batch_size=batch_size, on_error=on_error or OnError.refuse, rejected=rejected,
        quiet=as_json,
    )  # fmt: skip
    warn(rejected, "left out")
    if only is None:
        tell_unseen(opened, rows, result)
    findings = tell_findings(
        _of_what_was_read(opened.inspect(rows.reading(columns) if columns else rows), result)
    )
    plain = with_warnings(result["targets"] if [*result] == ["targets"] else result, findings)
    plain = _weighing(opened, rows, result) | plain
    if not printed(plain, as_json):
        show_measured(result, title=f"{run} on {table}")


def _without_warning(measure: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``measure`` without its warning of missing sample weights, which :func:`_weighing` prints."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*by which the fit weighed its rows")
        return measure(*args, **kwargs)


def _weighing(run: Any, table: Any, results: Mapping[str, Any]) -> api.JsonObject:
    """Print whether the metrics use sample weights, if the fit did; returns ``weighted`` for JSON."""
    column = run.declaration.data.sample_weight
    if column is None:
        return {}
    if others := [name.replace("_", " ") for name in results if name != "targets"]:
        typer.echo(f"note: every row counts the same in {' and '.join(others)}", err=True)
    if "targets" not in results:
        return {"weighted": False}
    lacking = run.lacks_weights(table)
    typer.echo(f"warning: {lacking}" if lacking else f"note: rows count by '{column}'", err=True)
    return {"weighted": not lacking}


def _of_what_was_read(findings: api.Findings, results: Mapping[str, Any]) -> api.Findings:
    """``findings`` without absent inputs where only retrieval and labels by names were measured."""
    needs_all = {"targets", "linear_probe"} & {*results}
    return findings if needs_all else replace(findings, absent={})


def with_warnings(results: Mapping[str, Any], findings: Mapping[str, Any]) -> api.JsonObject:
    """Results for JSON, with the warnings about the table if there are any."""
    return {**({"warnings": findings["warnings"]} if findings["warnings"] else {}), **results}


def _evaluate_words(run: Any, table: Any, settings: dict[str, Any], as_json: bool, title: str) -> None:
    """Measure and print the metrics of generated answers."""
    rejected: list[Any] = []
    result = run.evaluate(table, rejected=rejected, **settings)
    warn(rejected, "left out")
    findings = tell_findings(run.inspect(table))
    if not printed(with_warnings(result, findings), as_json):
        show_metrics(result, title=title)


def _refuse_idle(option: str, given: str | None, **others: Any) -> None:
    """Refuse options that have an effect only together with ``option``."""
    for name, value in others.items():
        if value is not None and value != [] and given is None:
            raise typer.BadParameter(f"it goes with {option}", param_hint=option_name(name))


def show_measured(results: Mapping[str, Any], title: str) -> None:
    """Print a table of each kind of result."""
    shows = {
        "targets": show_metrics, "retrieval": show_retrieval, "zero_shot": show_zero_shot,
        "linear_probe": show_linear_probe,
    }  # fmt: skip
    for name, figures in results.items():
        shows[name](figures, title)


def tell_unseen(run: api.Run, rows: api.Table, results: Mapping[str, Any]) -> None:
    """Note on standard error that measured rows may be training rows of the run."""

    if {"retrieval", "zero_shot"} & {*results} and (seen := api.trained_on(run, rows)):
        note = f"{seen} of these {len(rows)} rows are marked for training; --split test measures the others"
        api.Remarks().show(notes=[note])


def show_retrieval(results: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Three lines a direction: the values, their intervals, and what chance would give."""
    table = titled_table(collapse_padding=True)
    table.add_column("query → found", overflow="fold", min_width=16)
    for head in ("queries", "among", *RECALLS.values(), "median rank", "mAP"):
        table.add_column(head, justify="right")
    for name, way in results.items():
        metrics = [(key, way[key]) for key in (*RECALLS, "median_rank", "map")]
        counts = f"{way['queries']:,}", f"{way['candidates']:,}"
        table.add_row(
            api.one_line(name, 80), *counts, *(_bare(key, entry["value"]) for key, entry in metrics)
        )
        table.add_row("  95 % interval", "", "", *(_bare_ends(key, entry) for key, entry in metrics))
        table.add_row("  by chance", "", "", *(_bare(key, way["chance"][key]) for key in RECALLS), "", "")
    out = print_titled(table, f"{title}: retrieval, recall and mAP in %")
    few = [api.one_line(name, 80) for name, way in results.items() if way["groups"] < api.FEWEST_GROUPS]
    if few:
        found_few = f"Fewer than {api.FEWEST_GROUPS} independent queries, so the intervals are too narrow"
        out.print(literal(f"{found_few}: {'; '.join(few)}"), soft_wrap=True)


def show_zero_shot(results: Mapping[str, Any], title: str) -> None:
    """Metrics beside chance and the most common class, then the inputs and prompts used."""
    rows, common = results["rows"], results["majority"]
    table = titled_table()
    for head in ("metric", "value", "95 % interval", "by chance", "commonest class"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for name, entry in results["metrics"].items():
        beside = (_share(results["chance"]), _share(common["accuracy"])) if name == "accuracy" else ("", "")
        table.add_row(api.NAMES[name], _said(name, entry["value"]), _ends(name, entry), *beside)
    out = print_titled(
        table, f"{title}: {api.one_line(results['target'], 80)} without training, {rows:,} rows"
    )
    prompts = _some([f"‘{api.one_line(prompt, 80)}’" for prompt in results["prompts"]])
    commonest = f"the commonest class is ‘{api.one_line(common['class'], 80)}’"
    among = f"among {len(results['classes'])} classes ({_some(results['classes'])})"
    named = f"named to ‘{results['prompt_input']}’ as {prompts}"
    out.print(literal(f"By {api.listed(results['inputs'])}, {among}, {named}; {commonest}."), soft_wrap=True)
    _tell(results, results["left_out"], out)


def show_linear_probe(results: Mapping[str, Any], title: str) -> None:
    """Metrics beside those of a constant prediction, then the settings of the probe."""
    rows = ", ".join(f"{count:,} {name}" for name, count in results["rows"].items())
    table = titled_table()
    plain = results.get("majority") or results["mean"]
    for head in ("metric", "value", "95 % interval", "commonest class" if "class" in plain else "the mean"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for name, entry in results["metrics"].items():
        beside = _said(name, plain[name]) if name in plain else ""
        table.add_row(
            api.NAMES.get(name, name.upper()), _said(name, entry["value"]), _ends(name, entry), beside
        )
    out = print_titled(table, f"{title}: linear probe of {api.one_line(results['target'], 80)}, {rows} rows")
    chosen = results["chosen"]
    strength = f"C {chosen['C']:g}" if "C" in chosen else f"alpha {chosen['alpha']:g}"
    vectors = f"the vector of ‘{results['input']}’" if results["input"] else "the fused vector"
    slow = "" if chosen.get("converged", True) else "; it did not converge, so there may be more in them"
    line = f"On {vectors} ({results['width']} numbers); {strength} was best on the validation rows{slow}."
    out.print(literal(line), soft_wrap=True)
    parts = results["left_out"].values()
    _tell(results, {name: sum(part[name] for part in parts) for name in results["left_out"]["test"]}, out)


def _tell(results: Mapping[str, Any], left_out: Mapping[str, int], out: Console) -> None:
    """Print what the intervals are based on, and which rows were skipped."""
    lines = []
    if results["grouped_by"]:
        lines.append(f"The intervals draw {results['grouped_by']} together: {results['groups']:,} groups.")
    if results["groups"] < api.FEWEST_GROUPS:
        lines.append(f"Fewer than {api.FEWEST_GROUPS} independent rows, so the intervals are too narrow.")
    why = [f"{count:,} {LEFT_OUT[name]}" for name, count in left_out.items() if count]
    if why:
        lines.append(f"Left out: {', '.join(why)}.")
    for line in lines:
        out.print(literal(line), soft_wrap=True)


def _said(name: str, value: float | None) -> str:
    """``98.7 %``, or a number as it is."""
    if value is None:
        return "–"
    if name == "median_rank":
        return f"{value:,.1f}".removesuffix(".0")
    is_share = name in api.SHARES or name in (*RECALLS, "map")
    return _share(value) if is_share else api.metric(name, value)


def _ends(name: str, entry: Mapping[str, Any]) -> str:
    if entry["low"] is None:
        return "no interval"
    return f"{_said(name, entry['low']).removesuffix(' %')} to {_said(name, entry['high'])}"


def _bare(name: str, value: float | None) -> str:
    """The same without its unit: a line of a wide table has no room for it."""
    return _said(name, value).removesuffix(" %")


def _bare_ends(name: str, entry: Mapping[str, Any]) -> str:
    return _ends(name, entry).removesuffix(" %")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _some(names: list[str]) -> str:
    """The first of ``names``, and how many there are more."""
    shown = ", ".join(api.one_line(name, 80) for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
