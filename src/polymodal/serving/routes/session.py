"""The session of a browser: the token, entered once, for a cookie."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import Field

from polymodal.serving.bodies import Body, json_body, json_schema_of
from polymodal.serving.forms import read_form
from polymodal.serving.problems import Refusal
from polymodal.serving.security import COOKIE, SESSION, Sessions
from polymodal.serving.service import Service
from polymodal.serving.token_page import TOKEN_HEADERS, token_page

FORM = ("application/x-www-form-urlencoded", "multipart/form-data")


class SessionBody(Body):
    """The token."""

    token: str = Field(description="The token of this server.")


def router(service: Service, sessions: Sessions) -> APIRouter:
    """``POST /session``; a form is answered with a redirection to the page."""
    routes = APIRouter(tags=["state"])

    @routes.post(
        SESSION, summary="Exchange the token for a cookie", openapi_extra=json_schema_of(SessionBody),
    )  # fmt: skip
    async def session(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in FORM:
            form = await (request.form() if kind == FORM[0] else read_form(request, service.limits))
            token = str(form.get("token", ""))
        else:
            token = (await json_body(request, SessionBody, service.limits)).token
        if sessions.token is not None and not sessions.is_token(token.encode()):
            if kind in FORM:
                return HTMLResponse(token_page(is_wrong=True), 401, TOKEN_HEADERS)
            raise Refusal(401, "this is not the token of the server. It is what --token was", param="token")
        response = RedirectResponse("/", 303) if kind in FORM else JSONResponse({"status": "ok"})
        response.set_cookie(
            COOKIE, sessions.cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return response

    return routes
