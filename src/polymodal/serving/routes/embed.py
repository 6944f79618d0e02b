"""Vectors: ``POST /embed``."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from polymodal.api import JsonObject
from polymodal.serving.bodies import Body, json_body, json_schema_of
from polymodal.serving.bounded import bounded
from polymodal.serving.description import example_row, run_for
from polymodal.serving.items import answer_items, check_size
from polymodal.serving.problems import ItemProblem
from polymodal.serving.routes.direct import Direct
from polymodal.serving.service import Service
from polymodal.serving.values import Given


class EmbedBody(Body):
    """Rows to embed."""

    run: str | None = Field(None, description="Name of the run; may be absent where there is one.")
    rows: list[dict[str, Any]] = Field(min_length=1, description="By input its value.")
    input: str | None = Field(None, description="Whose vectors to return; by default those of the rows.")


class Vectors(BaseModel):
    """A vector per row, in their order; null where a row lacks the input or has an error."""

    run: str
    vectors: list[list[float] | None]
    errors: list[ItemProblem]


def router(service: Service) -> APIRouter:
    """``POST /embed``."""
    routes = APIRouter(tags=["vectors"], route_class=Direct)
    first = run_for(service, "embed")
    example = {"run": first.name, "rows": [example_row(first)]}

    @routes.post(
        "/embed", summary="Embed rows", openapi_extra=json_schema_of(EmbedBody, example),
        responses={200: {"model": Vectors}},
    )  # fmt: skip
    async def embed(request: Request) -> JSONResponse:
        body = await json_body(request, EmbedBody, service.limits)
        return JSONResponse(await bounded(request, service, _answer(service, body)))

    return routes


async def _answer(service: Service, body: EmbedBody) -> JsonObject:
    served = service.run(body.run)
    served.require("embed")
    check_size(served, body.rows, service.limits)
    given = await service.with_addresses(served, body.rows, Given())
    made = await answer_items(served, body.rows, given, partial(served.embed, input=body.input))
    vectors = [None if isinstance(entry, ItemProblem) else entry for entry in made]
    errors = [entry.plain() for entry in made if isinstance(entry, ItemProblem)]
    return {"run": served.name, "vectors": vectors, "errors": errors}
