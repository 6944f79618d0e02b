"""Fits in processes of their own, which end as a power cut would: by SIGKILL, at a chosen moment.

The processes are forked from one that has imported the libraries already, so that a fit takes a second.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.killing_preload"])
TOUCHES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree")
"""Python's audit events of whatever changes files."""


def fit(options: dict[str, Any], report: Any = None, die_at: int | str | None = None) -> None:
    """``pm.fit(**options)``; killed before it touches the run folder for the ``die_at``-th time.

    Args:
        options: Of the fit.
        report: Where to put how often the folder was touched, if that is asked for.
        die_at: Or a part of the name of the file that it is about to touch; never, by default.
    """
    import polymodal as pm

    multiprocessing.set_start_method("fork", force=True)  # for the workers, as in a process started by hand
    touched = kill_at(str(options["output"]), die_at)
    pm.fit(**options)
    if report is not None:
        report.put(touched[0])


def kill_at(folder: str, moment: int | str | None) -> list[int]:
    """Have this process killed before it touches ``folder`` for the n-th time, or a file of such a name.

    Returns:
        A list of one number, which counts on: how often it was touched.
    """
    touched = [0]

    def watch(event: str, arguments: tuple) -> None:
        path = str(arguments[0]) if event in TOUCHES else ""
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        if path.startswith(folder) or (isinstance(moment, str) and moment in path):
            touched[0] += 1
            if touched[0] == moment or (isinstance(moment, str) and moment in path):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return touched


def count_touches(options: dict[str, Any]) -> int:
    """Fit, and say how often the run folder was touched."""
    report = CONTEXT.SimpleQueue()
    finish(options, report)
    return report.get()


def finish(options: dict[str, Any], report: Any = None) -> float:
    """Fit to the end; returns the seconds that it took."""
    started = time.monotonic()
    process = CONTEXT.Process(target=fit, args=(options, report))
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - started


def die(options: dict[str, Any], *, touch: int | str | None = None, after: float | None = None) -> bool:
    """Fit until the process is killed; returns whether it was, for it may have been quicker.

    Args:
        options: Of the fit.
        touch: Before which touch of the run folder it dies, or of which file.
        after: After how many seconds it is killed.
    """
    process = CONTEXT.Process(target=fit, args=(options, None, touch))
    process.start()
    process.join(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def weights(folder: Path) -> dict[str, Any]:
    """The tensors of a finished run."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")
