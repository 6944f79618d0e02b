"""The most memory that another process held, and what it printed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# The small process between is what Linux counts a child's memory from: without it, this one's.
PEAK = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
said = process.stdout.read()
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), flush=True)
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """The most bytes that the process of ``command`` held, and what it printed.

    Raises:
        SystemExit: If it failed.
    """
    done = subprocess.run([sys.executable, "-c", PEAK, *command], capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr}")
    held, _, said = done.stdout.partition("\n")
    return int(held), said
