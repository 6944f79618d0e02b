"""Pages about a run, written after its results: the failure of a page is a warning."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from polymodal.errors import PolymodalError, one_line, worded
from polymodal.training.output_folder import FAILED, WRITTEN, write_pages_state
from polymodal.training.recorded_metrics import FitResults
from polymodal.utils.progress import note

T = TypeVar("T")
NOT_WRITTEN = "not written"
LOG = logging.getLogger(__name__)


def try_page(name: str, make: Callable[[], T], again: str, warnings: list[str]) -> T | None:
    """Call ``make`` and return its result; None, after a one-line warning, if it raises.

    Every exception is caught, since the results are written already and must stay usable. The traceback is
    logged at level DEBUG.

    Args:
        name: Of the page.
        make: Writes it.
        again: The command that tries again, and shows the traceback of an error in the program.
        warnings: The warning is appended to it, and printed on standard error.
    """
    try:
        return make()
    except Exception as error:
        LOG.debug("%s was not written", name, exc_info=True)
        line = f"{name}: {NOT_WRITTEN} ({_reason(error)}). To try again, and to see the whole error: {again}"
        warnings.append(line)
        note(f"warning: {line}")
        return None


def report_again(of_file: bool) -> str:
    """How the report of a run is written again, which was fitted to a file, or to a table in memory."""
    if of_file:
        return worded("polymodal report RUN", "run.report()")
    return worded("polymodal report RUN TABLE", "run.report(data=table)")


def write_about(
    folder: Path,
    results: FitResults,
    make: Callable[[list[str]], None],
    left_out: Sequence[str] = (),
) -> None:
    """Write the pages about a run whose results are written.

    Args:
        folder: Of the run.
        results: Of the fit; ``metrics.json`` gets the new warnings and state.
        make: Calls :func:`try_page` for each page, with the list of warnings that it gets.
        left_out: What ``make`` leaves out of the pages; ``metrics.json`` gets these lines as notes.

    Raises:
        RunError: If ``metrics.json`` cannot be written.
    """
    warnings = [line for line in results.warnings if not is_of_page(line)]
    known = len(warnings)
    make(warnings)
    state = FAILED if len(warnings) > known else WRITTEN
    write_pages_state(folder, warnings=warnings, pages=state, notes=[*results.notes, *left_out])


def is_of_page(warning: str) -> bool:
    """Whether :func:`try_page` has printed this warning already."""
    return f": {NOT_WRITTEN} (" in warning


def _reason(error: Exception) -> str:
    """The first line of an error, without paths; errors that are not ours have their type before it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = (str(error).strip().splitlines() or [""])[0]
    named = first if isinstance(error, PolymodalError) else f"{type(error).__name__}: {first}"
    return one_line(named.rstrip(": ."), 300)
