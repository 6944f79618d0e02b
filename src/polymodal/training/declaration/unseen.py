"""Categories that training never sees in the rows held out: such a column is left out of what is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from polymodal.config import Declaration
from polymodal.data.readers.base import Content, content_of
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_labels

FEWEST = 5  # rows held out: of fewer, a value may be new by chance


def leave_out_unseen(
    declaration: Declaration, guesses: list[Guess], splits: Mapping[str, Table], given: Collection[str]
) -> list[Guess]:
    """Take those inputs out of ``declaration`` whose held-out categories are all new to training.

    A speaker or a shop of which training has no row says nothing of it that a model could learn: as if read
    from an empty cell, while the rows that train are known by it.

    Args:
        declaration: Its inputs are changed; one is always left.
        guesses: What each column was taken for.
        splits: The tables.
        given: Inputs that the user named, which stay.

    Returns:
        The guesses, with the reason where a column is left out.
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
    """The held-out rows of which the value is new; 0 where any is known, or a split holds nothing."""
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
