"""The command line as a user calls it, in this process: importing torch for every call would take minutes."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from polymodal import cli
from tests.support.tables import tiny

BEFORE = (
    "warning: ", "note: ", "device  ", "rows  ", "inputs  ", "targets  ", "objectives  ", "prompt  ",
    "answer  ", "models  ", "expected  ", "candidate ", "resumed ", "checking ",
)  # fmt: skip
"""How the lines begin that a fit prints before its first step, and a check before its report."""


@dataclass
class Result:
    """What a command left behind.

    Attributes:
        status: The exit status.
        out: What it wrote to standard output.
        err: The same of standard error.
    """

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that begin with ``error:``, without that word."""
        lines = self.err.splitlines()
        return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object on one line and nothing else."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


def polymodal(*arguments: Any, folder: Path | None = None) -> Result:
    """Run ``polymodal arguments…``, in ``folder`` if given."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", ["polymodal", *map(str, arguments)]))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        if folder is not None:
            stack.enter_context(contextlib.chdir(folder))
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Result(status, out.getvalue(), err.getvalue())


def settings(*names: str, **more: Any) -> list[str]:
    """:func:`tests.support.tables.tiny` as options of the command line."""
    return [word for setting in tiny(*names, **more) for word in ("--set", setting)]


def errors(folder: Path, *arguments: Any) -> list[str]:
    """What a command that must fail says: its error lines, and nothing but these on standard error.

    What a fit prints before it starts is left out.
    """
    result = polymodal(*arguments, folder=folder)
    assert result.status == 1, result
    others = [line for line in result.err.splitlines() if not line.startswith("error: ")]
    assert result.errors and all(line.startswith(BEFORE) for line in others), result.err
    assert not result.out
    return result.errors


def error(folder: Path, *arguments: Any) -> str:
    """The same where it is one line."""
    (line,) = errors(folder, *arguments)
    return line
