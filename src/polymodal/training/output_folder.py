"""The run folder of a fit: check, prepare and clear it; the state of an earlier fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from polymodal.artifact.integrity import CHECKSUMS
from polymodal.artifact.run_folder import (
    BLEND,
    CANDIDATES,
    FILES,
    discard_candidates,
    needed_files,
    own_candidates,
)
from polymodal.artifact.sample_files import discard_samples
from polymodal.config import Declaration
from polymodal.config.parsing import declares
from polymodal.errors import RunError, option, worded
from polymodal.training.recorded_metrics import FitResults, PredictionResults, check_recorded
from polymodal.utils.atomic import discard, write_text, writing
from polymodal.utils.json_files import read_json

RESULTS = "metrics.json"
"""Written when all is measured, before the pages: a run that has it can be used."""
PAGES_STATE = "pages"
"""Key in it: how far report and model card came, see below. Runs of earlier versions do not have it."""
PENDING, WRITTEN, FAILED = "pending", "written", "failed"
"""They are still to be written (the fit was killed if it is not running); they are; one could not be."""


def how_to_finish() -> str:
    """What to do where space is lacking once all is trained."""
    return f"Free space: the same {worded('command', 'call')} with {option('resume', True)} finishes the run"


PAGES = ("report.html", "report.json", "compare.html", "compare.json")
"""Pages about runs; outdated when the runs are fitted again."""

SEVERAL = ("fits.json", "fusions.json")
"""Files of a folder of several runs."""


def is_finished(folder: Path) -> bool:
    """Whether the fit into ``folder`` is finished."""
    return finished_results(folder) is not None


def finished_results(folder: Path) -> FitResults | None:
    """Content of ``metrics.json``; None if the fit into ``folder`` is not finished.

    Raises:
        RunError: If it has another shape than a fit writes.
    """
    try:
        content = read_json(folder / RESULTS)
    except (OSError, ValueError):
        return None
    results = check_recorded(folder / RESULTS, content)
    if results.pages == PENDING:
        return None
    return results if all((folder / name).is_file() for name in needed_files(folder)) else None


def write_metrics(folder: Path, results: Mapping[str, object]) -> None:
    """Write ``metrics.json``.

    Raises:
        RunError: If it cannot be written.
    """
    with writing(folder, how_to_finish()):
        write_text(folder / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def write_pages_state(
    folder: Path, *, warnings: list[str], pages: str, notes: list[str] | None = None
) -> None:
    """Change two or three keys of ``metrics.json``; keys that other versions write are kept.

    Raises:
        RunError: If it cannot be read or written.
    """
    changed: dict[str, object] = {"warnings": warnings, PAGES_STATE: pages}
    changed |= {} if notes is None else {"notes": notes}
    with writing(folder, how_to_finish()):
        content = read_json(folder / RESULTS)
    write_metrics(folder, content | changed)


def read_results(folder: Path) -> FitResults:
    """Content of ``metrics.json`` of a run; defaults if there is no such file.

    Raises:
        RunError: If it cannot be read, or has another shape than a fit writes.
    """
    path = folder / RESULTS
    if not path.exists():
        return PredictionResults()
    try:
        return check_recorded(path, read_json(path))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: is no JSON ({error}). Fit again") from None


def has_begun(folder: Path) -> bool:
    """Whether ``folder`` holds more than a ``run.yaml``: weights, or checkpoints."""
    whole = (folder / "model.safetensors").exists() or (folder / BLEND).exists()
    begun = (folder, *own_candidates(folder))
    return whole or any(any(path.glob("checkpoints/**/checkpoint-*")) for path in begun)


def has_checkpoints(folder: Path) -> bool:
    """Whether ``folder`` has a complete checkpoint to resume from."""
    from polymodal.training.loop.checkpoints import checkpoints  # reads weights, by torch

    folders = [folder / "checkpoints", *folder.glob("checkpoints/*/checkpoints")]  # of stages
    folders += [path / "checkpoints" for path in own_candidates(folder)]
    return any(checkpoints(path) for path in folders)


def another_folder() -> str:
    """What to do where a folder holds a run already."""
    choices = option("output"), option("overwrite", True), option("resume", True)
    return f"Give another folder with {', or '.join(choices)}"


def check_place(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Check that a folder may become that of a run, whatever is declared; nothing is changed.

    Raises:
        RunError: If it holds a run already, or several, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file, expected a folder to write the run to")
    for name in SEVERAL:
        if (folder / name).exists():
            raise RunError(
                f"{folder}: holds several runs ({name}). Give another folder with {option('output')}"
            )
    if not resume and not overwrite and has_begun(folder):
        fix = another_folder()
        raise RunError(f"{folder}: holds a run already. {fix}")


def check_folder(folder: Path, declaration: Declaration, *, resume: bool, overwrite: bool) -> None:
    """Check that a run can be written to a folder; nothing is changed.

    Raises:
        RunError: As :func:`check_place`, or if another declaration is to be resumed.
    """
    check_place(folder, resume=resume, overwrite=overwrite)
    known = own_candidates(folder)
    for name in declaration.train.candidates or ():
        path = folder / CANDIDATES / name
        if path.exists() and path not in known:
            raise RunError(f"{path}: is there and of no run. Give another folder with {option('output')}")
    if not resume or not has_begun(
        folder
    ):  # a run.yaml alone is a fit that ended before its first checkpoint
        return
    written = folder / "run.yaml"
    if not written.exists():
        fix = f"Put it back, or begin anew with {option('overwrite', True)}"
        raise RunError(f"{folder}: its run.yaml is missing, so that nothing says what to resume. {fix}")
    if not declares(written.read_text(encoding="utf-8"), declaration):
        reason = "its run.yaml declares something else"
        raise RunError(f"{folder}: {reason}; resume with the same table and settings")


def prepare_folder(folder: Path, declaration: Declaration, *, resume: bool) -> bool:
    """Create the run folder; files of an earlier run are removed, unless that run is resumed.

    A process that is killed meanwhile leaves the earlier run, or no complete run.

    Returns:
        Whether there is a checkpoint to resume from.

    Raises:
        RunError: If it cannot be made.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        goes_on = resume and has_checkpoints(folder)
        if not goes_on:
            clear_folder(folder)
        write_text(folder / "run.yaml", declaration.to_yaml())
    return goes_on


def clear_folder(folder: Path) -> None:
    """Remove the files that a fit writes, and no others."""
    discard(folder / "checkpoints")
    discard_candidates(folder)
    discard_samples(folder)
    written = (CHECKSUMS, *FILES, RESULTS, "predictions.parquet", "README.md", *PAGES)
    for name in (BLEND, "model.safetensors", *written):  # what makes it a run goes first
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob("reader_*"):
        discard(path)
