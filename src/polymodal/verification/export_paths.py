"""Replays of exports: each format that can answer rows as the run does registers how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from polymodal.artifact.run_folder import EXPORT, EXPORTED_WORDS
from polymodal.errors import RunError
from polymodal.utils.registry import Registry
from polymodal.verification.paths import NOT_REPLAYED, PathResult, Replay

FOLDER = "exports"
"""In a run folder: its exports are replayed without being named."""
ExportPath = Callable[[Replay, Path], Iterator[PathResult]]
EXPORTS: Registry[ExportPath] = Registry("export that verify replays")
"""By the format's name, see :mod:`polymodal.exporting.formats`."""


def through_exports(replay: Replay) -> Iterator[PathResult]:
    """The exports that were named, and those in ``exports/`` of the run."""
    beside = replay.folder / FOLDER
    inside = sorted(beside.iterdir()) if beside.is_dir() else []
    for path in [*replay.exports, *inside]:
        yield from EXPORTS[format_of(path)](replay, path)
    if not inside and not replay.exports:
        yield PathResult("exports", NOT_REPLAYED, reason=f"none in {FOLDER}/, and none named")


def format_of(path: Path) -> str:
    """The format of an export, by its files.

    Raises:
        RunError: If there is no export.
    """
    for name, file in FILES.items():
        if (path / file).is_file():
            return name
    raise RunError(f"{path}: no export that is known, expected a folder that polymodal export wrote")


FILES = {
    "onnx": EXPORT,
    "optimum": EXPORTED_WORDS,
    "sentence-transformers": "modules.json",
    "llava": "processor_config.json",
}
"""By format a file that no format after it has."""


def _vectors_alone(replay: Replay, path: Path) -> Iterator[PathResult]:
    reason = "its vectors are of single items, and samples/ has answers to rows"
    yield PathResult(f"export {path.name}", NOT_REPLAYED, reason=reason)


def _words_of_pictures(replay: Replay, path: Path) -> Iterator[PathResult]:
    reason = "it takes prompts in LLaVA's own form, not rows"
    yield PathResult(f"export {path.name}", NOT_REPLAYED, reason=reason)


EXPORTS.declare("onnx", "polymodal.verification.onnx_path", "through_onnx")
EXPORTS.declare("optimum", "polymodal.verification.optimum_path", "through_optimum")
EXPORTS.register("sentence-transformers")(_vectors_alone)
EXPORTS.register("llava")(_words_of_pictures)
