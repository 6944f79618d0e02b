"""An export to ONNX, whose rows the runtime answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from polymodal.artifact.integrity import identity_of
from polymodal.data.media.path_access import MediaAccess
from polymodal.errors import InputWarning, one_line
from polymodal.runtime.manifest import INT8, SourceRun
from polymodal.runtime.opening import open_export
from polymodal.verification.answers import rows_of
from polymodal.verification.paths import FAILED, LOOSE, PathResult, Replay


def of_another_run(replay: Replay, path: Path, source: SourceRun | None, to: str) -> PathResult | None:
    """The result of an export that is of another run; None where it is of this one.

    Args:
        replay: Of the run.
        path: Of the export.
        source: The run that it is of; None of earlier versions.
        to: Its format.
    """
    if source is None or source.identity == identity_of(replay.folder):
        return None
    fix = f"Export again: polymodal export RUN --to {to}"
    reason = f"{path} is an export of another run, '{one_line(source.name, 80)}', or from before this fit"
    return PathResult(f"export {path.name}", FAILED, reason=f"{reason}. {fix}")


def through_onnx(replay: Replay, path: Path) -> Iterator[PathResult]:
    """The kept rows through an export; one with weights of 8 bits is not judged.

    Raises:
        PolymodalError: If the export is damaged, or a row cannot be read.
    """
    export = open_export(path)
    if (other := of_another_run(replay, path, export.manifest.run, "onnx")) is not None:
        yield other
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        batches = export.answered(replay.samples.named(), MediaAccess.inside(replay.samples.folder))
        answers = list(rows_of(batches, export.decoders, export.labels, list(export.inputs)))
    judged = export.precision != INT8
    reason = "" if judged else "weights of 8 bits"
    yield replay.judged(f"export {path.name}", answers, tolerance=LOOSE, judge=judged, reason=reason)
