"""Ways to answer the kept rows of a run, each beside the answers of its fit; Python is the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polymodal.artifact.samples import Samples
from polymodal.runs.core import AnyRun, RunBase
from polymodal.utils.records import JsonObject
from polymodal.utils.registry import Registry
from polymodal.verification.answers import answers_of, table_of
from polymodal.verification.comparing import SECTIONS, Difference, compare
from polymodal.verification.sample_writing import device_of

EXACT = 1e-5
"""Tolerance of Python and the service on the kind of device that the fit computed on."""
LOOSE = 1e-3
"""Tolerance of exports in fp32, and of another kind of device: convolutions on a GPU round to 10 bits."""
EQUAL, DIFFERENT, FAILED, NOT_REPLAYED, SHOWN = "equal", "different", "failed", "not replayed", "shown"
"""Verdicts; ``failed``: an error in place of answers; ``shown``: not judged, such as those of int8."""


@dataclass(frozen=True)
class PathResult:
    """How one path answered.

    Attributes:
        path: Its name.
        verdict: ``equal``, ``different``, ``failed``, ``not replayed`` or ``shown``.
        rows: That were answered.
        tolerance: The largest difference of a number that is none.
        largest: The largest difference of a number; None where none was compared.
        differences: Labels that differ, and numbers by more than the tolerance.
        reason: Why it was not replayed, or what is to be known of it.
    """

    path: str
    verdict: str
    rows: int = 0
    tolerance: float = EXACT
    largest: Difference | None = None
    differences: list[Difference] = field(default_factory=list)
    reason: str = ""

    def to_json(self) -> JsonObject:
        """As plain values."""
        return {
            "path": self.path,
            "verdict": self.verdict,
            "rows": self.rows,
            "tolerance": self.tolerance,
            "largest_difference": None if self.largest is None else self.largest.size,
            "differences": [_as_json(each) for each in self.differences],
            "reason": self.reason,
        }


def _as_json(each: Difference) -> JsonObject:
    return {
        "row": each.row,
        "target": each.target,
        "part": each.part,
        "expected": each.expected,
        "found": each.found,
        "difference": each.size,
    }


@dataclass(frozen=True)
class Replay:
    """What is replayed.

    Attributes:
        folder: Of the run.
        samples: Its rows with the expected answers.
        exports: Folders or files of exports.
    """

    folder: Path
    samples: Samples
    exports: Sequence[Path] = ()

    def judged(
        self,
        path: str,
        found: Sequence[JsonObject],
        *,
        tolerance: float = EXACT,
        sections: Sequence[str] = SECTIONS,
        reason: str = "",
        judge: bool = True,
    ) -> PathResult:
        """The result of a path that gave these answers, one per row.

        Args:
            path: Its name.
            found: Answers.
            tolerance: Of numbers.
            sections: The parts of answers that the path gives.
            reason: What is to be known of it.
            judge: Whether a difference is a failure.
        """
        compared = compare(self.samples.rows, found, tolerance, sections)
        verdict = DIFFERENT if compared.differences else EQUAL
        return PathResult(
            path, verdict if judge else SHOWN, len(found), tolerance, compared.largest,
            compared.differences, reason,
        )  # fmt: skip


ReplayPath = Callable[[Replay], Iterator[PathResult]]
PATHS: Registry[ReplayPath] = Registry("path of verify")
"""By name; Python is replayed first."""
PYTHON = "python"


@PATHS.register(PYTHON)
def through_python(replay: Replay) -> Iterator[PathResult]:
    """The run loaded afresh from its folder, in this process."""
    run: AnyRun = RunBase.load(replay.folder)
    answers = answers_of(run, table_of(replay.samples))
    tolerance, where = tolerance_on(device_of(run), replay.samples)
    yield replay.judged(PYTHON, answers, tolerance=tolerance, reason=where)


def tolerance_on(device: str, samples: Samples) -> tuple[float, str]:
    """The tolerance of answers that a device computes, and a note where the fit's was another."""
    if device == samples.device:
        return EXACT, ""
    return LOOSE, f"on {device}, where the fit computed on {samples.device}"


for _name, _module, _attribute in (
    ("service", "polymodal.verification.service_path", "through_service"),
    ("exports", "polymodal.verification.export_paths", "through_exports"),
):
    PATHS.declare(_name, _module, _attribute)
