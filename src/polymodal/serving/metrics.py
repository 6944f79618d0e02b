"""Figures for Prometheus: requests, latency, what waits, sizes of batches, and what was refused."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
METHODS = ("GET", "POST", "HEAD", "OPTIONS")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The figures of one service.

    Args:
        waiting: The number of rows that wait for a model.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "polymodal_requests", "Requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "polymodal_request_seconds", "Seconds from header to answer", ["route"], registry=self.registry,
            buckets=SECONDS,
        )  # fmt: skip
        self.in_flight = Gauge(
            "polymodal_requests_in_flight", "Requests being answered", registry=self.registry
        )
        self.batch = Histogram(
            "polymodal_batch_rows", "Rows of a batch", ["run"], registry=self.registry, buckets=SIZES
        )
        self._refused = Counter(
            "polymodal_refused", "Requests refused, by status", ["status"], registry=self.registry
        )
        Gauge("polymodal_waiting_rows", "Rows that wait", registry=self.registry).set_function(waiting)

    def refused(self, status: int) -> None:
        """Count a refused request."""
        self._refused.labels(str(status)).inc()

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class Measured:
    """Counts and times every request.

    Args:
        app: What it measures.
        metrics: Where the figures go.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", "other")
                method = scope["method"] if scope["method"] in METHODS else "other"
                self.metrics.requests.labels(route, method, str(status)).inc()
                self.metrics.seconds.labels(route).observe(time.perf_counter() - began)
