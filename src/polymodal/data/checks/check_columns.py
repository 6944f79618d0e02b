"""Problems and warnings of the cells of each column that is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from polymodal.data.checks.split_view import Parts
from polymodal.data.readers.content import Content
from polymodal.data.schema.column_summary import describe_classes, describe_numbers, describe_text
from polymodal.data.schema.recognition import looks_like
from polymodal.data.targets import TARGETS, target_content
from polymodal.data.values.forms import form_of
from polymodal.errors import Problem

MOSTLY_EMPTY = 0.9
FEW_ROWS_A_CLASS = 5
FEWEST_ROWS = 2
SINGLE_SHARE = 0.9  # of the answers are different where they are no classes
FEWEST_SINGLE = 10
MOST_DATES = 20
NAMED = 5
UNSEEN_CURE = "They cannot be answered rightly: add training rows of them, or leave these rows out."


@dataclass
class Findings:
    """Problems, which stop a fit, and warnings, which do not."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def check_input(parts: Parts, name: str, findings: Findings) -> str:
    """Add the problems and warnings of one input; a description of its content."""
    nothing = parts.empty("train", name)
    share = float(nothing.mean())
    if nothing.all():
        reason = f"all {len(nothing)} training cells are empty"
        fix = "Leave the column out of the inputs, or fill it."
        findings.problems.append(parts.problem("train", None, name, reason, cure=fix))
    elif share > MOSTLY_EMPTY:
        reason = f"{nothing.sum()} of {len(nothing)} training cells are empty"
        findings.warnings.append(
            parts.problem("train", None, name, reason, cure="It can teach the model little.")
        )
    holds = parts.holds(name)
    if holds is Content.NUMBER:
        fix = "Correct the cell, leave it empty, or read the column as text or category."
        findings.problems += _no_numbers(parts, name, fix)
        return describe_numbers(parts, name)
    if holds is Content.CATEGORY:
        findings.warnings += _unseen(parts, name, "categories", "They are read as 'another category'.")
        return describe_classes(parts, name, "categories")
    return describe_text(parts, name) if holds is Content.TEXT else ""


def _no_numbers(parts: Parts, name: str, cure: str) -> list[Problem]:
    """A problem for every cell that is no number."""
    problems = []
    for split in parts.having(name):
        values = parts.tables[split].values(name)
        for index in parts.numbers(split, name)[1]:
            reason = repr(values[int(index)].as_py())
            mend = (
                "Write it as the others are, nothing between thousands." if _has_separators(reason) else cure
            )
            written = parts.formats.get(name)
            expected = f"a number, written as {written}" if written else "a number"
            problems.append(parts.problem(split, int(index), name, reason, expected=expected, cure=mend))
    return problems


def _refused(parts: Parts, name: str) -> list[Problem]:
    """A problem for every number that the target's task cannot learn."""
    reader = TARGETS[parts.roles[name]]
    return [
        parts.problem(split, int(row), name, repr(parts.tables[split].values(name)[int(row)].as_py()),
                      expected=refusal.expected, cure=refusal.cure)
        for split in parts.having(name)
        for refusal in reader.refuse(parts.numbers(split, name)[0])
        for row in np.flatnonzero(refusal.rows)
    ]  # fmt: skip


def _has_separators(found: str) -> bool:
    digits = found.strip("'\" ").replace(",", "").replace(".", "").lstrip("+-")
    return "," in found and digits.isdigit()


def _unseen(parts: Parts, name: str, what: str, cure: str) -> list[Problem]:
    """A warning for each split with labels that training never saw."""
    known = {*parts.labels("train", name), ""}
    warnings = []
    for split in parts.having(name):
        labels = parts.labels(split, name)
        new = [index for index, label in enumerate(labels) if label not in known]
        if new:
            reason = f"{what} that training never saw: {named(sorted({labels[index] for index in new}))}"
            reason += f" ({len(new)} of {len(labels)} {split} rows)"
            warnings.append(parts.problem(split, new[0], name, reason, cure=cure))
    return warnings


def _unseen_rows(parts: Parts, name: str) -> list[Problem]:
    """A problem for every row of a class that training never saw."""
    known = {*parts.labels("train", name), ""}
    return [
        parts.problem(split, row, name, f"the class '{label}'", expected="one that training saw",
                      cure="Add training rows of it.")
        for split in parts.having(name)
        for row, label in enumerate(parts.labels(split, name))
        if label not in known
    ]  # fmt: skip


