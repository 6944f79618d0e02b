"""Problems and warnings of a target of several labels."""

from __future__ import annotations

from collections import Counter

import numpy as np

from polymodal.data.checks.check_columns import (
    FEWEST_ROWS,
    UNSEEN_CURE,
    Findings,
    check_rare,
    check_validation,
    named,
)
from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import MediaError
from polymodal.data.values.labels import describe_labels, label_vocabulary, read_labels
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.errors import Problem

Rows = list[list[str] | None]


def check_labels(parts: Parts, name: str, separator: str | None, findings: Findings) -> str:
    """Problems and warnings of a target of several labels; its labels, in words."""
    rows = {split: _read(parts, split, name, separator, findings) for split in parts.having(name)}
    names = label_vocabulary(rows["train"])
    rows = {split: _named(part, names) for split, part in rows.items()}
    known = [labels for labels in rows["train"] if labels is not None]
    problem = _nothing_to_learn(known, len(rows["train"]))
    if problem:
        reason, expected = problem
        fix = "Name another target, or fill it."
        findings.problems.append(parts.problem("train", None, name, reason, expected=expected, cure=fix))
    else:
        # Ranking metrics are undefined if no validation row has a label.
        having = np.array([bool(labels) for labels in rows.get("validation", ())])
        check_validation(parts, name, having, findings, what="a label")
        counts = Counter(label for labels in known for label in labels)
        check_rare(parts, name, counts, findings)
        findings.problems += _unseen(parts, name, rows, {*counts})
    return describe_labels(labels for part in rows.values() for labels in part)


def _read(parts: Parts, split: str, name: str, separator: str | None, findings: Findings) -> Rows:
    """The labels of every row as they are spelled; a cell that cannot be read is a problem, and None."""
    rows: Rows = []
    missing = parts.train.missing
    for index, cell in enumerate(parts.tables[split].values(name).to_pylist()):
        try:
            rows.append(read_labels(cell, separator, missing, written=True))
        except MediaError as error:
            problem = parts.problem(split, index, name, error.found, expected=error.expected, cure=error.cure)
            findings.problems.append(problem)
            rows.append(None)
    return rows


def _named(rows: Rows, names: Vocabulary) -> Rows:
    """The labels of every row as they are compared."""
    return [None if labels is None else list(dict.fromkeys(map(names.label, labels))) for labels in rows]


def _nothing_to_learn(known: list[list[str]], rows: int) -> tuple[str, str] | None:
    """The problem and what was expected, if the training rows have nothing to learn from."""
    if len(known) < FEWEST_ROWS:
        reason = (
            f"only {len(known)} training row has an answer"
            if known
            else f"all {rows} training cells are empty"
        )
        return reason, "answers to learn"
    if not any(known):
        return f"none of the {len(known)} known training rows has a label", "labels to learn"
    if len({frozenset(labels) for labels in known}) == 1:
        return f"every training row has the labels {named(known[0])}", "rows with other labels, or without"
    return None


def _unseen(parts: Parts, name: str, rows: dict[str, Rows], seen: set[str]) -> list[Problem]:
    """A problem for each split with labels that training never saw; for each row where every one is named."""
    problems = []
    for split, part in rows.items():
        new: dict[int, set[str]] = {index: {*(labels or ())} - seen for index, labels in enumerate(part)}
        new = {index: labels for index, labels in new.items() if labels}
        if parts.every:
            problems += [
                parts.problem(split, index, name, f"the classes {named(sorted(labels))}",
                              expected="such as training saw", cure="Add training rows of them.")
                for index, labels in new.items()
            ]  # fmt: skip
        elif new:
            listed = named(sorted(set().union(*new.values())))
            reason = f"classes that training never saw: {listed} ({len(new)} of {len(part)} {split} rows)"
            problems.append(parts.problem(split, next(iter(new)), name, reason, cure=UNSEEN_CURE))
    return problems
