"""Why a row is answered as it is: ``POST /explain``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import Field

from polymodal import api
from polymodal.serving.bodies import Body, json_body
from polymodal.serving.bounded import bounded
from polymodal.serving.chat.reading import body_schema
from polymodal.serving.description import example_row, run_for
from polymodal.serving.items import check_size
from polymodal.serving.problems import Refusal
from polymodal.serving.routes.direct import Direct
from polymodal.serving.security import DOCUMENT_POLICY
from polymodal.serving.served_run import ServedRun, problem_of
from polymodal.serving.service import Service
from polymodal.serving.values import Given

PAGE_HEADERS = {"Content-Security-Policy": DOCUMENT_POLICY}


class ExplainBody(Body):
    """The row to explain."""

    run: str | None = Field(None, description="Name of the run; may be absent where there is one.")
    row: dict[str, Any] = Field(description="By input its value; an input that is null or absent is missing.")
    targets: list[str] | None = Field(None, min_length=1, description="By default all.")


def router(service: Service) -> APIRouter:
    """``POST /explain``."""
    routes = APIRouter(tags=["explanations"], route_class=Direct)
    first = run_for(service, "explain")
    example = {"run": first.name, "row": example_row(first)}
    described = body_schema(ExplainBody, example)
    page: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}

    @routes.post("/explain", summary="What each input contributes", responses=page, openapi_extra=described)
    async def explain(request: Request) -> Response:
        body = await json_body(request, ExplainBody, service.limits)
        served = service.run(body.run)
        as_page = wants_page(request.headers.get("accept", ""))
        content = await bounded(request, service, explained(service, served, body, as_page))
        return (
            HTMLResponse(content, headers=PAGE_HEADERS) if isinstance(content, str) else JSONResponse(content)
        )

    return routes


def wants_page(accept: str) -> bool:
    """Whether a client prefers HTML: it names it, and JSON not before it."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    first = next((kind for kind in kinds if kind in ("text/html", "application/json")), "")
    return first == "text/html"


async def explained(
    service: Service, served: ServedRun, body: ExplainBody, as_page: bool
) -> api.JsonObject | str:
    """The explanation of a row, as JSON or as a page.

    Raises:
        Refusal: If the run explains nothing, or the row cannot be read (422).
        PolymodalError: If there is no such target.
    """
    served.require("explain")
    check_size(served, [body.row], service.limits)
    given = await service.with_addresses(served, [body.row], Given())
    cells, problem = served.cells(body.row, given)
    if problem is not None:
        raise Refusal(422, problem.message, [problem])
    with served.admitted(1):
        await asyncio.to_thread(_prepare)
        rows = await read_for_explanation(served, cells)
        result, page = await served.in_model(_explained, served, cells, rows, body.targets, as_page)
    if page is not None:
        return service.without_paths(page)
    readers = served.reading.targets
    return {
        "run": served.name,
        "sentences": [service.without_paths(sentence) for sentence in result.sentences()],
        "answers": [api.summary(entry, readers) for entry in result.entries],
    }


def _prepare() -> None:
    """Import what explains, torch among it: seconds, for which a run of plain models answers others."""
    _ = api.explain_read, api.summary


async def read_for_explanation(served: ServedRun, cells: Mapping[str, Any]) -> list[api.Row]:
    """A row as the run reads it, and as the neural model in a blend does; read in worker processes.

    Raises:
        Refusal: If it cannot be read (422).
    """
    run = served.run
    assert isinstance(run, api.Run)
    rows = []
    for reading in await served.in_model(_readings, run):
        [read] = await served.decoders.read(reading, [cells])
        if read.problems:
            problem = problem_of(read, 1)
            raise Refusal(422, problem.message, [problem])
        rows.append(read.row)
    return rows


def _readings(run: api.Run) -> list[api.RowProcessor]:
    """What reads a row for the run, and for the neural model in a blend, which may have to be loaded."""
    return [run.reading, run.fused.reading] if api.neural_shares(run) else [run.reading]


def _explained(
    served: ServedRun,
    cells: Mapping[str, Any],
    rows: Sequence[api.Row],
    targets: Sequence[str] | None,
    as_page: bool,
) -> tuple[api.Explanations, str | None]:
    """The explanation of a row, and its page where one is wanted; computed in the thread of the model."""
    run = served.run
    assert isinstance(run, api.Run)
    result = api.explain_read(run, cells, *rows, targets=targets)
    footer = f"Run {served.name}, explained by Polymodal {api.__version__}."
    return result, api.explanation_page(result, run, footer) if as_page else None
