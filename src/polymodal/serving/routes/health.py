"""Whether the process lives, and whether it takes requests."""

from __future__ import annotations

from fastapi import APIRouter

from polymodal.serving.problems import Refusal
from polymodal.serving.service import Service


def router(service: Service) -> APIRouter:
    """``GET /health`` and ``GET /ready``, which need no token."""
    routes = APIRouter(tags=["state"])

    @routes.get("/health", summary="The process lives")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/ready", summary="Runs are loaded, and requests are taken")
    async def ready() -> dict[str, str]:
        if service.draining:
            raise Refusal(503, "the server ends: what is in flight is answered, and nothing new is taken")
        return {"status": "ready"}

    return routes
