"""The page: ``GET /`` and the files it loads, all from the package."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

if TYPE_CHECKING:
    from polymodal.serving.service import Service

BUILT = Path(__file__).resolve().parent.parent / "page" / "built"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
"""Media types of the files that are served, by extension; other files are not."""
POLICY = "; ".join(
    (
        "default-src 'self'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
        "media-src 'self' data: blob:", "connect-src 'self'", "frame-src 'self'", "form-action 'self'",
        "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
"""Content-Security-Policy of the page: nothing inline, and no other host."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Cache-Control": "no-cache",
}


def router(service: Service | None = None) -> APIRouter:
    """``GET /`` and ``GET /static/…``, which are the same for every service."""
    routes = APIRouter(include_in_schema=False)
    files = {path.name: path.read_bytes() for path in BUILT.iterdir() if path.suffix in TYPES}
    tags = {name: f'"{hashlib.sha256(content).hexdigest()[:32]}"' for name, content in files.items()}

    def response(request: Request, name: str) -> Response:
        headers = HEADERS | {"ETag": tags[name]}
        if request.headers.get("If-None-Match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(files[name], headers=headers, media_type=TYPES[Path(name).suffix])

    @routes.get("/")
    async def page(request: Request) -> Response:
        return response(request, "index.html")

    @routes.get("/static/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return response(request, name)

    return routes
