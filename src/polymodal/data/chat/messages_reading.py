"""Reading of a row's messages in the Transformers chat format (or LLaVA's older one)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from polymodal.data.chat.messages import ASSISTANT, ROLES, SYSTEM, USER, Media, Message, Part
from polymodal.data.chat.sources import KINDS, Supply, cell_of
from polymodal.data.media.cells import MediaError, is_empty
from polymodal.data.media.formats import IMAGE
from polymodal.data.tables.table import Table, read_table
from polymodal.errors import did_you_mean

SPEAKERS = {"human": USER, "user": USER, "gpt": ASSISTANT, "assistant": ASSISTANT, "system": SYSTEM}
"""Roles by LLaVA's names (``from``, ``value``)."""
UNLEARNED = ("tool_calls", "reasoning_content", "reasoning", "thinking")
"""Keys of a message besides its content; they are refused: ignoring them would change the training."""
_STAND_IN = re.compile(rf"<({'|'.join(KINDS)})>")


class ConversationReader:
    """Reads the column of messages.

    Content is a text, or a list of parts of type ``text``, ``image``, ``audio`` or ``video``. An item without
    a file of its own is the next one of the row's column ``images`` (``audios``, ``videos``). Between an item
    and its neighbour in a message there is a line break, as in LLaVA, unless the text has white space. The
    input of an item has the name of its type, or is the only one of that modality.

    Args:
        inputs: Modality by input.
        column: The column of messages: a list of dicts, or that list as JSON.
        between: Text between an item and its neighbour.
    """

    def __init__(self, *, inputs: Mapping[str, str], column: str = "messages", between: str = "\n") -> None:
        self.inputs, self.column, self.between = dict(inputs), column, between

    def read(self, row: Mapping[str, Any]) -> tuple[Message, ...]:
        """The conversation of a row.

        Raises:
            MediaError: If it is invalid; names the message and part (from 1).
        """
        given = _listed(row.get(self.column))
        supply = Supply(row)
        messages = []
        for number, entry in enumerate(given, start=1):
            role, content = _role_and_content(entry, f"message {number}", supply)
            messages.append(Message(role, self._parts(content, f"message {number}", supply)))
        _check_order([message.role for message in messages])
        supply.check_used()
        return tuple(messages)

    def _parts(self, content: Any, where: str, supply: Supply) -> tuple[Part, ...]:
        if isinstance(content, str):
            return (content,)
        if isinstance(content, np.ndarray):
            content = content.tolist()
        if not isinstance(content, (list, tuple)):
            reason = f"{where}: content of type {type(content).__name__}"
            raise MediaError(found=reason, expected="a text or a list of parts")
        parts = [
            self._part(part, f"{where}, part {number}", supply)
            for number, part in enumerate(content, start=1)
        ]
        return tuple(_spaced(parts, self.between))

    def _part(self, part: Any, where: str, supply: Supply) -> Part:
        if isinstance(part, str):
            return part
        filled = _filled(part, where)
        kind = filled.get("type")
        if kind == "text":
            text = filled.get("text")
            if isinstance(text, str):
                return text
            reason = "no text" if text is None else f"a text of type {type(text).__name__}"
            raise MediaError(found=f"{where}: {reason}", expected='{"type": "text", "text": "…"}')
        if kind not in KINDS:
            reason = f"{where}: a part of type '{kind}'" if kind else f"{where}: a part without a type"
            raise MediaError(found=reason, expected=f"text, {', '.join(KINDS)}")
        name = self._input_of(kind, where)
        cell = cell_of(filled, kind, where)
        cell = supply.next(kind, where, filled) if cell is None else cell
        return Media(name, None if is_empty(cell) else cell)

    def _input_of(self, kind: str, where: str) -> str:
        """The input that reads items of a type."""
        names = [name for name, modality in self.inputs.items() if modality == kind]
        if kind in names:
            return kind
        if len(names) == 1:
            return names[0]
        reason = f"{where}: {KINDS[kind]}, which {'no input reads' if not names else 'several inputs read'}"
        expected = f"one input of modality {kind}" + (f", not {', '.join(names)}" if names else "")
        fix = f"Declare an input '{kind}' of that modality."
        raise MediaError(found=reason, expected=expected, cure=fix)


def _listed(cell: Any) -> Sequence[Any]:
    """The messages of a cell: a list, at least one long."""
    if isinstance(cell, str) and not cell.isspace() and cell:
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError) as error:
            reason = f"text that is no JSON ({str(error).splitlines()[0]})"
            raise MediaError(found=reason, expected="a list of messages") from None
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    # Not is_empty for a list: it takes a record without a path as an empty cell.
    absent = not cell if isinstance(cell, (list, tuple)) else not isinstance(cell, Mapping) and is_empty(cell)
    if absent:
        fix = "Fill them in, or leave the row out."
        raise MediaError(found="no messages", expected="at least one", cure=fix)
    if not isinstance(cell, (list, tuple)):
        raise MediaError(found=f"a cell of type {type(cell).__name__}", expected="a list of messages")
    return cell


