"""The end of a fit: rows kept in ``samples/``, answered again by the run as loaded from its folder."""

from __future__ import annotations

import time
from dataclasses import dataclass

from polymodal.artifact.integrity import add_sums
from polymodal.artifact.samples import ROWS, SAMPLES, Samples, read_samples
from polymodal.errors import worded
from polymodal.pipelines.pages import try_page
from polymodal.runs.core import AnyRun
from polymodal.utils.deadline import Deadline
from polymodal.utils.progress import note
from polymodal.verification.paths import DIFFERENT, EQUAL, PathResult
from polymodal.verification.sample_writing import SampleSource, keeps_samples, write_samples
from polymodal.verification.verifying import details, in_a_line, largest, replayed_at_the_end

MOST_PARAMETERS = 500_000_000
"""Parameters of a model that is loaded a second time: more may not fit into memory twice."""
SLOWEST = 10.0
"""Seconds that the answers may take, for these to be made a second time."""
LOADING = 2.0
"""Seconds that loading a run takes, about."""
REPLAYS = True
"""Whether fits answer the kept rows again; tests of other things do without."""


@dataclass(frozen=True)
class SampleStep:
    """What the step needs of a fit.

    Attributes:
        source: The rows.
        most: How many are kept.
        seconds: That a row takes, about.
        deadline: Of the fit.
        again: How the step is tried again, in words.
        quiet: Print nothing but warnings.
    """

    source: SampleSource
    most: int
    seconds: float
    deadline: Deadline
    again: str
    quiet: bool


def keep_and_replay(run: AnyRun, step: SampleStep, warnings: list[str], left_out: list[str]) -> None:
    """Keep rows with the answers of a trained run, then compare those of the run loaded from its folder.

    A difference is a warning: the run is kept, and whoever uses it should know.

    Args:
        run: In memory, with its folder complete.
        step: What to do.
        warnings: Gets a line where the answers differ, or the step fails.
        left_out: Gets a line where there is no time for it.
    """
    if not keeps_samples(run.declaration):
        return
    again = worded("polymodal verify RUN", "run.verify()")
    if step.most * step.seconds > step.deadline.left:
        left_out.append("samples/ is left out, for time")
        return
    begun = time.monotonic()
    kept = try_page(f"{SAMPLES}/", lambda: _kept(run, step), step.again, warnings)
    seconds = time.monotonic() - begun
    if kept is None or not kept.rows or not REPLAYS:
        return
    if seconds > SLOWEST or run.parameters > MOST_PARAMETERS or seconds + LOADING > step.deadline.left:
        left_out.append(
            f"the answers in samples/ are not replayed at the end, for time or memory ({again} does)"
        )
        return
    result = try_page("replay", lambda: replayed_at_the_end(run.folder), again, warnings)
    if result is not None:
        _tell(result, warnings, step.quiet)


def _kept(run: AnyRun, step: SampleStep) -> Samples:
    """The samples, which are written unless an earlier leg of the fit has done so."""
    known = read_samples(run.folder)
    if known is None:
        return write_samples(run, step.source, step.most)
    add_sums(run.folder, [ROWS, *(f"{SAMPLES}/{name}" for name in known.files)])
    return known


def _tell(result: PathResult, warnings: list[str], quiet: bool) -> None:
    """Print how the loaded run answered, and warn where it is otherwise."""
    if result.verdict != DIFFERENT:
        line = f"loaded from its folder: {in_a_line(result)}"
        if result.verdict == EQUAL:
            by = "" if result.largest is None else f" (largest difference {largest(result)})"
            line = f"loaded again from its folder, the run answers {result.rows} rows as after training{by}"
        note(line, quiet)
        return
    lines = [f"the run as loaded from its folder does NOT answer as it was trained: {in_a_line(result)}"]
    for line in [*lines, *details(result)]:
        if line not in warnings:
            warnings.append(line)
        note(f"warning: {line}")
