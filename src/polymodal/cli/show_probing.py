"""What ``polymodal evaluate`` prints of vectors: retrieval, labels without training, linear probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polymodal.cli.show import print_remarks, print_titled, show_metrics, titled_table
from polymodal.data.schema.column_summary import brief
from polymodal.errors import one_line
from polymodal.evaluation.statistics.bootstrap import FEWEST_GROUPS
from polymodal.report.number_text import MINUS, NAMES, SHARES, listed

if TYPE_CHECKING:
    from polymodal.data.tables.table import Table as Rows
    from polymodal.run import Run

RECALLS = {"recall_at_1": "recall@1", "recall_at_5": "recall@5", "recall_at_10": "recall@10"}
LEFT_OUT = {
    "no_answer": "have no answer", "other_classes": "are of other classes",
    "no_input": "have nothing to read", "unread": "could not be read",
}  # fmt: skip
SHOWN = 8
"""Classes and prompts that are named in a line."""


def show_measured(found: Mapping[str, Any], title: str) -> None:
    """Whatever was measured, a table each."""
    shows = {
        "targets": show_metrics, "retrieval": show_retrieval, "zero_shot": show_zero_shot,
        "linear_probe": show_linear_probe,
    }  # fmt: skip
    for name, figures in found.items():
        shows[name](figures, title)


def tell_unseen(run: Run, rows: Rows, found: Mapping[str, Any]) -> None:
    """Say on standard error that rows were measured which the run may have been trained on."""
    from polymodal.embedding_eval.probe_splits import trained_on

    if {"retrieval", "zero_shot"} & {*found} and (seen := trained_on(run, rows)):
        said = f"{seen} of these {len(rows)} rows are marked for training; --split test measures the others"
        print_remarks(notes=[said])


def show_retrieval(found: Mapping[str, Mapping[str, Any]], title: str) -> None:
    """Three lines a direction: the values, their intervals, and what chance would give."""
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column("query → found", overflow="fold", min_width=16)
    for head in ("queries", "among", *RECALLS.values(), "median rank", "mAP"):
        table.add_column(head, justify="right")
    for name, way in found.items():
        metrics = [(key, way[key]) for key in (*RECALLS, "median_rank", "map")]
        counts = f"{way['queries']:,}", f"{way['candidates']:,}"
        table.add_row(one_line(name, 80), *counts, *(_bare(key, entry["value"]) for key, entry in metrics))
        table.add_row("  95 % interval", "", "", *(_bare_ends(key, entry) for key, entry in metrics))
        table.add_row("  by chance", "", "", *(_bare(key, way["chance"][key]) for key in RECALLS), "", "")
    out = print_titled(table, f"{title}: retrieval, recall and mAP in %")
    few = [one_line(name, 80) for name, way in found.items() if way["groups"] < FEWEST_GROUPS]
    if few:
        out.print(Text(f"Fewer than {FEWEST_GROUPS} independent queries, so the intervals are too narrow: "
                       f"{'; '.join(few)}"), soft_wrap=True)  # fmt: skip


def show_zero_shot(found: Mapping[str, Any], title: str) -> None:
    """Its metrics beside chance and the commonest class, then by what it was labelled."""
    rows, common = found["rows"], found["majority"]
    table = titled_table()
    for head in ("metric", "value", "95 % interval", "by chance", "commonest class"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for name, entry in found["metrics"].items():
        beside = (_share(found["chance"]), _share(common["accuracy"])) if name == "accuracy" else ("", "")
        table.add_row(NAMES[name], _said(name, entry["value"]), _ends(name, entry), *beside)
    out = print_titled(table, f"{title}: {one_line(found['target'], 80)} without training, {rows:,} rows")
    prompts = _some([f"‘{one_line(prompt, 80)}’" for prompt in found["prompts"]])
    out.print(Text(f"By {listed(found['inputs'])}, among {len(found['classes'])} classes "
                   f"({_some(found['classes'])}), named to ‘{found['prompt_input']}’ as {prompts}; "
                   f"the commonest class is ‘{one_line(common['class'], 80)}’."), soft_wrap=True)  # fmt: skip
    _tell(found, found["left_out"], out)


def show_linear_probe(found: Mapping[str, Any], title: str) -> None:
    """Its metrics beside what says the same of every row, then what it was made of."""
    rows = ", ".join(f"{count:,} {name}" for name, count in found["rows"].items())
    table = titled_table()
    plain = found.get("majority") or found["mean"]
    for head in ("metric", "value", "95 % interval", "commonest class" if "class" in plain else "the mean"):
        table.add_column(head, justify="left" if head == "metric" else "right")
    for name, entry in found["metrics"].items():
        beside = _said(name, plain[name]) if name in plain else ""
        table.add_row(NAMES.get(name, name.upper()), _said(name, entry["value"]), _ends(name, entry), beside)
    out = print_titled(table, f"{title}: linear probe of {one_line(found['target'], 80)}, {rows} rows")
    chosen = found["chosen"]
    strength = f"C {chosen['C']:g}" if "C" in chosen else f"alpha {chosen['alpha']:g}"
    vectors = f"the vector of ‘{found['input']}’" if found["input"] else "the fused vector"
    slow = "" if chosen.get("converged", True) else "; it did not converge, so there may be more in them"
    said = f"On {vectors} ({found['width']} numbers); {strength} was best on the validation rows{slow}."
    out.print(Text(said), soft_wrap=True)
    parts = found["left_out"].values()
    _tell(found, {name: sum(part[name] for part in parts) for name in found["left_out"]["test"]}, out)


def _tell(found: Mapping[str, Any], left_out: Mapping[str, int], out: Console) -> None:
    """What the intervals stand on, and which rows were left out."""
    lines = []
    if found["grouped_by"]:
        lines.append(f"The intervals draw {found['grouped_by']} together: {found['groups']:,} groups.")
    if found["groups"] < FEWEST_GROUPS:
        lines.append(f"Fewer than {FEWEST_GROUPS} independent rows, so the intervals are too narrow.")
    why = [f"{count:,} {LEFT_OUT[name]}" for name, count in left_out.items() if count]
    if why:
        lines.append(f"Left out: {', '.join(why)}.")
    for line in lines:
        out.print(Text(line), soft_wrap=True)


def _said(name: str, value: float | None) -> str:
    """``98.7 %``, or a number as it is."""
    if value is None:
        return "–"
    if name == "median_rank":
        return f"{value:,.1f}".removesuffix(".0")
    return _share(value) if name in SHARES or name in (*RECALLS, "map") else brief(value).replace("-", MINUS)


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
    shown = ", ".join(one_line(name, 80) for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
