"""Forms: one row with a part per input, or rows as JSON that refer to files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from polymodal.api import did_you_mean, one_line
from polymodal.serving.bodies import parsed_json
from polymodal.serving.limits import Limits
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.values import ServedInput, ValueProblem, text_cell

OPTIONS = ("run", "probabilities", "shares", "rows")
"""Parts that are no inputs."""
SWITCH = {"true": True, "1": True, "on": True, "false": False, "0": False, "": False}


class _InMemory(MultiPartParser):
    """Keeps files in memory: the body of a request is limited, and nothing is left on the disk."""

    spool_max_size = 2**62


async def read_form(request: Request, limits: Limits) -> FormData:
    """The parts of a form.

    Raises:
        Refusal: If it is malformed (400), or has too many parts (422).
    """
    most = limits.media_per_request
    parser = _InMemory(
        request.headers,
        request.stream(),
        max_files=most,
        max_fields=most + 64,
        max_part_size=limits.body_bytes,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Refusal(422 if error.message.startswith("Too many") else 400, error.message) from None


def form_options(form: FormData) -> dict[str, Any]:
    """The parts ``run``, ``probabilities`` and ``shares``.

    Raises:
        Refusal: If one is a file, or no switch (422).
    """
    options: dict[str, Any] = {}
    for name in ("run", "probabilities", "shares"):
        value = form.get(name)
        if isinstance(value, UploadFile):
            raise Refusal(422, f"the part '{name}' is a file, expected a text", param=name)
        if value is None or (name == "run" and not value):
            continue
        if name != "run" and value.lower() not in SWITCH:
            raise Refusal(422, f"{name} is '{one_line(value, 40)}', expected true or false", param=name)
        options[name] = value if name == "run" else SWITCH[value.lower()]
    return options


async def form_files(form: FormData) -> dict[str, bytes]:
    """The content of each part that is a file; of several parts of a name the first."""
    files: dict[str, bytes] = {}
    for name, part in form.multi_items():
        if isinstance(part, UploadFile) and name not in files:
            files[name] = await part.read()
    return files


async def form_row(form: FormData, inputs: Mapping[str, ServedInput]) -> dict[str, Any]:
    """The row of a form with a part per input, as JSON would have it; files are ``bytes``.

    Raises:
        Refusal: If a part is no input, or its value none of the input's modality (422).
    """
    row: dict[str, Any] = {}
    for name in dict.fromkeys(name for name, _ in form.multi_items() if name not in OPTIONS):
        if name not in inputs:
            shown = one_line(name, 80)
            message = f"there is no input '{shown}'. {did_you_mean(name, inputs)}"
            raise Refusal(422, message, [ItemProblem(message, 1, shown)])
        try:
            values = [await _value(part, inputs[name]) for part in form.getlist(name)]
        except ValueProblem as error:
            problem = ItemProblem(f"{name}: {error}", 1, name)
            raise Refusal(422, problem.message, [problem]) from None
        filled = [value for value in values if value is not None]
        row[name] = filled if len(filled) > 1 else next(iter(filled), None)
    return row


async def _value(part: UploadFile | str, of: ServedInput) -> Any:
    if isinstance(part, str):
        return text_cell(part, of)
    if of.modality in ("number", "text", "date", "category", "categories"):
        raise ValueProblem("a file, expected a text")
    content = await part.read()
    return content or None  # an empty file is what a browser sends where none was chosen


def form_rows(form: FormData, limits: Limits) -> Any:
    """The JSON in the part ``rows``; None without that part.

    Raises:
        Refusal: If it is no JSON (400 or 422).
    """
    part = form.get("rows")
    if part is None:
        return None
    if isinstance(part, UploadFile):
        raise Refusal(422, "the part 'rows' is a file, expected JSON as text", param="rows")
    return parsed_json(part.encode(), limits)
