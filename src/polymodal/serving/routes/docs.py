"""The description of the API for people: ``GET /docs``, one page that loads nothing of another host."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from polymodal.serving.description import run_for, supports
from polymodal.serving.security import DOCUMENT_POLICY
from polymodal.serving.service import Service

NEEDS = {
    "/predict": "predict", "/embed": "embed", "/explain": "explain", "/search": "search",
    "/v1/embeddings": "embed", "/v1/chat/completions": "chat", "/runs/{name}/report": "report",
}  # fmt: skip
"""By path what a run has to support."""
NAME = re.compile(r"\{\w+\}")
"""The place of a run's name in a path."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Polymodal: API</title><style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8888; border-radius: .4rem }
h2 code { font-size: 1.1rem }
</style></head><body><main>
<h1>API of this server</h1>
<p>The same for programs: <a href="/openapi.json">/openapi.json</a>. The runs, their inputs and the limits:
<a href="/runs">/runs</a>. Errors are JSON: <code>{"error": {"message", "problems"}}</code>.</p>
{% for route in routes %}
<section><h2><code>{{ route.method }} {{ route.path }}</code></h2><p>{{ route.summary }}.</p>
{% if route.curl %}<pre tabindex="0"><code>{{ route.curl }}</code></pre>{% endif %}
{% if route.schema %}<details><summary>Fields of the body</summary>
<pre tabindex="0"><code>{{ route.schema }}</code></pre></details>{% endif %}
</section>
{% endfor %}
</main></body></html>
"""


def router(service: Service, app: FastAPI) -> APIRouter:
    """``GET /docs``."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        token = " -H 'Authorization: Bearer TOKEN'" if service.token is not None else ""
        command = f"curl{token} {str(request.base_url).rstrip('/')}"
        described = [
            _route(method.upper(), path, operation, command, _run_of(service, path))
            for path, operations in app.openapi()["paths"].items()
            for method, operation in operations.items()
        ]
        page = Environment(autoescape=True).from_string(PAGE).render(routes=described)
        return HTMLResponse(page, headers={"Content-Security-Policy": DOCUMENT_POLICY})

    return routes


def _run_of(service: Service, path: str) -> str | None:
    """The name of a run that supports what a route is about, as paths have it; None if none does."""
    needed = NEEDS.get(path, "")
    if needed and not supports(service, needed):
        return None
    return quote(run_for(service, needed).name)


def _route(
    method: str, path: str, operation: dict[str, Any], command: str, run: str | None
) -> dict[str, str]:
    """What the page shows of one operation.

    Args:
        method: Of the request.
        path: Of the request.
        operation: Its description in OpenAPI.
        command: The beginning of a command that sends it, up to the path.
        run: The name of one, for the path; None for an operation that no run supports, without a command.
    """
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    curl = "" if run is None else command + NAME.sub(run, path)
    if "example" in body and curl:
        content = json.dumps(body["example"], ensure_ascii=False).replace("'", "'\\''")
        curl = f"{curl} -H 'Content-Type: application/json' \\\n  -d '{content}'"
    elif method != "GET":
        curl = ""
    schema = json.dumps(body["schema"], indent=2) if "schema" in body else ""
    shown = {"method": method, "path": path, "summary": operation.get("summary", "")}
    return shown | {"curl": curl, "schema": schema}
