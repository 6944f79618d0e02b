"""Environments of their own, to install into, and what is installed there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables by which a process would find packages of this environment."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: Where it lies.
    """

    folder: Path

    @classmethod
    def new(cls, folder: Path, python: str = sys.executable) -> Environment:
        """A new one, with pip and nothing else."""
        subprocess.run([python, "-m", "venv", folder], check=True, env=variables())
        return cls(folder)

    @property
    def site_packages(self) -> Path:
        """Where its packages lie."""
        return next((self.folder / "lib").glob("python*")) / "site-packages"

    def see_packages_of_this_one(self) -> None:
        """Let it import what is installed here; editable installations are not among that."""
        (self.site_packages / "here.pth").write_text(sysconfig.get_path("purelib"))

    def process(self, *command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """A command of the environment, run in ``folder``."""
        words = [self.folder / "bin" / command[0], *command[1:]]
        return subprocess.run(words, cwd=folder, env=variables(), capture_output=True, text=True)

    def run(self, *command: str | Path, folder: Path) -> str:
        """Standard output of a command that must end well."""
        done = self.process(*command, folder=folder)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


def variables() -> dict[str, str]:
    """The variables of this process but those by which packages of this environment would be found."""
    return {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