def named(names: list[str]) -> str:
    """The first of ``names``, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:NAMED]) + more


def check_target(parts: Parts, name: str, findings: Findings) -> str:
    """Problems and warnings of one target; its classes or range, in words."""
    is_classes = parts.holds(name) is Content.CATEGORY
    if not is_classes:
        fix = "Correct the cell or leave it empty, or set the target's task to classification."
        findings.problems += _no_numbers(parts, name, fix) + _refused(parts, name)
    filled = ~parts.empty("train", name)
    labels, counts = np.unique(parts.labels("train", name)[filled].astype(str), return_counts=True)
    if filled.sum() < FEWEST_ROWS:
        none = f"all {len(filled)} training cells are empty"
        reason = f"only {filled.sum()} training row has an answer" if filled.any() else none
        fix = "Name another target, or fill it."
        findings.problems.append(
            parts.problem("train", None, name, reason, expected="answers to learn", cure=fix)
        )
    elif len(labels) == 1:
        reason = f"every training row is '{labels[0]}'"
        expected = "two classes or more" if is_classes else "numbers that differ"
        fix = "Name another target, or add rows of others."
        findings.problems.append(parts.problem("train", None, name, reason, expected=expected, cure=fix))
    answers = ~parts.empty("validation", name) if "validation" in parts.having(name) else np.array([])
    if filled.sum() >= FEWEST_ROWS:
        check_validation(parts, name, answers, findings)
    if not is_classes:
        return describe_numbers(parts, name)
    if _hardly_repeat(parts, name, labels, findings):
        return describe_classes(parts, name, "classes")
    check_rare(parts, name, dict(zip(map(str, labels), counts, strict=True)), findings)
    unseen = _unseen_rows(parts, name) if parts.every else _unseen(parts, name, "classes", UNSEEN_CURE)
    findings.problems += unseen
    return describe_classes(parts, name, "classes")


def _hardly_repeat(parts: Parts, name: str, labels: np.ndarray, findings: Findings) -> bool:
    """Whether a target's classes are nearly as many as its rows, which is a problem, or are dates."""
    answers = np.concatenate([parts.labels(split, name) for split in parts.having(name)])
    rows, names = int((answers != "").sum()), sorted({*map(str, answers)} - {""})
    is_single = rows >= FEWEST_SINGLE and len(names) >= SINGLE_SHARE * rows
    if not is_single and form_of(names) != "dates":
        return False
    what, fix = looks_like(names)
    reason = f"{len(names)} different answers in {rows} rows, which look like {what}: {named(names)}"
    problem = parts.problem("train", None, name, reason, expected="classes that come back", cure=fix)
    is_refused = is_single or len(names) > MOST_DATES
    (findings.problems if is_refused else findings.warnings).append(problem)
    return is_refused


def below_zero(parts: Parts, name: str) -> list[Problem]:
    """A warning for each split with numbers below 0, whose logarithm of 1 + x cannot be learnt."""
    warnings = []
    for split in parts.having(name):
        rows = np.flatnonzero(parts.numbers(split, name)[0] < 0)
        if len(rows):
            reason = f"{len(rows)} of the numbers are below 0, and 'transform: log' takes them for 0"
            fix = "Leave such cells empty if they stand for unknown amounts"
            warnings.append(parts.problem(split, int(rows[0]), name, reason, cure=fix))
    return warnings


def check_validation(
    parts: Parts, name: str, answers: np.ndarray, findings: Findings, what: str = "an answer"
) -> None:
    """Report that none of the validation rows has an answer: ``answers`` ``(rows,)`` bool."""
    if not len(answers) or answers.any():
        return
    fix = "Without one no epoch can be told to be better than another."
    several = sum(target_content(role) is not None for role in parts.roles.values()) > 1
    problems = findings.warnings if several else findings.problems
    problems.append(parts.problem("validation", None, name, f"no validation row has {what}", cure=fix))


def check_rare(parts: Parts, name: str, counts: Mapping[str, int], findings: Findings) -> None:
    """Warn of classes with few training rows."""
    rare = [label for label, count in counts.items() if count < FEW_ROWS_A_CLASS]
    if rare:
        few = f"fewer than {FEW_ROWS_A_CLASS} training rows"
        reason = f"{len(rare)} of {len(counts)} classes have {few}: {named(rare)}"
        findings.warnings.append(
            parts.problem("train", None, name, reason, cure="They will hardly be learnt.")
        )
