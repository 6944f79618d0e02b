"""A blend: its neural model as ONNX, its plain models as they are, in a folder each."""

from __future__ import annotations

import shutil
from pathlib import Path

from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.joint_reader import JointReader
from polymodal.data.row_processor import RowProcessor
from polymodal.errors import RunError
from polymodal.exporting.onnx.expressible import check_readers, saved_decoders
from polymodal.exporting.onnx.model_writing import write_model
from polymodal.models.blend_members import FrozenMember, FusedMember
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.manifest import CANDIDATES, FP32, INT8, ONNX, PLAIN, InputEntry, Manifest


def write_blend(run: PredictionRun, folder: Path, int8: bool) -> None:
    """Write the models of a blend.

    Raises:
        RunError: If one of them cannot be expressed.
    """
    assert run.blend is not None
    candidates: dict[str, str] = {}
    for name, member in run.blend.members.items():
        location = folder / CANDIDATES / name
        if isinstance(member, FusedMember):
            location.mkdir(parents=True)
            neural = PredictionRun(run.folder, member.model, _processor(run, name), run.declaration)
            check_readers(neural)
            write_model(neural, location, int8)
            candidates[name] = ONNX
        elif isinstance(member, FrozenMember):
            reason = f"its candidate '{name}' takes vectors of a pretrained encoder, which onnx does not hold"
            fix = "Export the neural model alone, the run candidates/fused"
            raise RunError(f"{run.folder}: {reason}. {fix}")
        else:
            shutil.copytree(run.folder / CANDIDATES / name, location)
            candidates[name] = PLAIN
    RowProcessor({}, run.reading.targets, run.reading.missing).save_pretrained(folder)
    Manifest(
        precision=INT8 if int8 and ONNX in candidates.values() else FP32,
        inputs=[InputEntry(name=name, tensors=[]) for name in run.reading.readers],
        decoders={name: decoder.state() for name, decoder in saved_decoders(run).items()},
        candidates=candidates,
        weights={target: dict(weights) for target, weights in run.blend.weights.items()},
    ).write(folder)


def _processor(run: PredictionRun, candidate: str) -> PolymodalProcessor:
    """What feeds one candidate."""
    readers: dict[str, Reader] = {}
    for name, joint in run.reading.readers.items():
        assert isinstance(joint, JointReader)
        if candidate in joint.parts:
            readers[name] = joint.parts[candidate]
    return PolymodalProcessor(readers, run.reading.targets, run.reading.missing)
