"""A linear probe: what a plain linear model reads from frozen vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.embedding_eval.embedded_inputs import chosen_inputs
from polymodal.embedding_eval.probe_fitting import fit_classes, fit_numbers
from polymodal.embedding_eval.probe_splits import NAMES, own_splits
from polymodal.embedding_eval.probe_table import Reading
from polymodal.embedding_eval.probe_targets import classes_of, find_task, majority
from polymodal.embedding_eval.split_data import Part, part_of
from polymodal.errors import DataError, Problem, RunError
from polymodal.evaluation.metrics.estimates import class_estimates, number_estimates
from polymodal.evaluation.statistics.bootstrap import Bootstrap

if TYPE_CHECKING:
    from polymodal.run import Run

FEWEST = 2
Choose = Callable[[np.ndarray], np.ndarray]
"""The answers of the training rows → the places of those that train."""


def linear_probe(
    run: Run,
    source: Any,
    target: str,
    *,
    input: str | None = None,
    task: str | None = None,
    choose: Choose | None = None,
    **reading: Any,
) -> dict[str, Any]:
    """Fit a linear model on the run's vectors of the training rows, and measure it on the test rows.

    Logistic regression for classes, ridge regression for numbers, on standardized vectors; how much it is
    held back is chosen on the validation rows. The splits are those of :func:`own_splits`.

    Args:
        run: Stays as it is.
        source: A table with the target.
        target: A column of classes or numbers.
        input: Whose vectors to use; by default the fused ones.
        task: ``classification`` or ``regression``; by default as the run declares it, or the column looks.
        choose: Which of the labelled training rows train; by default all.
        reading: See :class:`Reading`; without ``split``.

    Returns:
        ``metrics`` on the test rows, an estimate each: ``accuracy``, ``balanced_accuracy`` and ``macro_f1``,
        or ``r2``, ``rmse`` and ``mae``; beside them ``majority`` (the commonest class of the training rows
        and its accuracy) or ``mean`` (of the training rows, and its errors); ``rows`` by split,
        ``left_out``, ``chosen`` (the setting and its score on the validation rows), and what was asked,
        ``input`` None for the fused vectors; as JSON has it.

    Raises:
        RunError: If the run has no such input, or what was asked does not fit.
        DataError: If the table cannot be read, lacks the target, or a split has no row to use.
    """
    asked = Reading(**reading)
    if asked.split:
        raise RunError("a linear probe takes all splits of a table, not one")
    chosen_inputs(run, [input] if input else [])
    if target in (run.model.config.input_names if input is None else [input]):
        cure = "Name one that does not with --input (input=)"
        raise RunError(f"{run.folder}: the vectors read '{target}' itself. {cure}")
    table = asked.table(run, source)
    task = find_task(run, table, target, task)
    tables = own_splits(run, table)
    parts = {name: part_of(run, tables[name], name, target, task, input, asked) for name in NAMES}
    if choose is not None:
        parts["train"] = parts["train"].select(choose(parts["train"].answers))
    if task == "classification" and len(set(parts["train"].answers)) < FEWEST:
        found = f"the class '{parts['train'].answers[0]}' in all {len(parts['train'].answers)} training rows"
        raise DataError(Problem(file=table.name, column=target, found=found, expected="two classes or more"))
    measure = _classes if task == "classification" else _numbers
    test = parts["test"]
    return {
        "target": target, "task": task, "input": input, "width": test.vectors.shape[1],
        "rows": {name: len(part.answers) for name, part in parts.items()},
        "left_out": {name: part.left_out for name, part in parts.items()},
        **measure(parts["train"], parts["validation"], test, asked),
        "grouped_by": test.grouped_by,
    }  # fmt: skip


def _classes(train: Part, validation: Part, test: Part, asked: Reading) -> dict[str, Any]:
    """A probe of classes: one that training never saw is never said, and counts as a mistake."""
    names = classes_of(np.concatenate([part.answers for part in (train, validation, test)]))
    place = {name: number for number, name in enumerate(names)}
    model, chosen = fit_classes(train.rows, validation.rows, asked.quiet)
    said, true = (
        np.array([place[entry] for entry in part]) for part in (model.predict(test.vectors), test.answers)
    )
    bootstrap, common = Bootstrap(test.groups, seed=asked.seed), majority(train.answers)
    return {
        "classes": names,
        "metrics": class_estimates(said, true, len(names), bootstrap),
        "majority": {"class": common, "accuracy": float((test.answers == common).mean())},
        "chosen": chosen,
        "groups": bootstrap.count,
    }


def _numbers(train: Part, validation: Part, test: Part, asked: Reading) -> dict[str, Any]:
    """A probe of numbers."""
    model, chosen = fit_numbers(train.rows, validation.rows, asked.quiet)
    bootstrap, mean = Bootstrap(test.groups, seed=asked.seed), float(train.answers.mean())
    plain = number_estimates(np.full(len(test.answers), mean), test.answers, bootstrap)
    return {
        "metrics": number_estimates(model.predict(test.vectors), test.answers, bootstrap),
        "mean": {"answer": mean, **{name: entry["value"] for name, entry in plain.items()}},
        "chosen": chosen,
        "groups": bootstrap.count,
    }
