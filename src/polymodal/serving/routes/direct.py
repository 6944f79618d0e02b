"""Routes whose function takes the request itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class Direct(APIRoute):
    """A route whose function takes the request alone, and returns the response.

    FastAPI would resolve the function's arguments and convert what it returns: a tenth of all that a request
    takes beside the model.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See :class:`APIRoute`."""
        function: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return function
