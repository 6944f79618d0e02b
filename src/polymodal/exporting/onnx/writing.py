"""The folder of an export to ONNX, written and compared with its run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polymodal.artifact.integrity import identity_of
from polymodal.artifact.run_list import leading_metric
from polymodal.artifact.sample_files import copy_samples
from polymodal.errors import RunError, option
from polymodal.exporting.formats import Exported
from polymodal.exporting.onnx.blend_writing import write_blend
from polymodal.exporting.onnx.comparing import NEAR, Compared, compare, rows_of
from polymodal.exporting.onnx.expressible import check_expressible
from polymodal.exporting.onnx.model_writing import write_model
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.manifest import FILE, FP32, Manifest, SourceRun
from polymodal.runtime.opening import open_export
from polymodal.utils.atomic import folder_aside
from polymodal.utils.checksums import write_whole_sums


def write(
    run: PredictionRun, folder: Path, inputs: Sequence[str], *, int8: bool = False, rows: Any = None
) -> Exported:
    """Write a run for :mod:`polymodal.runtime`, its neural model as ``model.onnx``, and compare the answers.

    Args:
        run: With heads.
        folder: Empty.
        inputs: None: the model needs all that the run has.
        int8: Round the weights of matrix products to 8 bits.
        rows: A table to compare on; by default the rows that the run keeps, or else rows of noise.

    Raises:
        RunError: If the run cannot be expressed, or fp32 answers differ from the run's.
        DataError: If ``rows`` cannot be read.
    """
    if inputs:
        raise RunError(f"{run.folder}: onnx holds all inputs of a run. Leave out {option('inputs')}")
    check_expressible(run)
    if run.plain is None and run.model.device.type != "cpu":
        run = type(run).load(run.folder, device="cpu")
    compared_on = rows_of(run, rows)
    with folder_aside(folder, last=FILE) as part:
        (write_model if run.blend is None else write_blend)(run, part, int8)
        write_source(run, part)
        write_whole_sums(part)
        compared = compare(run, open_export(part, threads=1), *compared_on)
        if not int8:
            check_near(run, compared)
    return Exported(folder, _by_modality(run), usage=_usage(folder), notes=[compared.summary])


def write_source(run: PredictionRun, folder: Path) -> None:
    """Write which run an export is of, and copy the rows that the run keeps."""
    manifest = Manifest.read(folder)
    name, identity = run.folder.resolve().name, identity_of(run.folder)
    metric = leading_metric(run.folder) if manifest.precision == FP32 else None
    declared = {target: config.shown_unit for target, config in run.declaration.targets.items()}
    units = {target: unit for target, unit in declared.items() if unit}
    source = SourceRun(name=name, identity=identity, metric=metric, units=units)
    replace(manifest, run=source).write(folder)
    copy_samples(run.folder, folder)


def check_near(run: PredictionRun, found: Compared) -> None:
    """Refuse an export whose answers are others.

    Raises:
        RunError: Saying by how much.
    """
    if not found.largest <= NEAR:
        reason = f"its answers are not those of the run: {found.summary}, expected at most {NEAR:g}"
        raise RunError(f"{run.folder}: the export is of no use, {reason}. Serve the run itself")


def _by_modality(run: PredictionRun) -> dict[str, str]:
    """By modality the names of its inputs, with commas between."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reader in run.reading.readers.items():
        names[reader.modality].append(name)
    return {modality: ", ".join(each) for modality, each in names.items()}


def _usage(folder: Path) -> str:
    return f"polymodal.runtime.load({str(folder)!r}).predict(rows)"
