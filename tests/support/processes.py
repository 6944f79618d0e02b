"""Fits in several processes at once, as ``torchrun`` starts them, forked from one that has imported all."""

from __future__ import annotations

import io
import os
import socket
from typing import Any

from tests.support.killing import CONTEXT, kill_at


def polymodal_together(
    *arguments: Any, folder: Any, processes: int = 2, die_at: str | None = None
) -> list[tuple[int, str, str]]:
    """``torchrun --nproc-per-node <processes> -m polymodal <arguments>`` in ``folder``.

    Args:
        arguments: Of the command.
        folder: To call it in.
        processes: How many.
        die_at: The main process is killed when it touches such a file, and then the others, by torchrun.

    Returns:
        Status, standard output and standard error of each process.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1"}
    started = []
    for rank in range(processes):
        environment = common | {"RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
        ours, theirs = CONTEXT.Pipe(duplex=False)
        given = (arguments, folder, environment, die_at if rank == 0 else None, theirs)
        started.append((CONTEXT.Process(target=_run, args=given), ours))
        started[-1][0].start()
        theirs.close()
    results = []
    for process, ours in started:
        try:
            results.append(ours.recv())
        except EOFError:
            results.append((None, "", ""))
            for other, _ in started:
                other.kill()
        process.join()
    return [
        (process.exitcode or status, out, err)
        for (process, _), (status, out, err) in zip(started, results, strict=True)
    ]


def _run(arguments: Any, folder: Any, environment: dict[str, Any], die_at: str | None, answer: Any) -> None:
    os.environ.update({name: str(value) for name, value in environment.items()})
    from polymodal.utils import progress
    from tests.support.command import polymodal

    if die_at:
        kill_at(str(folder), die_at)
    told = io.StringIO()
    progress.CONSOLE.file = told
    result = polymodal(*arguments, folder=folder)
    answer.send((result.status, result.out, told.getvalue() + result.err))
