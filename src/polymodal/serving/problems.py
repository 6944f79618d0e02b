"""Errors of requests: their bodies, and the handlers that write them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from polymodal.api import PolymodalError, missing_library, one_line

LOG = logging.getLogger("polymodal.serving")
LONGEST = 1000
"""Characters of a message."""


@dataclass(frozen=True)
class ItemProblem:
    """One problem of a request's content.

    Attributes:
        message: One line, with the fix.
        row: Number of the row in the request, from 1; None if it is about no row.
        input: Name of the input; None if it is about none.
    """

    message: str
    row: int | None = None
    input: str | None = None

    def plain(self) -> dict[str, str | int | None]:
        """For JSON."""
        return {"message": self.message, "row": self.row, "input": self.input}


class ErrorContent(BaseModel):
    """What went wrong: one line with the fix, and each problem; other fields are of OpenAI's form."""

    message: str
    problems: list[ItemProblem] = []


class ErrorAnswer(BaseModel):
    """The body of every error."""

    error: ErrorContent


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "Refused, with the reason"},
    "5XX": {"model": ErrorAnswer, "description": "Too much waits, or the server failed"},
}
"""The errors of every route, for OpenAPI."""


class Refusal(Exception):
    """A request that is refused.

    Args:
        status: Of the answer.
        message: One line, with the fix.
        problems: In detail.
        headers: Of the answer, such as ``Retry-After``.
        param: The field of the request at fault, which OpenAI's form names.
    """

    def __init__(
        self,
        status: int,
        message: str,
        problems: Sequence[ItemProblem] = (),
        headers: Mapping[str, str] | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, one_line(message, LONGEST)
        self.problems, self.headers, self.param = list(problems), dict(headers or {}), param


def error_body(message: str, problems: Sequence[ItemProblem] = ()) -> dict[str, object]:
    """The body of an error, of every route but those in OpenAI's form."""
    return {"error": {"message": message, "problems": [problem.plain() for problem in problems]}}


def openai_error_body(status: int, message: str, param: str | None = None) -> dict[str, object]:
    """The body of an error in OpenAI's form."""
    kind = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    names = {entry.value: entry.name.lower() for entry in HTTPStatus}
    code = names.get(status, "client_closed_request")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(path: str, refusal: Refusal) -> JSONResponse:
    """The answer to a refused request, in the form of its path."""
    if path.startswith("/v1/"):
        body = openai_error_body(refusal.status, refusal.message, refusal.param)
    else:
        body = error_body(refusal.message, refusal.problems)
    return JSONResponse(body, refusal.status, refusal.headers)


CLIENT_LEFT = 499
"""Status in the metrics of requests whose client went before the body was complete."""


def install_handlers(app: FastAPI, without_paths: Callable[[str], str]) -> None:
    """Answer every error of ``app`` with JSON that holds neither a path nor a traceback.

    Args:
        app: Its errors are handled.
        without_paths: Messages of runs to messages that name no folder.
    """

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refusal)
        return error_response(request.url.path, error)

    async def of_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        refusal = Refusal(error.status_code, _http_message(request, error), headers=error.headers)
        return error_response(request.url.path, refusal)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return error_response(request.url.path, Refusal(422, "; ".join(wrong)))

    async def of_run(request: Request, error: Exception) -> JSONResponse:
        return error_response(request.url.path, Refusal(422, without_paths(str(error))))

    async def lacking(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ModuleNotFoundError)
        missing = missing_library(error)
        if missing is None:
            return await unexpected(request, error)
        package, install = missing
        message = f"this needs {package}, which is not installed where the server runs: {install}"
        LOG.warning("%s: %s", request.url.path, message)
        return error_response(request.url.path, Refusal(HTTPStatus.NOT_IMPLEMENTED, message))

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        number = uuid.uuid4().hex[:8]
        LOG.error("error %s of %s", number, request.url.path, exc_info=error)
        message = f"the server failed (error {number}, described in its log)"
        return error_response(request.url.path, Refusal(500, message))

    async def left(request: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_LEFT)  # which nobody receives

    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(PolymodalError, of_run)
    app.add_exception_handler(ModuleNotFoundError, lacking)
    app.add_exception_handler(Exception, unexpected)


def _http_message(request: Request, error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND and error.detail == HTTPStatus.NOT_FOUND.phrase:
        return f"there is no {one_line(request.url.path, 200)}. The routes are listed at /docs"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{one_line(request.url.path, 200)} does not take the method {request.method}. See /docs"
    return one_line(str(error.detail), LONGEST)
