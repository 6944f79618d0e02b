"""Searches in an index of vectors: ``POST /search``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.bodies import Body, json_body
from polymodal.serving.bounded import bounded
from polymodal.serving.chat.reading import body_schema
from polymodal.serving.description import example_row
from polymodal.serving.items import check_size
from polymodal.serving.problems import Refusal
from polymodal.serving.routes.direct import Direct
from polymodal.serving.served_index import ServedIndex, Value
from polymodal.serving.service import Service
from polymodal.serving.values import Given

MOST_HITS = 1000


class SearchBody(Body):
    """What to search for."""

    index: str | None = Field(None, description="Name of the index; may be absent.")
    row: dict[str, Any] = Field(description="By input its value; one input is enough.")
    input: str | None = Field(None, description="The only input to search; by default all.")
    limit: int = Field(10, ge=1, le=MOST_HITS, description="The most hits.")
    where: str | dict[str, Value | list[Value]] | None = Field(
        None, description="Conditions: by column a value or several; or a text such as year > 2010."
    )


def router(service: Service) -> APIRouter:
    """``POST /search``."""
    routes = APIRouter(tags=["search"], route_class=Direct)
    example = {"row": _example(service), "limit": 3}

    @routes.post("/search", summary="The nearest rows", openapi_extra=body_schema(SearchBody, example))
    async def search(request: Request) -> JSONResponse:
        body = await json_body(request, SearchBody, service.limits)
        return JSONResponse(await bounded(request, service, hits_of(service, body)))

    return routes


def _example(service: Service) -> JsonObject:
    """One input of the run that made the index, with a value; without an index some row."""
    if service.index is None:
        return {"note": "a quiet street"}
    row = example_row(service.index.served)
    named = [name for name in row if name in service.index.index.manifest.inputs]
    return {name: row[name] for name in named[:1]}


async def hits_of(service: Service, body: SearchBody) -> JsonObject:
    """The hits of a search.

    Raises:
        Refusal: If there is no such index (404), or the row cannot be read or compared (422).
        PolymodalError: If it is no condition, or there is no such column or input.
    """
    searched = index_of(service, body.index)
    check_size(searched.served, [body.row], service.limits)
    given = await service.with_addresses(searched.served, [body.row], Given())
    cells, problem = searched.served.cells(body.row, given)
    if problem is not None:
        raise Refusal(422, problem.message, [problem], param="row")
    hits = await searched.hits(cells, input=body.input, where=body.where, limit=body.limit)
    return {"index": searched.name, "hits": hits}


def index_of(service: Service, name: str | None) -> ServedIndex:
    """The index that a request names; without a name the only one.

    Raises:
        Refusal: If there is no such index (404).
    """
    if service.index is None:
        raise Refusal(404, "this server has no index. Start it with --index INDEX")
    if name not in (None, service.index.name):
        listed = service.index.name
        raise Refusal(404, f"there is no index '{api.one_line(str(name), 80)}'. There is: {listed}")
    return service.index
