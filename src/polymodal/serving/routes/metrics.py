"""Figures for Prometheus: ``GET /metrics``."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from polymodal.serving.service import Service


def router(service: Service) -> APIRouter:
    """``GET /metrics``."""
    routes = APIRouter(tags=["state"])

    @routes.get(
        "/metrics", summary="Figures for Prometheus", responses={200: {"content": {"text/plain": {}}}}
    )
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
