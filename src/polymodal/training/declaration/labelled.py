"""``data.labels``: a fit that learns from a part of the labels of its training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from polymodal.config import Declaration
from polymodal.data.splits.label_budget import choose_labelled
from polymodal.data.tables.table import Table
from polymodal.data.targets import TARGETS


def few_labels(splits: Mapping[str, Table], declaration: Declaration) -> dict[str, Table]:
    """The splits, of the training rows only those whose label is to be learned from.

    Raises:
        ConfigError: If there are fewer labels than classes.
    """
    if declaration.data.labels is None or not declaration.targets:
        return dict(splits)
    chosen = labelled_rows(splits["train"], declaration)
    return dict(splits) | {"train": splits["train"].select(chosen)}


def few_answers(splits: Mapping[str, Table], declaration: Declaration) -> dict[str, Table]:
    """The splits with all their rows, the targets of training rows that were not chosen emptied.

    For a fit that learns from rows without a label, too.

    Raises:
        ConfigError: If there are fewer labels than classes.
    """
    if declaration.data.labels is None or not declaration.targets:
        return dict(splits)
    chosen = labelled_rows(splits["train"], declaration)
    return dict(splits) | {"train": splits["train"].emptied(declaration.targets, chosen)}


def labelled_rows(train: Table, declaration: Declaration) -> np.ndarray:
    """The places in ``train`` of the rows that ``data.labels`` chooses, by the first target."""
    data = declaration.data
    assert data.labels is not None
    seed = declaration.train.seed if data.seed is None else data.seed
    return choose_labelled(first_answers(train, declaration), data.labels, seed)


def first_answers(train: Table, declaration: Declaration) -> list[Any]:
    """What the rows answer to the first target: names, numbers or lists; None or NaN where nothing."""
    name, config = next(iter(declaration.targets.items()))
    return TARGETS[config.family].known_answers(train.values(name), config, train.missing)


def label_notes(declaration: Declaration, train: Table) -> list[str]:
    """How many labels are learned from, where ``data.labels`` limits them."""
    labels = declaration.data.labels
    if labels is None or not declaration.targets:
        return []
    name = next(iter(declaration.targets))
    known = sum(answer is not None and answer == answer for answer in first_answers(train, declaration))
    if known < labels:
        return [f"data.labels is {labels:,}: all {known:,} labels of '{name}' are learned from"]
    return [f"data.labels is {labels:,}: {known:,} labels of '{name}' are learned from"]
