"""Who may send requests: host, origin and token are checked before a byte of the body is read."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polymodal.api import one_line
from polymodal.serving.problems import Refusal, error_response
from polymodal.serving.service import Service
from polymodal.serving.token_page import TOKEN_HEADERS, token_page

OPEN = ("/health", "/ready")
"""Paths that need no token."""
SESSION = "/session"
"""Where a browser exchanges the token for a cookie."""
COOKIE = "polymodal_session"
UNCHANGING = ("GET", "HEAD", "OPTIONS")
LOCAL = ("localhost", "127.0.0.1", "::1")
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; frame-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
"""Content-Security-Policy of the page: nothing of another host, no script or style in the HTML."""
DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "media-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-scripts"
)
"""The same of reports and explanations, which hold all they need and may reach nothing."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Content-Security-Policy": PAGE_POLICY,
    "Cache-Control": "no-store",
}
"""Headers of every answer that has none of its own."""
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Sessions:
    """The token of a server, and the cookie of a browser that sent it.

    Args:
        token: None where no request needs one.
        cookie: The cookie's value, a secret of this server.
    """

    def __init__(self, token: str | None, cookie: str) -> None:
        self.token, self.cookie = token, cookie

    def is_token(self, given: bytes) -> bool:
        """Whether a text in UTF-8 is the token, compared in constant time."""
        return self.token is not None and hmac.compare_digest(given, self.token.encode())

    def allows(self, headers: Headers) -> bool:
        """Whether a request has the token or the cookie, or needs neither."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Headers are read as Latin-1, and clients write UTF-8.
        by_token = self.is_token(given.strip().encode("latin-1")) & (scheme.lower() == "bearer")
        return by_token | hmac.compare_digest(_cookie(headers).encode(), self.cookie.encode())


def _cookie(headers: Headers) -> str:
    try:
        entry = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return entry.value if entry is not None else ""


class Guard:
    """Refuses requests for another host, of another site, and without the token; sets security headers.

    Args:
        app: What it guards.
        service: The service, for metrics of refused requests.
        sessions: Token and cookie.
        hosts: Names under which the server may be addressed, besides this machine's own; addresses of
            numbers may be used too, unless it listens on this machine alone.
        origins: Other sites that may send requests.
        is_local: Whether it listens on this machine alone.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        sessions: Sessions,
        *,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        is_local: bool = True,
    ) -> None:
        self.app, self.service, self.sessions, self.is_local = app, service, sessions, is_local
        own = LOCAL if is_local else (*LOCAL, socket.gethostname())
        self.hosts = {host.lower() for host in (*own, *hosts)}
        self.origins = {origin.lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope["method"], scope["path"], Headers(scope=scope))
        guarded = _with_headers(send)
        if refusal is None:
            await self.app(scope, receive, guarded)
            return
        self.service.metrics.refused(refusal.status)
        response: Response = error_response(scope["path"], refusal)
        if refusal.status == 401 and _wants_page(scope):
            response = HTMLResponse(token_page(), 401, TOKEN_HEADERS)
        await response(scope, receive, guarded)

    def refusal(self, method: str, path: str, headers: Headers) -> Refusal | None:
        """Why a request is refused; None if it is not."""
        host = headers.get("host", "")
        if not self._knows(host):
            fix = "Name it with --public-host if it is meant"
            return Refusal(403, f"the Host header is '{one_line(host, 80)}', no name of this server. {fix}")
        if method not in UNCHANGING and (other := self._other_site(headers, host)):
            fix = "Allow it with --cors if it is meant"
            return Refusal(403, f"the request comes from another site ({one_line(other, 80)}). {fix}")
        if path in OPEN or path == SESSION or self.sessions.allows(headers):
            return None
        fix = "Send the header 'Authorization: Bearer TOKEN'"
        return Refusal(401, f"the token is missing or wrong. {fix}", headers={"WWW-Authenticate": "Bearer"})

    def _knows(self, host: str) -> bool:
        """Whether a Host header names this server: a page of another name may have led a browser here."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self.is_local

    def _other_site(self, headers: Headers, host: str) -> str:
        """The site that a request comes from, where it is neither this one nor allowed."""
        origin = headers.get("origin", "").lower().rstrip("/")
        if origin in self.origins:
            return ""
        if origin:
            return "" if urlsplit(origin).netloc == host.lower() else origin
        return "cross-site" if headers.get("sec-fetch-site") in ("cross-site", "same-site") else ""


def _wants_page(scope: Scope) -> bool:
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message["headers"] = given + [entry for entry in _RAW_HEADERS if entry[0] not in names]
        await send(message)

    return guarded
