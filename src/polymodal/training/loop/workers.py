"""Worker processes of the data loader: refused where starting them would run a script again."""

from __future__ import annotations

import ast
import multiprocessing
import sys
from multiprocessing import process
from pathlib import Path
from types import FrameType

from polymodal.errors import ConfigError

CURE = "Put the call under if __name__ == '__main__':, or set train.workers to 0"


def require_main_guard(workers: int) -> None:
    """Refuse ``workers`` where each of them would import a script that starts a fit on import.

    Spawned processes (the default on macOS, Windows and, as a fork server, in Python 3.14 on Linux) import
    the main script first; an unguarded call in it would start the fit again in each of them.

    Raises:
        ConfigError: If the present call is unguarded, or this is such a process already.
    """
    if not workers:
        return
    if getattr(process.current_process(), "_inheriting", False):  # as multiprocessing itself checks
        raise ConfigError(f"a process of another fit imports this script, which fits again. {CURE}")
    if multiprocessing.get_start_method() == "fork":
        return
    line = _line_of_main(sys._getframe())
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if line is not None and path and not _is_guarded(Path(path), line):
        reason = f"each of train.workers={workers} processes would run {Path(path).name} from its first line"
        raise ConfigError(f"{reason}. {CURE}")


def _line_of_main(frame: FrameType | None) -> int | None:
    """The current line at the top level of the main script; None elsewhere."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return frame.f_lineno
        frame = frame.f_back
    return None


def _is_guarded(script: Path, line: int) -> bool:
    """Whether a line of a script is inside ``if __name__ == …``; true without a script."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError):  # a zip file, a frozen program
        return True
    guards = (
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "__name__" in ast.dump(node.test)
    )
    return any(guard.lineno <= line <= (guard.end_lineno or guard.lineno) for guard in guards)
