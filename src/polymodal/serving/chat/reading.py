"""Problems of a JSON body as one line in OpenAI's form, which names the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from polymodal.api import did_you_mean, one_line
from polymodal.serving.problems import Refusal
from polymodal.serving.served_run import ServedRun
from polymodal.serving.service import Service

B = TypeVar("B", bound=BaseModel)
PARTS = "text, image_url, input_audio, video_url, input_video"


def read_body(kind: type[B], body: object, unsupported: Mapping[str, Sequence[object]]) -> B:
    """The body of a request.

    Args:
        kind: Of the body.
        body: As JSON gave it.
        unsupported: OpenAI's fields that are refused, with the values that are not.

    Raises:
        Refusal: With status 400, if a field is missing, unknown, unsupported or of another type.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        wrong = max(error.errors(include_url=False), key=lambda each: _nearness(each, body))
    param = _path(wrong, body)
    raise Refusal(400, _message(wrong, param, kind, unsupported), param=param or None)


def run_of_model(service: Service, model: str) -> ServedRun:
    """The run that a request names as its ``model``.

    Raises:
        Refusal: If there is none (404).
    """
    if model not in service.runs:
        fix = did_you_mean(model, service.runs)
        raise Refusal(404, f"there is no model '{one_line(model, 80)}'. {fix}", param="model")
    return service.runs[model]


def body_schema(kind: type[BaseModel], example: object) -> dict[str, Any]:
    """The description of a JSON body in OpenAPI, for ``openapi_extra``; without references.

    Args:
        kind: The body.
        example: A body that works.
    """
    schema = kind.model_json_schema()
    whole = _without_references(schema, schema.get("$defs", {}))
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": whole, "example": example}},
        }
    }


def _without_references(schema: Any, named: Mapping[str, Any]) -> Any:
    """A JSON schema with what it refers to in the place of each reference."""
    if isinstance(schema, list):
        return [_without_references(entry, named) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_references(named[schema["$ref"].rpartition("/")[2]], named)
    left_out = ("$defs", "discriminator")
    return {key: _without_references(entry, named) for key, entry in schema.items() if key not in left_out}


def _message(
    wrong: ErrorDetails, param: str, kind: type[BaseModel], unsupported: Mapping[str, Sequence[object]]
) -> str:
    value = one_line(repr(wrong["input"]), 80)
    match wrong["type"]:
        case "missing":
            return f"'{param}' is missing"
        case "extra_forbidden" if param in unsupported:
            return f"'{param}' is {value}, which is not supported. {_instead(unsupported[param])}"
        case "extra_forbidden" if "[" in param or "." in param:
            return f"'{param}' is not supported. Leave it out"
        case "extra_forbidden":
            return f"there is no '{param}'. {did_you_mean(param, kind.model_fields)}"
        case "union_tag_invalid":
            part = one_line(str(wrong.get("ctx", {}).get("tag")), 80)
            return f"'{param}' is a part of type '{part}', expected one of {PARTS}"
        case "union_tag_not_found":
            return f"'{param}' is a part without a type, expected one of {PARTS}"
        case "value_error":
            return str(wrong.get("ctx", {}).get("error", wrong["msg"]))
    reason = wrong["msg"][0].lower() + wrong["msg"][1:]
    return f"'{param}' is {value}: {reason}" if param else f"the body is {value}: {reason}"


def _instead(values: Sequence[object]) -> str:
    return f"Leave it out, or give {' or '.join(map(repr, values))}" if values else "Leave it out"


def _nearness(wrong: ErrorDetails, body: object) -> tuple[int, bool]:
    """How near an error is to the value at fault: of a field of several types each type has an error."""
    return len(_steps(wrong, body)), not wrong["type"].endswith("_type")


def _path(wrong: ErrorDetails, body: object) -> str:
    """The field at fault, such as ``messages[0].content``."""
    path = ""
    for step in _steps(wrong, body):
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return one_line(path, 200)


def _steps(wrong: ErrorDetails, body: object) -> list[int | str]:
    """The location of an error in the body, without steps that name types."""
    steps: list[int | str] = []
    inner = body
    for number, step in enumerate(wrong["loc"], start=1):
        inside = _inside(inner, step)
        if inside is not None:
            inner = inside[0]
        elif not (wrong["type"] == "missing" and number == len(wrong["loc"])):
            continue
        steps.append(step)
    return steps


def _inside(value: Any, step: int | str) -> tuple[Any] | None:
    """The entry of ``value`` at ``step``; None where it has none."""
    if isinstance(step, str) and isinstance(value, Mapping):
        return (value[step],) if step in value else None
    if isinstance(step, int) and isinstance(value, list):
        return (value[step],) if step < len(value) else None
    return None
