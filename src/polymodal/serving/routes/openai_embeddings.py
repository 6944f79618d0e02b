"""Vectors and models in OpenAI's form: ``POST /v1/embeddings`` and ``GET /v1/models``."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field, model_validator

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.bodies import parsed_json
from polymodal.serving.bounded import bounded
from polymodal.serving.chat.body import Section
from polymodal.serving.chat.reading import body_schema, read_body, run_of_model
from polymodal.serving.description import example_row, run_for
from polymodal.serving.items import check_size
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.served_run import ServedRun
from polymodal.serving.service import Service
from polymodal.serving.values import Given
from polymodal.serving.vectors import item_vectors

Item = Annotated[str, Field(min_length=1)] | dict[str, Any]
"""A text, or as an extension of ours a row: by input its value."""


class EmbeddingsBody(Section):
    """Texts, or rows, whose vectors are requested."""

    model: str
    input: Item | Annotated[list[Item], Field(min_length=1)] = Field(
        description="A text or several; as an extension, rows: by input its value, media as data URIs."
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="Only the width that the vectors have.")
    user: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_tokens(cls, value: Any) -> Any:
        items = value.get("input") if isinstance(value, Mapping) else None
        first = items[0] if isinstance(items, list) and items else None
        if isinstance(first, int | list):
            raise ValueError("'input' holds numbers of tokens, which are of another model: send texts")
        return value

    @property
    def items(self) -> Sequence[str | dict[str, Any]]:
        """The texts and rows."""
        return self.input if isinstance(self.input, list) else [self.input]


def router(service: Service) -> APIRouter:
    """``POST /v1/embeddings``, ``GET /v1/models`` and ``GET /v1/models/{model}``."""
    routes = APIRouter(tags=["OpenAI's form"])
    first = run_for(service, "embed")
    example = {"model": first.name, "input": [example_row(first)]}

    @routes.post("/v1/embeddings", summary="Vectors", openapi_extra=body_schema(EmbeddingsBody, example))
    async def embeddings(request: Request) -> JSONResponse:
        body = read_body(EmbeddingsBody, parsed_json(await request.body(), service.limits), {})
        served = run_of_model(service, body.model)
        return JSONResponse(await bounded(request, service, embedded(service, served, body)))

    @routes.get("/v1/models", summary="The runs, as models")
    async def models() -> JSONResponse:
        data = [described(run) for run in service.runs.values()]
        return JSONResponse({"object": "list", "data": data})

    @routes.get("/v1/models/{model}", summary="A run, as a model")
    async def model(model: str) -> JSONResponse:
        return JSONResponse(described(run_of_model(service, model)))

    return routes


def described(served: ServedRun) -> JsonObject:
    """A run as a model of OpenAI's."""
    return {"id": served.name, "object": "model", "created": served.written, "owned_by": "polymodal"}


async def embedded(service: Service, served: ServedRun, body: EmbeddingsBody) -> JsonObject:
    """The vectors of a request.

    Raises:
        Refusal: If an item cannot be read, or the vectors have other dimensions (400).
    """
    served.require("embed")
    rows = [_row(item, served) for item in body.items]
    check_size(served, rows, service.limits)
    given = await service.with_addresses(served, rows, Given())
    cells = [served.cells(row, given, number) for number, row in enumerate(rows, start=1)]
    _refuse_problems([problem for _, problem in cells])
    vectors = await item_vectors(served, [row for row, _ in cells])
    _refuse_problems([vector for vector in vectors if isinstance(vector, ItemProblem)])
    arrays = [vector for vector in vectors if not isinstance(vector, ItemProblem)]
    _check_width(body.dimensions, len(arrays[0]))
    tokens = await served.in_model(api.text_tokens, served.run, [row for row, _ in cells])
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, body.encoding_format)}
            for index, vector in enumerate(arrays)
        ],
        "model": served.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _row(item: str | dict[str, Any], served: ServedRun) -> dict[str, Any]:
    """The row of an item: a text goes to the only input that reads text.

    Raises:
        Refusal: If it is not clear which input that is (400).
    """
    if not isinstance(item, str):
        return item
    names = [each.name for each in served.inputs.values() if each.modality == "text"]
    if len(names) == 1:
        return {names[0]: item}
    reads = f"several inputs read text ({', '.join(names)})" if names else "no input reads text"
    known = ", ".join(served.inputs)
    reason = f"a text, and of the run '{served.name}' {reads}. Send rows: {{input: value}} with {known}"
    raise Refusal(400, reason, param="input")


def _refuse_problems(problems: Sequence[ItemProblem | None]) -> None:
    """Refuse a request one of whose items has a problem: OpenAI's form has no place for it in an answer."""
    for problem in problems:
        if problem is not None:
            param = f"input[{(problem.row or 1) - 1}]"
            raise Refusal(400, f"{param}: {problem.message}", param=param)


def _check_width(dimensions: int | None, width: int) -> None:
    if dimensions not in (None, width):
        reason = f"'dimensions' is {dimensions}, and the vectors have {width}: they are not made to be cut"
        raise Refusal(400, f"{reason}. Leave it out", param="dimensions")


def _written(vector: np.ndarray, form: str) -> list[float] | str:
    """A vector as numbers, or as base64 of little-endian float32."""
    if form == "float":
        return [float(number) for number in vector]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
