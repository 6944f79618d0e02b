"""Rows labelled without training: each by the class whose name lies nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_label
from polymodal.embedding_eval.class_prompts import GAP, check_prompts, class_vectors, prompt_reader
from polymodal.embedding_eval.embedded_inputs import chosen_inputs, require_space
from polymodal.embedding_eval.probe_table import Reading, Vectors, unit
from polymodal.embedding_eval.probe_targets import classes_of, find_task, groups_of, labels_of, majority
from polymodal.errors import DataError, Problem, RunError
from polymodal.evaluation.metrics.estimates import class_estimates
from polymodal.evaluation.statistics.bootstrap import Bootstrap

if TYPE_CHECKING:
    from polymodal.run import Run

FEWEST = 2


def zero_shot(
    run: Run,
    source: Any,
    target: str,
    *,
    prompts: Sequence[str] = (GAP,),
    classes: Sequence[str] = (),
    prompt_input: str | None = None,
    inputs: Sequence[str] = (),
    **reading: Any,
) -> dict[str, Any]:
    """Answer ``target`` by the nearest class, and measure it against the table.

    A row is the mean of the unit vectors of its inputs, a class see :func:`class_vectors`; the nearest has
    the largest cosine. What reads the prompts takes no part in the row, nor does the target.

    Args:
        run: Shares a space and reads text.
        source: A table with the target.
        target: A column of classes.
        prompts: With ``{}`` where the name of the class goes.
        classes: Their names; by default those that occur. Rows of others are left out.
        prompt_input: What reads the prompts; by default the only input of text.
        inputs: That speak for a row; by default all others.
        reading: See :class:`Reading`.

    Returns:
        ``metrics`` (``accuracy``, ``balanced_accuracy``, ``macro_f1``, an estimate each), ``chance``,
        ``majority`` (the commonest class, and its share), ``rows`` that were measured, ``left_out`` (how many
        and why), ``groups`` that they fall in, and what was asked; as JSON has it.

    Raises:
        RunError: If the run shares no space or reads no text, or what was asked does not fit it.
        DataError: If the table cannot be read, lacks the target or two classes, or has no row to measure.
    """
    require_space(run, "labelling without training")
    check_prompts(prompts)
    reader, asked = prompt_reader(run, prompt_input), Reading(**reading)
    table = asked.table(run, source)
    names = classes_in(run, table, target, classes)
    others = _others(run, inputs, {reader, target})
    labels = labels_of(table, target)
    wanted = np.flatnonzero(np.isin(labels, names))
    left_out = {"no_answer": int((labels == "").sum()), "other_classes": 0, "no_input": 0, "unread": 0}
    left_out["other_classes"] = len(table) - len(wanted) - left_out["no_answer"]
    _require_rows(wanted, table, others)
    asked_rows = table.select(wanted)
    vectors = asked.vectors(run, asked_rows)
    measured = np.flatnonzero(vectors.has_any(others))
    left_out["unread"] = int(vectors.unread.sum())
    left_out["no_input"] = len(wanted) - len(measured) - left_out["unread"]
    _require_rows(measured, table, others)
    likeness = row_vectors(vectors, others)[measured] @ class_vectors(run, names, prompts, reader, asked).T
    groups, grouped_by = groups_of(run, asked_rows, others)
    return {
        "target": target, "classes": names, "prompts": list(prompts), "prompt_input": reader,
        "inputs": others, "rows": len(measured), "left_out": left_out,
        **_measured(likeness.argmax(axis=1), labels[wanted][measured], names, groups[measured], asked.seed),
        "grouped_by": grouped_by,
    }  # fmt: skip


def _require_rows(rows: np.ndarray, table: Table, inputs: Sequence[str]) -> None:
    if not len(rows):
        found = f"no row has a class and one of {', '.join(inputs)}"
        raise DataError(Problem(file=table.name, found=found, expected="rows to label"))


def classes_in(run: Run, table: Table, target: str, classes: Sequence[str] = ()) -> list[str]:
    """The classes to choose from: those named, or all that occur.

    Raises:
        DataError: If there is no such column, or it holds no classes, or there are fewer than two.
        ConfigError: If the column holds pictures or the like.
    """
    if find_task(run, table, target, "classification" if classes else None) != "classification":
        cure = "Name the values to choose from with --classes, or measure it with --linear-probe"
        found = "numbers, which no prompt can name"
        raise DataError(Problem(file=table.name, column=target, found=found, cure=cure))
    names = list(dict.fromkeys(map(as_label, classes))) or classes_of(labels_of(table, target))
    if len(names) < FEWEST:
        what = f"the class '{names[0]}' alone" if names else "no class at all"
        raise DataError(Problem(file=table.name, column=target, found=what, expected="two classes or more"))
    return names


def row_vectors(vectors: Vectors, names: Sequence[str]) -> np.ndarray:
    """Unit vectors ``(rows, width)``: of each row the mean of the unit vectors of some inputs that it has."""
    total = sum(np.where(vectors.has[name][:, None], unit(vectors.inputs[name]), 0) for name in names)
    return unit(np.asarray(total))


def _others(run: Run, inputs: Sequence[str], apart: set[str]) -> list[str]:
    """The inputs that speak for a row."""
    others = [name for name in chosen_inputs(run, inputs) if name not in apart]
    if not others:
        among = f"among {', '.join(inputs)} " if inputs else ""
        raise RunError(
            f"{run.folder}: no input {among}is left to label by, besides {', '.join(sorted(apart))}"
        )
    return others


def _measured(
    said: np.ndarray, labels: np.ndarray, names: Sequence[str], groups: np.ndarray, seed: int
) -> dict[str, Any]:
    place = {name: number for number, name in enumerate(names)}
    true = np.array([place[label] for label in labels])
    bootstrap, common = Bootstrap(groups, seed=seed), majority(labels)
    return {
        "metrics": class_estimates(said, true, len(names), bootstrap),
        "chance": 1 / len(names),
        "majority": {"class": common, "accuracy": float((labels == common).mean())},
        "groups": bootstrap.count,
    }
