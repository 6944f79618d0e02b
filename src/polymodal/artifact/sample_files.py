"""The files of the rows that a run keeps: written, copied to another folder, removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from polymodal.artifact.integrity import add_sums
from polymodal.artifact.samples import FORMAT, MEDIA, ROWS, SAMPLES, Samples, read_samples
from polymodal.errors import PolymodalError
from polymodal.utils.atomic import write_text


def write_rows(samples: Samples) -> None:
    """Write ``rows.json``, whose files are there already."""
    content = {
        "format": FORMAT,
        "split": samples.split,
        "device": samples.device,
        "left_out": samples.left_out,
        "rows": [
            {"row": sample.row, "cells": sample.cells, "answer": sample.answer} for sample in samples.rows
        ],
    }
    write_text(samples.folder / Path(ROWS).name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def copy_samples(source: Path, folder: Path) -> None:
    """Copy the samples of a run to the folder that it is saved to, with their checksums.

    Raises:
        RunError: If they cannot be read.
    """
    samples = read_samples(source)
    if source.resolve() != folder.resolve():
        discard_samples(folder)
    if samples is None:
        return
    names = [ROWS, *(f"{SAMPLES}/{name}" for name in samples.files)]
    if source.resolve() != folder.resolve():
        (folder / SAMPLES / MEDIA).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(source / name, folder / name)
    add_sums(folder, names)


def discard_samples(folder: Path) -> None:
    """Remove the samples of the run in a folder, and no other file."""
    with suppress(PolymodalError):  # of no run
        known = read_samples(folder)
        if known is not None:
            (folder / ROWS).unlink()
            _remove(known.folder, known.files)


def _remove(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for path in (folder / MEDIA, folder):
        with suppress(OSError):  # other files are in it, or it is not there
            path.rmdir()
