"""The items of a column of messages as columns of their own, an input each: read as any column is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polymodal.data.chat.messages import Media
from polymodal.data.chat.messages_reading import ConversationReader
from polymodal.data.chat.sources import KINDS
from polymodal.data.media.cells import MediaError
from polymodal.data.tables.table import Table, read_table


def kinds_in(table: Table, column: str) -> list[str]:
    """The kinds of items in a column of messages: ``image``, ``audio``, ``video``; an input of its name each.

    Rows that cannot be read say nothing here; the check names them.
    """
    reader = ConversationReader(inputs={kind: kind for kind in KINDS}, column=column)
    found: set[str] = set()
    for row in table.rows():
        found |= items_of(reader, row).keys()
    return [kind for kind in KINDS if kind in found]


def items_of(reader: ConversationReader, row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The items in a row's messages by input; none where they cannot be read."""
    items: dict[str, list[Any]] = {}
    try:
        conversation = reader.read(row)
    except MediaError:
        return {}
    for message in conversation:
        for part in message.parts:
            if isinstance(part, Media) and part.cell is not None:
                items.setdefault(part.input, []).append(part.cell)
    return items


def with_items(table: Table, column: str, inputs: Mapping[str, str]) -> Table:
    """``table`` with a column an input, of the lists of its items in each row's messages.

    Args:
        table: With ``column``.
        column: Of messages.
        inputs: Modality by the name of the input.
    """
    if not inputs:
        return table
    reader = ConversationReader(inputs=inputs, column=column)
    found = [items_of(reader, row) for row in table.rows()]
    items = read_table([{name: row.get(name) for name in inputs} for row in found], name=table.name)
    return table.adding({name: items.raw(name) for name in inputs})
