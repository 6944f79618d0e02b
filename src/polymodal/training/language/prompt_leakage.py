"""What would make a test flatter the model: rows that ask what training rows ask too."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import numpy as np

from polymodal.data.cache.memory import cell_key
from polymodal.errors import Problem
from polymodal.training.language.conversation_rows import ConversationRows, Row
from polymodal.training.language.language_job import LanguageJob

CURE = "Leave them out, or split by a column that keeps them together (data.group)."


def asked_again(job: LanguageJob) -> list[Problem]:
    """A warning for each split of which rows ask, in equal words and with equal items, what training asks."""
    learned: dict[Hashable, int] = {}
    for stage in job.stages:
        for place, key in _asked(stage.rows["train"]):
            learned.setdefault(key, int(stage.rows["train"].numbers[place]) + 1)
    warnings = []
    for split, rows in job.asked.items():
        again = [(place, learned[key]) for place, key in _asked(rows) if key in learned]
        if again:
            place, same = again[0]
            found = (
                f"{len(again)} of {len(rows)} {split} rows ask what training rows ask, this one as row {same}"
            )
            row = int(rows.numbers[place]) + 1
            warnings.append(Problem(file=rows.table.name, row=row, found=found, cure=CURE))
    return warnings


def _asked(rows: ConversationRows) -> Iterator[tuple[int, Hashable]]:
    """What each row asks, with its place; nothing of a row that lacks all that it would ask by."""
    for place, row in enumerate(rows.rows):
        if row.encoded.media or not rows.keeps_one:
            asked = row.encoded.ids if rows.reply else _prompt(row)
            yield place, (asked.tobytes(), *_items(rows, row))


def _prompt(row: Row) -> np.ndarray:
    """The tokens before the last answer."""
    learned = row.encoded.learned
    starts = np.flatnonzero(learned & ~np.r_[False, learned[:-1]])
    return row.encoded.ids[: starts[-1]]


def _items(rows: ConversationRows, row: Row) -> Iterator[Hashable]:
    for media in row.encoded.media:
        key = cell_key(media.cell)
        yield rows.table.root, id(media) if key is None else key  # what has no key is equal to no other
