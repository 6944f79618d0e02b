"""The served runs: their description, their kept samples and their reports."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse

from polymodal.serving.description import describe_service
from polymodal.serving.problems import Refusal
from polymodal.serving.security import DOCUMENT_POLICY
from polymodal.serving.served_export import ServedExport
from polymodal.serving.service import Service


def router(service: Service) -> APIRouter:
    """``GET /runs``, ``GET /runs/{name}/samples`` and ``GET /runs/{name}/report``."""
    routes = APIRouter(tags=["runs"])

    @routes.get("/runs", summary="The runs: their inputs, targets and capabilities, and the limits")
    async def runs() -> JSONResponse:
        return JSONResponse(describe_service(service))

    @routes.get("/runs/{name}/samples", summary="Rows that a run keeps, and its answers to them")
    async def samples(name: str) -> JSONResponse:
        return JSONResponse({"samples": service.run(name).samples})

    @routes.get(
        "/runs/{name}/report", summary="The report of a run, as HTML",
        responses={200: {"content": {"text/html": {}}}},
    )  # fmt: skip
    async def report(name: str) -> HTMLResponse:
        served = service.run(name)
        page = served.run.folder / "report.html"
        if not page.is_file():
            fix = "" if isinstance(served, ServedExport) else ". Write one: polymodal report RUN"
            raise Refusal(404, f"'{name}' has no report{fix}")
        return HTMLResponse(
            page.read_text(encoding="utf-8"), headers={"Content-Security-Policy": DOCUMENT_POLICY}
        )

    return routes
