"""The command that answers over HTTP: serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.help import ACCESS, MACHINE
from polymodal.cli.options import Device, Precision, PrecisionOption, Threads


class ServerEngine(StrEnum):
    """What may follow ``--engine``."""

    ray = "ray"


Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN…", help="The folders of runs, or of their exports to ONNX.")
]
Index = Annotated[
    Path | None,
    typer.Option("--index", metavar="INDEX", help="An index of one of the runs, for POST /search. [none]"),
]
Host = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.")
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port to listen on; 0 for a free one.")
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TEXT",
        envvar="POLYMODAL_TOKEN",
        rich_help_panel=ACCESS,
        help="Required of every request but /health and /ready. [POLYMODAL_TOKEN]",
        show_envvar=False,
    ),
]
PublicHost = Annotated[
    list[str] | None,
    typer.Option(
        "--public-host",
        metavar="NAME",
        rich_help_panel=ACCESS,
        help="Name under which clients address this server; may be repeated.",
    ),
]
Cors = Annotated[
    list[str] | None,
    typer.Option(
        "--cors",
        metavar="ORIGIN",
        rich_help_panel=ACCESS,
        help="Another site, such as https://example.org, whose pages may send requests; may be repeated.",
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        rich_help_panel=ACCESS,
        help="Host whose media requests may name by their address; may be repeated. [none]",
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        rich_help_panel=ACCESS,
        help="Lower a limit, such as rows=100; may be repeated. GET /runs lists them.",
    ),
]
Decoders = Annotated[
    int,
    typer.Option(
        "--decoders", min=1, metavar="N", rich_help_panel=MACHINE, help="Processes that decode media."
    ),
]
EngineOption = Annotated[
    ServerEngine | None,
    typer.Option(
        "--engine", metavar="NAME", rich_help_panel=MACHINE,
        help="ray: replicas on the cluster of RAY_ADDRESS. [this process]",
    ),
]  # fmt: skip
Replicas = Annotated[
    int | None,
    typer.Option("--replicas", min=1, metavar="N", rich_help_panel=MACHINE, help="With --engine ray. [1]"),
]


def serve(
    runs: Runs,
    index: Index = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token: Token = None,
    public_host: PublicHost = None,
    cors: Cors = None,
    allow_host: AllowHost = None,
    limit: Limit = None,
    decoders: Decoders = 2,
    engine: EngineOption = None,
    replicas: Replicas = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
) -> None:
    """Serve runs over HTTP: predictions and vectors for programs, and a page for people."""

    if replicas is not None and engine is None:
        raise typer.BadParameter("it goes with --engine ray", param_hint="--replicas")
    _check(runs, index)
    with _naming_the_extra():
        from polymodal.serving.ray_server import serve_by_ray
        from polymodal.serving.serve_request import ServeRequest
        from polymodal.serving.server import serve as serve_here
    request = ServeRequest(
        runs=runs, index=index, host=host, port=port, token=token, limits=_limits(limit or []),
        hosts=public_host or [], origins=cors or [], allowed_hosts=allow_host or [], decoders=decoders,
        device=device, threads=threads, precision=(precision or Precision.fp32).value,
        on_ready=typer.echo,
    )  # fmt: skip
    if engine is ServerEngine.ray:
        serve_by_ray(request, replicas or 1)
    else:
        serve_here(request)


def _check(runs: list[Path], index: Path | None) -> None:
    """Refuse folders that cannot be served, before anything is imported."""
    for run in runs:
        api.require_loadable(run)
    if index is not None:
        if all(map(api.is_export, runs)):
            reason = "an index is searched with the run that made it, and an export answers predict alone"
            raise api.RunError(f"{index}: {reason}. Serve that run too")
        api.read_manifest(index)


@contextmanager
def _naming_the_extra() -> Iterator[None]:
    """Name the extra that is not installed, which an import inside the block needs.

    Raises:
        ConfigError: If it is not.
    """
    try:
        yield
    except ImportError as error:
        if str(error.name).partition(".")[0] == "polymodal":
            raise
        fix = "pip install 'polymodal[serve]'"
        raise api.ConfigError(f"a server needs {error.name}, which is not installed: {fix}") from None


def _limits(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for name, mark, _ in pairs:
        if not mark:
            raise typer.BadParameter(f"'{name}', expected NAME=NUMBER", param_hint="--limit")
    return {name.strip(): value.strip() for name, _, value in pairs}