def _filled(entry: Any, where: str) -> dict[str, Any]:
    """The keys with values: Arrow gives every record the keys of all others, empty."""
    if not isinstance(entry, Mapping):
        raise MediaError(found=f"{where} is of type {type(entry).__name__}", expected="a dict")
    return {key: value for key, value in entry.items() if value is not None}


def _role_and_content(entry: Any, where: str, supply: Supply) -> tuple[str, Any]:
    filled = _filled(entry, where)
    if "role" not in filled and "from" in filled:
        return _from_and_value(filled, where, supply)
    role = filled.get("role")
    if role not in ROLES:
        reason = f"{where} has role '{role}'" if role else f"{where} has no role"
        fix = did_you_mean(role, ROLES) if role else ""
        raise MediaError(found=reason, expected=" or ".join(ROLES), cure=fix)
    for key in UNLEARNED:
        if len(filled.get(key, ())):
            fix = "Leave it out, or write it into the content."
            raise MediaError(found=f"{where} has '{key}'", expected="role and content", cure=fix)
    if "content" not in filled:
        raise MediaError(found=f"{where} has no content", expected="a text or a list of parts")
    return role, filled["content"]


def _from_and_value(filled: Mapping[str, Any], where: str, supply: Supply) -> tuple[str, Any]:
    """LLaVA's older format, in which ``<image>`` in a user's text is the row's next image."""
    role, value = SPEAKERS.get(filled["from"]), filled.get("value")
    if role is None:
        reason, expected = f"{where} is from '{filled['from']}'", " or ".join(SPEAKERS)
        raise MediaError(found=reason, expected=expected, cure=did_you_mean(filled["from"], SPEAKERS))
    if not isinstance(value, str):
        raise MediaError(found=f"{where} has no text as its value", expected="a text")
    if role != USER:
        return role, value
    # <image> is always an item; the others are HTML tags too, and are items only if the row has some.
    pieces = [
        {"type": piece} if index % 2 and (piece == IMAGE.modality or supply.has(piece)) else
        f"<{piece}>" if index % 2 else piece
        for index, piece in enumerate(_STAND_IN.split(value))
    ]  # fmt: skip
    return role, pieces


def _spaced(parts: Sequence[Part], between: str) -> Iterable[Part]:
    """The parts with ``between`` between an item and its neighbour, unless there is white space."""
    last: Part = "\n"
    for part in parts:
        if part == "":
            continue
        if isinstance(part, Media) or isinstance(last, Media):
            joined = isinstance(last, str) and last[-1].isspace()
            if not joined and not (isinstance(part, str) and part[0].isspace()):
                yield between
        yield part
        last = part


def _check_order(roles: Sequence[str]) -> None:
    """Check the order: an optional system message, then user and assistant in turn."""
    expected = "a system message first, if any, then user and assistant in turn"
    for number, role in enumerate(roles, start=1):
        before = roles[number - 2] if number > 1 else None
        if role == SYSTEM and number > 1:
            raise MediaError(found=f"message {number} is the system's", expected=expected)
        if role == ASSISTANT and before in (None, SYSTEM):
            raise MediaError(
                found=f"message {number} is the assistant's, before any user's", expected=expected
            )
        if role == before:
            raise MediaError(
                found=f"messages {number - 1} and {number} are both the {role}'s",
                expected=expected,
                cure="Join them into one message of several parts.",
            )


def kinds_in(table: Table, column: str) -> list[str]:
    """The kinds of items in a column of messages: ``image``, ``audio``, ``video``; one input each.

    Rows that cannot be read are skipped here; the check reports them.
    """
    reader = ConversationReader(inputs={kind: kind for kind in KINDS}, column=column)
    result: set[str] = set()
    for row in table.rows():
        result |= items_of(reader, row).keys()
    return [kind for kind in KINDS if kind in result]


def items_of(reader: ConversationReader, row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The items in a row's messages by input; none if they cannot be read."""
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
    """Add one column per input with the lists of its items in each row's messages.

    Args:
        table: The table.
        column: The column of messages.
        inputs: Modality by input.
    """
    if not inputs:
        return table
    reader = ConversationReader(inputs=inputs, column=column)
    result = [items_of(reader, row) for row in table.rows()]
    items = read_table([{name: row.get(name) for name in inputs} for row in result], name=table.name)
    return table.adding({name: items.raw(name) for name in inputs})
