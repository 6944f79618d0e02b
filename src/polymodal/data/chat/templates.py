"""Templates over the columns of a row, such as ``{image} {question}``, and conversations from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import Any

from polymodal.data.chat.messages import ASSISTANT, SYSTEM, USER, Media, Message, Part
from polymodal.data.media.cells import MediaError, describe, is_empty
from polymodal.data.readers.items import each_item
from polymodal.data.values.column_values import as_label
from polymodal.errors import ConfigError, did_you_mean, one_line


class Template:
    """Text with columns in braces; ``{{`` and ``}}`` are literal braces.

    Args:
        text: The template.
        where: Its name in messages.

    Raises:
        ConfigError: If the braces do not match, or name no column.
    """

    def __init__(self, text: str, *, where: str = "generation.prompt") -> None:
        self.text, self.where = text, where
        try:
            self._pieces = list(_pieces(text))
        except ValueError as error:
            fix = "Write {column} for a column's cell, {{ and }} for braces"
            raise ConfigError(f"{where}: '{one_line(text, 200)}' cannot be read ({error}). {fix}") from None

    @property
    def columns(self) -> list[str]:
        """The columns it names, each once."""
        return list(dict.fromkeys(column for _, column in self._pieces if column is not None))

    def check(self, columns: Iterable[str]) -> None:
        """Refuse columns that do not exist.

        Raises:
            ConfigError: At the first one.
        """
        known = list(columns)
        for column in self.columns:
            if column not in known:
                fix = did_you_mean(column, known)
                raise ConfigError(f"{self.where}: there is no column '{column}'. {fix}")

    def fill(self, row: Mapping[str, Any], inputs: Mapping[str, str]) -> tuple[Part, ...]:
        """Fill the template with a row: items of columns that are inputs, texts of all others.

        Texts are unchanged, empty cells are empty texts; an input's empty cell is a missing item, and a list
        of items becomes several items.

        Args:
            row: Cells by column; a missing column is empty.
            inputs: Modality by input.

        Raises:
            MediaError: If a cell is no text; it names the column.
        """
        parts: list[Part] = []
        for literal, column in self._pieces:
            _add(parts, literal)
            if column is not None and column in inputs:
                parts += _media(row.get(column), column, inputs[column])
            elif column is not None:
                _add(parts, text_of(row.get(column), column))
        return tuple(parts)

    def beside(self, inputs: Iterable[str]) -> str:
        """The text between the first of ``inputs`` in the template and its neighbour."""
        names = list(inputs)
        for (before, column), (after, _) in zip(self._pieces, [*self._pieces[1:], ("", None)], strict=True):
            if column in names:
                return after or before
        return ""

    def is_blank(self, row: Mapping[str, Any]) -> bool:
        """Whether all its columns are empty in a row, or the filled text is blank."""
        texts = [text_of(row.get(column), column) for column in self.columns]
        return all(not text or text.isspace() for text in texts or [self.text])


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Literal text, and the column that follows it, whose name may hold ``:`` and ``!``."""
    for literal, field, form, conversion in Formatter().parse(text):
        if field is None:
            yield literal, None
            continue
        column = field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
        if not field or "{" in column:
            raise ValueError("braces without the name of a column")
        yield literal, column


def _add(parts: list[Part], text: str) -> None:
    """Append a text, as one with a text before it."""
    if parts and isinstance(parts[-1], str):
        parts[-1] += text
    elif text:
        parts.append(text)


def _media(cell: Any, name: str, modality: str) -> list[Media]:
    absent = type(cell).__name__ in ("NAType", "NaTType")
    items = [] if absent else [item for _, item in each_item(cell, modality)]
    return [Media(name, item) for item in items] or [Media(name, None)]


def text_of(cell: Any, column: str) -> str:
    """The text of a cell, ``""`` if it is empty; numbers as in :func:`as_label`.

    Raises:
        MediaError: If it holds a list, a record or bytes.
    """
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, Mapping) and is_empty(cell):
        return ""
    if hasattr(cell, "__len__"):
        reason = f"column '{column}' holds {describe(cell)}"
        fix = f"Declare '{column}' as an input, or take another column."
        raise MediaError(found=reason, expected="a text or a number", cure=fix)
    return as_label(cell)


class RowReader:
    """Builds a conversation from a row by templates: optional system message, prompt, and answer if known.

    Args:
        prompt: Template of the user's message.
        answer: Template of the assistant's message, over columns that are no inputs; without one where all of
            them are empty.
        system: System message of every conversation.
        inputs: Modality by input.

    Raises:
        ConfigError: If a template cannot be read, or the answer holds an input.
    """

    def __init__(
        self, *, prompt: str, answer: str | None = None, system: str | None = None, inputs: Mapping[str, str]
    ) -> None:
        self.prompt = Template(prompt, where="generation.prompt")
        self.answer = None if answer is None else Template(answer, where="generation.answer")
        self.system, self.inputs = system, dict(inputs)
        for column in self.answer.columns if self.answer else ():
            if column in self.inputs:
                fix = "Answers are words: name a column of text, or make it no input"
                raise ConfigError(f"generation.answer: '{column}' is an input. {fix}")

    def read(self, row: Mapping[str, Any]) -> tuple[Message, ...]:
        """The conversation of a row.

        Raises:
            MediaError: If a cell that should be text holds something else.
        """
        messages = [Message(SYSTEM, (self.system,))] if self.system and not self.system.isspace() else []
        messages.append(Message(USER, self.prompt.fill(row, self.inputs)))
        if self.answer is not None and not self.answer.is_blank(row):
            messages.append(Message(ASSISTANT, self.answer.fill(row, {})))
        return tuple(messages)
