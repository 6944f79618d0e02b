"""The same application in several replicas on a Ray cluster, behind the proxy of Ray Serve."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from polymodal import api
from polymodal.api import ConfigError, RunError
from polymodal.serving.app import create_app
from polymodal.serving.serve_request import ServeRequest
from polymodal.serving.server import DRAINING_SECONDS, address_of, bind, is_local

NAME = "polymodal"


class Replica:
    """What Ray Serve places on a machine; its requests go to the application."""


def serve_by_ray(request: ServeRequest, replicas: int = 1) -> None:
    """Serve runs on the cluster that ``RAY_ADDRESS`` names until SIGTERM or Ctrl-C.

    The proxy of Ray Serve reads requests, so that the limits on the time of header and body and on the number
    of connections are its own. Each replica has its own figures at ``/metrics``.

    Args:
        request: Of the user. All machines of the cluster have the runs; the proxy listens on the address,
            whose port cannot be 0, for the proxy does not report which one it took.
        replicas: Each loads the runs and computes batches of its own.

    Raises:
        ConfigError: If Ray is not installed, a limit is unknown or raised, or there is no such device.
        RunError: If the address cannot be used, Ray not be reached or serves already, or no replica starts.
    """
    limits, host, port = request.lowered, request.host, request.port
    if port == 0:
        raise RunError("--port 0: with --engine ray the port has to be named")
    listener = bind(host, port)  # an address that cannot be used is named before Ray starts
    access = request.access(is_local=is_local(listener))
    listener.close()
    serve = _ray_serve()
    needs = _needs(request.threads, request.device)
    placed = _for_replicas(request, needs["num_cpus"])

    def build() -> FastAPI:
        return create_app(placed.load(), access)

    try:
        serve.start(http_options={"host": host, "port": port})
        _place(serve, build, num_replicas=replicas, max_ongoing_requests=limits.connections,
               ray_actor_options=needs)  # fmt: skip
        names = ", ".join(Path(folder).name for folder in placed.runs)
        request.ready(f"Serving {names} at {address_of(host, port)} by {replicas} replicas. Ctrl-C ends it")
        _wait_for_a_signal()
    finally:
        serve.shutdown()


def _for_replicas(request: ServeRequest, threads: int) -> ServeRequest:
    """The request as replicas get it, which may work in other folders: with whole paths."""
    runs = [Path(folder).resolve() for folder in request.runs]
    index = None if request.index is None else Path(request.index).resolve()
    return replace(request, runs=runs, index=index, threads=threads, on_ready=None)


def _ray_serve() -> Any:
    """The module, connected to a cluster on which it does not run yet: what runs there is not touched.

    Raises:
        ConfigError: If Ray is not installed.
        RunError: If Ray cannot be reached, or Ray Serve runs already.
    """
    api.require_ray()
    try:
        from ray import serve
    except ImportError as error:
        fix = "pip install 'polymodal[ray]'"
        raise ConfigError(f"--engine ray needs {error.name}, which is not installed: {fix}") from None
    running = serve.status()
    if running.proxies or running.applications:
        names = ", ".join(running.applications) or "no application"
        fix = "Use another cluster, or end it: serve shutdown"
        raise RunError(f"Ray Serve already runs on this cluster, with an address of its own ({names}). {fix}")
    return serve


def _place(serve: Any, build: Callable[[], FastAPI], **options: Any) -> None:
    """Start the replicas, and wait until they answer.

    Raises:
        RunError: If one cannot be started.
    """
    placed = serve.deployment(
        name=NAME, graceful_shutdown_timeout_s=DRAINING_SECONDS, max_constructor_retry_count=1, **options
    )
    try:
        serve.run(placed(serve.ingress(build)(Replica)).bind(), name=NAME, route_prefix="/")
    except RuntimeError as error:
        cause = "The cause is in Ray's log of the replica"
        raise RunError(f"no replica could be started: {_reason(error)} {cause}") from None


def _needs(threads: int | None, device: str | None) -> dict[str, int]:
    """The cores and GPUs of a replica: by default one core, and one GPU where the cluster has any.

    Raises:
        ConfigError: If there is no such device.
    """
    import ray

    gpus = ray.cluster_resources().get("GPU", 0)
    if device not in (None, "cpu", "cuda") or (device == "cuda" and not gpus):
        has = "cpu, cuda" if gpus else "cpu"
        raise ConfigError(f"--device {device}: the replicas of this cluster have {has}")
    return {"num_cpus": threads or 1, "num_gpus": 1 if gpus and device != "cpu" else 0}


def _reason(error: Exception) -> str:
    """The last line of a failed deployment that holds words: that of the exception in the replica."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return api.one_line(lines[-1] if lines else type(error).__name__, 300)


def _wait_for_a_signal() -> None:
    """Return at the first SIGTERM or SIGINT."""
    ended = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.set())
    while not ended.wait(timeout=1):  # a wait without a limit is not interrupted everywhere
        pass
