"""Values of a request to cells: what JSON and forms may hold for each modality."""

from __future__ import annotations

import base64
import binascii
import json
import math
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from polymodal.api import did_you_mean, one_line

MEDIA = ("image", "audio", "video")
Fetch = Callable[[str], bytes]
"""The content of an allowed address; raises :class:`ValueProblem`."""


class ValueProblem(Exception):
    """A value that is none of its input; its text is one line with the fix."""


@dataclass
class Given:
    """What a request brings beside its JSON.

    Attributes:
        files: Of a form, by the name of their part.
        addresses: The content of the addresses that were allowed and fetched.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    addresses: Mapping[str, bytes | ValueProblem] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedInput:
    """An input of a run, as requests name it.

    Attributes:
        name: Of the input.
        modality: Of its cells.
        choices: The names that training cells hold; None for a modality without names.
        holds_items: Whether a cell may hold a list of several items.
    """

    name: str
    modality: str
    choices: tuple[str, ...] | None = None
    holds_items: bool = False

    @property
    def is_media(self) -> bool:
        """Whether its cells are opened and decoded."""
        return self.modality in (*MEDIA, "sequence")

    @property
    def accept(self) -> str | None:
        """The types of file of a form's field; None where it takes none."""
        return f"{self.modality}/*" if self.modality in MEDIA else None


def cell_of(value: Any, of: ServedInput, given: Given) -> Any:
    """The cell of a value in JSON; None where it is empty.

    Args:
        value: Parsed JSON.
        of: The input that it is a value of.
        given: The files and addresses that it may refer to.

    Raises:
        ValueProblem: If it is none of the input's modality.
    """
    if value is None:
        return None
    if of.modality in MEDIA or (of.is_media and _names_files(value)):
        return _media(value, of, given)
    return _OF_MODALITY.get(of.modality, _any)(value)


def text_cell(text: str, of: ServedInput) -> Any:
    """The value of a text of a form, as JSON would have it; None where it is empty.

    Raises:
        ValueProblem: If it is none of the input's modality.
    """
    if not text.strip():
        return None
    if of.modality == "sequence":
        return _listed(text)
    if of.modality != "number":
        return text
    try:
        return float(text) if not text.strip().lstrip("+-").isdigit() else int(text)
    except ValueError:
        raise ValueProblem(f"'{one_line(text, 40)}', expected a number such as 3.5, or nothing") from None


def _listed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueProblem(f"{_shown(text)}, expected a list of lists of numbers") from None


def count_media(value: Any) -> int:
    """How many pictures, recordings or clips a value of an input of media holds."""
    return sum(map(count_media, value)) if isinstance(value, list) else int(value is not None)


def _media(value: Any, of: ServedInput, given: Given) -> Any:
    if isinstance(value, list):
        return [_media(item, of, given) for item in value] or None
    if isinstance(value, bytes):  # of a form
        return value
    if isinstance(value, str):
        return _bytes_of_text(value, of)
    if not isinstance(value, dict) or len(value) != 1:
        raise _no_media(value, of)
    ((kind, content),) = value.items()
    if kind not in ("base64", "file", "url") or not isinstance(content, str):
        raise _no_media(value, of)
    if kind == "base64":
        return _decoded(content)
    if kind == "file":
        if content not in given.files:
            known = did_you_mean(content, given.files) if given.files else "The request has no files"
            raise ValueProblem(f"there is no part '{one_line(content, 80)}' with a file. {known}")
        return given.files[content]
    fetched = given.addresses.get(content)
    if isinstance(fetched, bytes):
        return fetched
    raise fetched or ValueProblem("an address, which this server does not fetch. Send the file itself")


def _names_files(value: Any) -> bool:
    """Whether a value of an input of sequences holds files of NumPy's, not the numbers themselves."""
    if isinstance(value, list):
        return bool(value) and all(map(_names_files, value))
    return isinstance(value, bytes | dict) or (isinstance(value, str) and value[:5].lower() == "data:")


def _bytes_of_text(text: str, of: ServedInput) -> bytes | None:
    if not text.strip():
        return None
    if text[:5].lower() != "data:":
        raise _no_media(text, of)
    head, comma, body = text.partition(",")
    if not comma:
        raise ValueProblem("a data URI without a comma, expected data:image/png;base64,… or the like")
    if head.lower().endswith(";base64"):
        return _decoded(urllib.parse.unquote(body) if "%" in body else body)
    return urllib.parse.unquote_to_bytes(body)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueProblem("text that is not base64") from None


def _no_media(value: Any, of: ServedInput) -> ValueProblem:
    expected = f'a data URI such as \'data:{of.modality}/…;base64,…\' or {{"base64": "…"}}'
    return ValueProblem(f"{_shown(value)}, expected {expected}; names of files are not read")


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueProblem(f"{_shown(value)}, expected a number such as 3.5")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueProblem(f"{value}, expected a finite number, or null where it is missing")
    return value


def _text(value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    if any(not isinstance(text, str | None) for text in texts):
        raise ValueProblem(f"{_shown(value)}, expected a text")
    return value


def _date(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueProblem(f"{_shown(value)}, expected a date such as '2026-11-30'")
    return value


def _category(value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise ValueProblem(f"{_shown(value)}, expected one value")
    return value


def _labels(value: Any) -> Any:
    labels = value if isinstance(value, list) else [value]
    if any(not isinstance(label, str) for label in labels):
        raise ValueProblem(f"{_shown(value)}, expected a list of texts")
    return value


def _sequence(value: Any) -> Any:
    """A list of steps, each a list of numbers, or a list of such lists."""
    if not isinstance(value, list):
        raise ValueProblem(f"{_shown(value)}, expected a list of lists of numbers, or a file of NumPy's")
    _check_numbers(value)
    return value or None


def _check_numbers(values: Sequence[Any]) -> None:
    for value in values:
        if isinstance(value, list):
            _check_numbers(value)
        elif value is not None:
            _number(value)


def _any(value: Any) -> Any:
    """A value of a modality of another package."""
    if isinstance(value, dict):
        raise ValueProblem(f"{_shown(value)}, expected a text, a number or a list")
    return value


def _shown(value: Any) -> str:
    """A value in a message: short texts and numbers as they are, others by their kind."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{one_line(value, 40)}'"
    if isinstance(value, int | float):
        return one_line(str(value), 40)
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "null"


_OF_MODALITY: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "text": _text,
    "date": _date,
    "category": _category,
    "categories": _labels,
    "sequence": _sequence,
}
