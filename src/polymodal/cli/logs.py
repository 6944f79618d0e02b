"""``--verbose`` and ``--log FILE`` of every command: library messages, tracebacks, a copy in a file."""

from __future__ import annotations

import logging
import platform
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from polymodal import api
from polymodal.cli.added_options import with_options

LIBRARIES = ("torch", "transformers", "numpy", "scikit-learn", "lightgbm", "pyarrow")
OPTIONS: dict[str, Any] = {
    "verbose": Annotated[
        bool, typer.Option("--verbose", help="Also messages of libraries, and the traceback of an error.")
    ],
    "log": Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Append all that is printed, versions and tracebacks."),
    ],
}
DEFAULTS: dict[str, Any] = {"verbose": False, "log": None}


class Session:
    """How much one command prints, and the file that gets a copy.

    Attributes:
        verbose: Whether tracebacks are printed.
    """

    def __init__(self) -> None:
        self.verbose = False
        self._file: TextIO | None = None
        self._open = ExitStack()

    def begin(self, *, verbose: bool, log: Path | None) -> None:
        """Show or copy more from now on.

        Raises:
            BadParameter: If the file cannot be written.
        """
        self.verbose = verbose
        if log is not None:
            self._copy(log)
        if verbose or log is not None:
            self._show_libraries()

    def failed(self, error: BaseException, *, ours: bool) -> None:
        """Write the traceback of an error: into the file, and where it is wanted to standard error.

        Args:
            error: That ends the command.
            ours: Whether it is an error in the program, whose traceback Python prints itself.
        """
        lines = "".join(traceback.format_exception(error))
        if self.verbose and not ours:
            sys.stderr.write(lines)
        elif self._file is not None:
            self._file.write(lines)

    def end(self) -> None:
        """Close the file, and print as before."""
        self._open.close()
        self.verbose, self._file = False, None

    def _copy(self, path: Path) -> None:
        try:
            file = self._open.enter_context(path.open("a", encoding="utf-8", errors="backslashreplace"))
        except OSError as error:
            raise typer.BadParameter(
                f"{path} cannot be written ({error.strerror})", param_hint="--log"
            ) from None
        self._file = file
        file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {' '.join(sys.argv)}\n{_versions()}\n")
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            self._open.callback(setattr, sys, name, stream)
            setattr(sys, name, _Copied(stream, file))

    def _show_libraries(self) -> None:
        """Print records of all libraries from INFO on, on standard error."""
        root, ours = logging.getLogger(), logging.getLogger("polymodal")
        before = root.level, ours.level
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        ours.setLevel(logging.DEBUG)
        self._open.callback(ours.setLevel, before[1])
        self._open.callback(root.setLevel, before[0])
        self._open.callback(root.removeHandler, handler)


SESSION = Session()
"""Of this process."""


class _Copied:
    """A stream whose text is also written to a file."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream, self._file = stream, file

    def write(self, text: str) -> int:
        """Write to both."""
        self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush both."""
        self._file.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def logged(command: Callable[..., None]) -> Callable[..., None]:
    """Add :data:`OPTIONS` to a command."""

    def run(given: dict[str, Any], added: dict[str, Any]) -> None:
        SESSION.begin(**added)
        command(**given)

    return with_options(command, OPTIONS, DEFAULTS, run)


def _versions() -> str:
    """Versions of this package, of Python, of the system and of the main libraries."""
    from importlib import metadata  # slow, and needed for a log alone

    each = [f"polymodal {api.__version__}", f"Python {platform.python_version()}", platform.platform()]
    for name in LIBRARIES:
        try:
            each.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            each.append(f"{name} is not installed")
    return ", ".join(each)
