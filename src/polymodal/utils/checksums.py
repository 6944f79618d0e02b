"""Checksums of the files in a folder: they find damage; whoever changes a file can change them too."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from polymodal.errors import RunError
from polymodal.utils.atomic import write_text
from polymodal.utils.json_files import read_json

CHECKSUMS = "checksums.json"
"""SHA-256 of each file that loading reads. It finds damage; whoever changes a file can change it too."""


def check_sums(folder: Path) -> None:
    """Check the files of a run against ``checksums.json``, if there is one.

    Raises:
        RunError: If a file has changed or is missing.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return
    try:
        sums = read_json(path)
    except (OSError, ValueError):
        sums = None
    sums = sums.get("sha256") if isinstance(sums, dict) else None
    if not isinstance(sums, dict):
        raise RunError(f"{path}: holds no checksums. Copy the run again")
    for name, expected in sums.items():
        file = folder / name
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise RunError(f"{path}: '{name}' is no file of the run. Copy the run again")
        if not file.is_file():
            raise RunError(f"{folder}: {name} is missing. Copy the run again, or fit again")
        if digest_of(file) != expected:
            fix = f"Copy the run again, or delete {CHECKSUMS} if you changed the file yourself"
            raise RunError(f"{folder}: {name} is not as it was written (its SHA-256 differs). {fix}")


def refuse_pipes(paths: Iterable[Path]) -> None:
    """Refuse pipes and devices: reading one may block forever.

    Raises:
        RunError: Naming the first.
    """
    for path in paths:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise RunError(f"{path}: is a pipe or a device, expected a file. Do not trust this folder")


def write_whole_sums(folder: Path) -> None:
    """Write ``checksums.json`` of all files in a folder and below."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sums = {"sha256": {name: digest_of(folder / name) for name in names if name != CHECKSUMS}}
    write_text(folder / CHECKSUMS, json.dumps(sums, indent=2) + "\n")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
