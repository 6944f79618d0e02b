"""Verification of a run: its files by their checksums, then its kept rows by every path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from polymodal.artifact.integrity import CHECKSUMS
from polymodal.artifact.run_folder import require_files, require_run
from polymodal.artifact.samples import Samples, read_samples
from polymodal.config.parsing import load_yaml
from polymodal.errors import PolymodalError, one_line, worded
from polymodal.runs.core import AnyRun, RunBase
from polymodal.utils.overview import Overview, Overviewed
from polymodal.utils.records import JsonObject
from polymodal.verification.paths import (
    DIFFERENT,
    EQUAL,
    FAILED,
    NOT_REPLAYED,
    PATHS,
    PYTHON,
    SHOWN,
    PathResult,
    Replay,
)
from polymodal.verification.sample_writing import keeps_samples

FILES = "files"
"""The check of the files themselves, which comes before every path."""
NAMED = 5
"""Differences that are named per path; the number of the others is."""
Told = Callable[[PathResult], None]


@dataclass(frozen=True, repr=False)
class Verification(Overviewed):
    """How the paths answered the kept rows of a run.

    Attributes:
        folder: Of the run.
        samples: How many rows it keeps.
        paths: In the order in which they were replayed; the check of its files first.
    """

    folder: Path
    samples: int
    paths: list[PathResult]

    @property
    def equal(self) -> bool:
        """Whether no path answered otherwise than the fit."""
        return not any(each.verdict in (DIFFERENT, FAILED) for each in self.paths)

    def to_json(self) -> JsonObject:
        """As plain values."""
        return {
            "run": str(self.folder),
            "samples": self.samples,
            "equal": self.equal,
            "paths": [each.to_json() for each in self.paths],
        }

    def overview(self) -> Overview:
        """A row per path."""
        rows = tuple((each.path, str(each.rows), largest(each), each.verdict) for each in self.paths)
        lines = tuple(line for each in self.paths for line in details(each))
        return Overview(
            f"Run in {self.folder}", ("path", "rows", "largest difference", "verdict"), rows, lines
        )


def largest(result: PathResult) -> str:
    """The largest difference of a path and where it is, in words."""
    if result.largest is None:
        return "–"
    return f"{result.largest.size:.1e} ({result.largest.place})" if result.largest.size else "0"


def in_a_line(result: PathResult) -> str:
    """A path's rows, largest difference and verdict."""
    if result.path == FILES and result.verdict != FAILED:
        kept = "as they were written" if result.verdict == EQUAL else "not checked"
        return f"{result.path}: {kept}" + (f" ({result.reason})" if result.reason else "")
    if result.verdict in (NOT_REPLAYED, FAILED):
        return f"{result.path}: {result.verdict} ({result.reason})"
    difference = "" if result.largest is None else f", largest difference {largest(result)}"
    verdict = f"{SHOWN}, not judged" if result.verdict == SHOWN else result.verdict
    reason = f" ({result.reason})" if result.reason else ""
    return f"{result.path}: {result.rows} rows{difference}, {verdict}{reason}"


def details(result: PathResult) -> list[str]:
    """A line per difference of a path, of at most :data:`NAMED`."""
    lines = [f"{result.path}: {each}" for each in result.differences[:NAMED]]
    more = len(result.differences) - NAMED
    return [*lines, f"{result.path}: {more} more differences"] if more > 0 else lines


def verify(
    run: AnyRun | str | Path,
    *,
    paths: Sequence[str] = (),
    exports: Sequence[str | Path] = (),
    shown: Told | None = None,
) -> Verification:
    """Replay the kept rows of a run, and compare the answers with those of the fit.

    Labels and words have to be equal, numbers up to a tolerance: 1e-5 through Python and the service (1e-3 on
    another kind of device than the fit's), 1e-3 of exports in fp32. A difference is absolute for numbers up
    to 1, relative for larger ones.

    Args:
        run: A run, whose folder is loaded afresh, or its folder.
        paths: ``python``, ``service``, ``exports``; by default all.
        exports: Folders or files of exports of this run, beside those in ``exports/`` of its folder.
        shown: Called with each result as soon as it is there.

    Returns:
        The results; a run folder without samples has none but that of its files, which has the reason.

    Raises:
        RunError: If there is no complete run in the folder, or its samples cannot be read.
        ConfigError: If there is no such path.
    """
    folder = run.folder if isinstance(run, RunBase) else Path(run)
    chosen = list(paths) or sorted(PATHS, key=lambda name: name != PYTHON)
    for name in chosen:
        PATHS[name]  # refused before anything is loaded
    require_run(folder)
    files = _files(folder)
    samples = None if files.verdict == FAILED else read_samples(folder)
    results: list[PathResult] = []
    for result in _results(folder, files, samples, chosen, [Path(each) for each in exports]):
        results.append(result)
        if shown is not None:
            shown(result)
    return Verification(folder, len(samples.rows) if samples else 0, results)


def _files(folder: Path) -> PathResult:
    """Whether the files of a run are as they were written."""
    try:
        require_files(folder)
    except PolymodalError as error:
        reason = one_line(str(error).removeprefix(f"{folder}: "), 300)
        return PathResult(FILES, FAILED, reason=f"{reason}. Nothing was replayed")
    summed = (folder / CHECKSUMS).is_file()
    return PathResult(FILES, EQUAL if summed else NOT_REPLAYED, reason="" if summed else f"no {CHECKSUMS}")


def _results(
    folder: Path,
    files: PathResult,
    samples: Samples | None,
    chosen: Sequence[str],
    exports: Sequence[Path],
) -> Iterator[PathResult]:
    """The files, then every path; none after files that are not as they were written."""
    yield files
    if files.verdict == FAILED:
        return
    if samples is None or not samples.rows:
        yield PathResult("samples", NOT_REPLAYED, reason=why_none(folder))
        return
    replay = Replay(folder, samples, exports)
    for name in chosen:
        yield from _tried(name, replay)


def _tried(name: str, replay: Replay) -> Iterator[PathResult]:
    """The results of a path; an error of it is one too, and a failure."""
    try:
        yield from PATHS[name](replay)
    except PolymodalError as error:
        yield PathResult(name, FAILED, reason=one_line(str(error), 300))


def why_none(folder: Path) -> str:
    """Why a run keeps no rows, and how to get some."""
    declaration = load_yaml(folder / "run.yaml")
    again = worded("polymodal fit run.yaml --overwrite", "pm.fit(…, overwrite=True)")
    if declaration.data.private:
        return "the run keeps no rows, for data.private"
    if not keeps_samples(declaration):
        return "the run keeps no rows: report.samples, report.media or report.predictions is off"
    return f"the run folder has no samples/, as those of earlier versions. Fit again to get them: {again}"


def replayed_at_the_end(folder: Path) -> PathResult:
    """The Python path of a run that was just written, loaded afresh from its folder.

    Raises:
        RunError: If it cannot be loaded, or has no samples.
    """
    samples = read_samples(folder)
    assert samples is not None and samples.rows
    (result,) = PATHS[PYTHON](Replay(folder, samples))
    return result
