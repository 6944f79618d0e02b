"""Co-occurrence of inputs in rows: how many rows a contrastive pre-training can use."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from polymodal.config import ObjectiveConfig
from polymodal.data.readers import Reader
from polymodal.data.tables.table import Table, each_cell
from polymodal.errors import DataError, Problem

FEWEST_PAIRS = 2
"""Smallest number of rows with two inputs: a single one has no other row to be contrasted with."""


def presence(table: Table, readers: Mapping[str, Reader]) -> dict[str, np.ndarray]:
    """By input ``(rows,)`` bool: which rows of ``table`` have a value."""
    present = {}
    for name, reader in readers.items():
        cells = each_cell(table.values(name)) if name in table.columns else [None] * len(table)
        present[name] = np.array([not reader.is_empty(cell) for cell in cells], dtype=bool)
    return present


def count_pairs(there: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Number of rows that have both inputs of a pair, by ``first+second``."""
    return {
        f"{first}+{second}": int((there[first] & there[second]).sum())
        for first, second in combinations(there, 2)
    }


def check_pairs(
    splits: Mapping[str, Table], objectives: Mapping[str, ObjectiveConfig], readers: Mapping[str, Reader]
) -> list[str]:
    """Check that contrastive objectives have rows with two inputs; notes on how many rows they use.

    Raises:
        DataError: If an objective compares inputs, and fewer than two rows hold two of those.
    """
    if not objectives:
        return []
    from polymodal.models.objectives.base import OBJECTIVES  # which needs torch

    table, notes = splits["train"], []
    there = presence(table, readers)
    held = np.sum(list(there.values()), axis=0)
    single = int((held == 1).sum())
    for name, config in objectives.items():
        if not OBJECTIVES[name].compares:
            continue
        taking = config.inputs or list(there)
        several = int((np.sum([there[column] for column in taking], axis=0) > 1).sum())
        if several < FEWEST_PAIRS:
            reason = f"{several} training rows hold two of the inputs {', '.join(taking)}"
            fix = "Fill more cells, name other inputs, or learn by masked_patch or masked_text"
            expected = f"at least {FEWEST_PAIRS} for the objective '{name}'"
            raise DataError(Problem(file=table.name, found=reason, expected=expected, cure=fix))
        skipped = len(table) - several
        if skipped:
            notes.append(f"{name}: {several} rows hold two inputs or more, {skipped} others are skipped")
    compared = [name for name in objectives if OBJECTIVES[name].compares]
    validated = np.sum(list(presence(splits["validation"], readers).values()), axis=0)
    if compared and int((validated > 1).sum()) < FEWEST_PAIRS:
        fix = "Give more validation rows to choose an epoch by it"
        notes.append(f"{', '.join(compared)}: no two validation rows hold two inputs. {fix}")
    masked = [name for name in objectives if not OBJECTIVES[name].compares]
    if masked and single:
        notes.append(f"{', '.join(masked)}: {single} rows with a single input are used too")
    return notes
