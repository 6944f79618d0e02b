"""Training rows without what few of them hold: rare values go before anything is learned from them.

A run folder keeps names of categories and classes, words of a vocabulary and edges of bins. Each of those is
then held by at least ``rows`` training rows, as k-anonymity requires of published values (Sweeney 2002). This
bounds what the files of a run spell out; it does not bound what weights remember.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from polymodal.config import InputConfig, TargetConfig
from polymodal.data.readers.base import READERS, content_of
from polymodal.data.readers.content import Content
from polymodal.data.tables.table import Table
from polymodal.data.targets import TARGETS, TargetReader
from polymodal.data.values.column_values import as_label, as_labels, parse_numbers
from polymodal.data.values.labels import frequent
from polymodal.data.values.numbers import bounded

PIECES = re.compile(r"\w+|[^\w\s]+")
"""Words of a text, and runs of other marks."""


def generalise(
    splits: Mapping[str, Table],
    inputs: Mapping[str, InputConfig],
    targets: Mapping[str, TargetConfig],
    rows: int,
) -> dict[str, Table]:
    """The splits without values that fewer than ``rows`` training rows hold.

    Rare categories, classes and labels are empty, rare words are left out of texts, and numbers and dates lie
    between the mean of the ``rows`` lowest and that of the ``rows`` highest. Inputs change in training rows
    alone, where something is learned of them; classes and labels change everywhere, since no row could be
    judged by one that is not known.
    """
    train = splits["train"]
    changed = {name: _input(train, name, config, rows) for name, config in inputs.items()}
    changed = {name: values for name, values in changed.items() if values is not None}
    readers = {name: TARGETS[config.family] for name, config in targets.items()}
    numbers = {name: config for name, config in targets.items() if readers[name].holds is Content.NUMBER}
    for name, config in numbers.items():
        changed[name] = _bounded(train.values(name), config.format, rows)
    made = dict(splits) | {"train": train.adding(changed)}
    for name, config in targets.items():
        if readers[name].holds is Content.NUMBER:
            continue
        kept = frequent(_labels(readers[name], train.values(name), config), rows)
        for split, table in made.items():
            if name in table.columns and len(table):
                values = table.values(name)
                made[split] = table.adding(
                    {name: _without(values, _labels(readers[name], values, config), kept)}
                )
    return made


def _input(train: Table, name: str, config: InputConfig, rows: int) -> pa.ChunkedArray | None:
    """The training cells of an input; None where they stay as they are."""
    if name not in train.columns or not len(train):
        return None
    holds = content_of(config.modality)
    if holds is Content.NUMBER:
        return _bounded(train.values(name), config.format, rows)
    if holds is Content.CATEGORY:
        labels = as_labels(train.values(name))
        kept = frequent(([label] for label in labels), rows)
        return _masked(train.values(name), [label in kept for label in labels])
    if holds is Content.VALUE:
        return READERS[config.modality].without_rare(train.values(name), config, rows, train.missing)
    if holds is Content.TEXT:
        cells = [_texts(cell) for cell in train.values(name).to_pylist()]
        kept = frequent(({word for text in texts for word in _words(text)} for texts in cells), rows)
        return _array([" ".join(_kept(text, kept) for text in texts).strip() or None for texts in cells])
    return None


def _bounded(values: pa.ChunkedArray, written: str | None, rows: int) -> pa.ChunkedArray:
    """The numbers of a column, limited by :func:`polymodal.data.values.numbers.bounded`.

    Cells that hold no number stay, as texts among texts, so that the check names them.
    """
    numbers, bad = parse_numbers(values, written)
    limited = bounded(numbers, rows)
    if not len(bad):
        return pa.chunked_array([pa.array(limited, pa.float64(), from_pandas=True)])
    # With an exponent and all digits a number is read alike in every format of a column.
    cells = [None if math.isnan(number) else f"{number:.16e}" for number in limited]
    for index in bad:
        cells[index] = str(values[int(index)].as_py())
    return _array(cells)


def _labels(reader: type[TargetReader], values: pa.ChunkedArray, config: TargetConfig) -> list[list[str]]:
    """The classes or labels of each row."""
    return [labels or [] for labels in reader.labels(values, config)]


def _without(values: pa.ChunkedArray, rows: list[list[str]], kept: set[str]) -> pa.ChunkedArray:
    """The cells of a target that hold none but labels that are kept; of others, lists of those that are."""
    if all(len(labels) < 2 for labels in rows):
        return _masked(values, [set(labels) <= kept for labels in rows])
    cells = [[label for label in labels if label in kept] or None for labels in rows]
    return _array(cells, pa.list_(pa.string()))


def _masked(values: pa.ChunkedArray, kept: list[bool]) -> pa.ChunkedArray:
    """``values``, empty where ``kept`` is false."""
    return pc.if_else(pa.chunked_array([pa.array(kept, pa.bool_())]), values, None)


def _texts(cell: Any) -> list[str]:
    if isinstance(cell, list):
        return [as_label(text) for text in cell]
    return [as_label(cell)]


def _words(text: str) -> list[str]:
    return [piece.lower() for piece in PIECES.findall(text)]


def _kept(text: str, kept: set[str]) -> str:
    return " ".join(PIECES.sub(lambda piece: piece[0] if piece[0].lower() in kept else "", text).split())


def _array(cells: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(cells, kind or pa.large_string())])
