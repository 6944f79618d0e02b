"""Skip category columns whose held-out values are all absent from the training rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from polymodal.config import Declaration
from polymodal.data.readers.base import content_of
from polymodal.data.readers.content import Content
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_labels

FEWEST = 5  # held-out rows: in fewer, all values may be new by chance


def leave_out_unseen(
    declaration: Declaration, guesses: list[Guess], splits: Mapping[str, Table], given: Collection[str]
) -> list[Guess]:
    """Remove inputs from ``declaration`` whose held-out categories are all absent from the training rows.

    Such a column (a speaker, a shop) identifies groups of training rows and has no information on held-out
    rows, so that a model that uses it does not generalise.

    Args:
        declaration: Its inputs are changed; at least one remains.
        guesses: The inferred modality of each column.
        splits: The tables.
        given: Inputs that the user named, which are not removed.

    Returns:
        The guesses, with the reason for each column that is removed.
    """
    reasons = {}
    for name, config in list(declaration.inputs.items()):
        if (
            name in given
            or content_of(config.modality) is not Content.CATEGORY
            or len(declaration.inputs) == 1
        ):
            continue
        rows = _unseen_rows(name, splits)
        if rows >= FEWEST:
            del declaration.inputs[name]
            reasons[name] = f"none of its values in {rows} held-out rows stands in a training row"
    return [
        replace(guess, modality=None, reason=reasons[guess.column]) if guess.column in reasons else guess
        for guess in guesses
    ]


def _unseen_rows(name: str, splits: Mapping[str, Table]) -> int:
    """Number of held-out rows with a new value; 0 if any value is known, or a split has no value."""
    tables = [table for table in splits.values() if len(table)]
    if any(not table.has(name) for table in tables):
        return 0
    known = {*as_labels(splits["train"].values(name))} - {""}
    rows = 0
    for split, table in splits.items():
        labels = [label for label in as_labels(table.values(name)) if label] if len(table) else []
        if split != "train" and len(table):
            if not labels or any(label in known for label in labels):
                return 0
            rows += len(labels)
    return rows
