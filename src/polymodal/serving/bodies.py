"""Bodies of requests: JSON read within limits, and validated."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from polymodal.api import did_you_mean, one_line
from polymodal.serving.limits import Limits
from polymodal.serving.problems import ItemProblem, Refusal

B = TypeVar("B", bound="Body")
_EXPECTED = dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "expected an object")
_EXPECTED |= {"list_type": "expected a list"}
"""What is expected where pydantic names types of Python."""


class Body(BaseModel):
    """The base of bodies: an unknown field is refused, and a value of another type is not converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


async def json_body(request: Request, kind: type[B], limits: Limits) -> B:
    """The JSON body of a request.

    Args:
        request: Not read yet.
        kind: What it holds.
        limits: Of its size and structure.

    Raises:
        Refusal: If it is no JSON (400), of another type (415) or content (422).
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        shown = one_line(media or "none", 80)
        raise Refusal(415, f"the Content-Type is {shown}, expected application/json")
    return validated(parsed_json(await request.body(), limits), kind)


def parsed_json(content: bytes, limits: Limits) -> Any:
    """The value that JSON text holds.

    Raises:
        Refusal: If it is no JSON (400); if it holds NaN, or more than the limits allow (422).
    """
    separators = sum(map(content.count, (b",", b"[", b"{")))
    if separators > limits.values:
        raise Refusal(422, f"{separators:,} values in the JSON, expected at most {limits.values:,}")
    try:
        value = json.loads(content, parse_constant=_no_number)
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeError:
        raise Refusal(400, "the body is no JSON: it is not UTF-8, or holds half a character") from None
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {one_line(str(error), 200)}") from None
    _check_depth(value, limits)
    return value


def _no_number(name: str) -> NoReturn:
    raise Refusal(422, f"{name} is no number in JSON. Send null for a missing value")


def _too_deep(limits: Limits) -> Refusal:
    return Refusal(422, f"lists and objects in each other more than {limits.nesting} deep")


def _check_depth(value: Any, limits: Limits) -> None:
    level = [value]
    for _ in range(limits.nesting + 1):
        level = [inner for outer in level if isinstance(outer, list | dict) for inner in _inside(outer)]
        if not level:
            return
    raise _too_deep(limits)


def _inside(value: Any) -> list[Any]:
    """The lists and objects in a list or an object."""
    entries = value.values() if isinstance(value, dict) else value
    return [entry for entry in entries if isinstance(entry, list | dict)]


def validated(value: Any, kind: type[B]) -> B:
    """A parsed body.

    Raises:
        Refusal: If it lacks a field, has an unknown one, or one of another type (422).
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = [_problem(each["type"], each["loc"], each["msg"], kind) for each in error.errors()[:20]]
        message = "; ".join(problem.message for problem in problems[:3])
        param = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else None
        raise Refusal(422, message, problems, param=param) from None


def _problem(type_: str, location: tuple[int | str, ...], message: str, kind: type[Body]) -> ItemProblem:
    name = ".".join(one_line(str(part), 80) for part in location) or "the body"
    row = location[1] if len(location) > 1 and location[0] == "rows" else None
    number = row + 1 if isinstance(row, int) else None
    if type_ == "extra_forbidden":
        fix = did_you_mean(str(location[-1]), kind.model_fields) if len(location) == 1 else ""
        return ItemProblem(f"there is no field '{name}'. {fix}".strip(), number)
    if type_ == "missing":
        return ItemProblem(f"the field '{name}' is missing", number)
    message = _EXPECTED.get(type_, message).replace(" after validation", "")
    such = ', such as {"rows": [{…}]}' if not location and "rows" in kind.model_fields else ""
    return ItemProblem(f"{name}: {message[0].lower()}{message[1:]}{such}", number)


def json_schema_of(kind: type[Body], example: Any = None) -> dict[str, Any]:
    """The description of a JSON body in OpenAPI, for ``openapi_extra``.

    Args:
        kind: The body.
        example: A body that works.
    """
    content: dict[str, Any] = {"schema": kind.model_json_schema()}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
