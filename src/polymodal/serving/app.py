"""The application: every route over one service, behind its guards."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from polymodal import api
from polymodal.serving.metrics import Measured
from polymodal.serving.problems import ERRORS, install_handlers
from polymodal.serving.reading_limits import BodyLimits
from polymodal.serving.routes import (
    docs,
    embed,
    explain,
    health,
    metrics,
    openai_chat,
    openai_embeddings,
    page,
    predict,
    runs,
    search,
    session,
)
from polymodal.serving.security import Guard, Sessions
from polymodal.serving.service import Service

ROUTERS: tuple[Callable[[Service], APIRouter], ...] = (
    predict.router, embed.router, openai_chat.router, openai_embeddings.router, search.router,
    explain.router, health.router, runs.router, metrics.router, page.router,
)  # fmt: skip
"""A function per file of routes, from a service to its APIRouter; those of many requests first."""


@dataclass(frozen=True)
class Access:
    """Who may reach a server.

    Attributes:
        hosts: Names under which it may be addressed, besides this machine's own.
        origins: Other sites that may send requests.
        is_local: Whether it listens on this machine alone.
        cookie: The value of the cookie of browsers that sent the token: all replicas of a server know it.
    """

    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    is_local: bool = True
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def create_app(service: Service, access: Access | None = None) -> FastAPI:
    """The application that answers requests with ``service``, which it starts and stops.

    Args:
        service: Its runs answer.
        access: By default this machine alone.
    """
    allowed = access or Access()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="Polymodal", version=api.__version__, lifespan=lifespan, redoc_url=None, docs_url=None,
        responses=ERRORS, description="Runs of Polymodal: predictions, vectors, explanations and chat.",
    )  # fmt: skip
    app.state.service = service
    install_handlers(app, service.without_paths)
    sessions = Sessions(service.token, allowed.cookie)
    for router in ROUTERS:
        app.include_router(router(service))
    app.include_router(session.router(service, sessions))
    app.include_router(docs.router(service, app))
    # The last one added sees a request first.
    app.add_middleware(BodyLimits, service=service)
    app.add_middleware(
        Guard, service=service, sessions=sessions, hosts=allowed.hosts, origins=allowed.origins,
        is_local=allowed.is_local,
    )  # fmt: skip
    if allowed.origins:
        headers = ["Authorization", "Content-Type"]
        app.add_middleware(
            CORSMiddleware, allow_origins=list(allowed.origins), allow_methods=["GET", "POST"],
            allow_headers=headers,
        )  # fmt: skip
    app.add_middleware(Measured, metrics=service.metrics)
    return app
