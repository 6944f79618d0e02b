"""A blend: its neural model as ONNX, its plain models as arrays and texts of trees, in a folder each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from polymodal.answers.plain_answers import Weights, model_name
from polymodal.candidates.frozen import ENCODERS
from polymodal.candidates.tabicl import InContextMember
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.readers.joint_reader import JointReader
from polymodal.data.row_processor import RowProcessor
from polymodal.errors import RunError
from polymodal.exporting.onnx.expressible import check_readers, saved_decoders
from polymodal.exporting.onnx.model_writing import write_model
from polymodal.exporting.onnx.vector_writing import write_vectors
from polymodal.models.blend_members import FrozenMember, FusedMember
from polymodal.plain.storage import SETTINGS
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.manifest import (
    CANDIDATES,
    ENCODED,
    FP32,
    INT8,
    ONNX,
    PLAIN,
    VECTORS,
    InputEntry,
    Manifest,
)  # fmt: skip
from polymodal.utils.atomic import write_text
from polymodal.utils.json_files import read_json


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
        elif isinstance(member, InContextMember):
            reason = (
                f"its candidate '{name}' reads the training rows at each answer, which onnx does not hold"
            )
            fix = "Export the neural model alone, the run candidates/fused"
            raise RunError(f"{run.folder}: {reason}. {fix}")
        else:
            write_plain(run.folder / CANDIDATES / name, location, run.blend.weights)
            candidates[name] = PLAIN
            if isinstance(member, FrozenMember) and _write_encoders(run, name, member, location, int8):
                candidates[name] = ENCODED
    RowProcessor({}, run.reading.targets, run.reading.missing).save_pretrained(folder)
    Manifest(
        precision=INT8 if int8 and {ONNX, ENCODED} & set(candidates.values()) else FP32,
        inputs=[InputEntry(name=name, tensors=[]) for name in run.reading.readers],
        decoders={name: decoder.state() for name, decoder in saved_decoders(run).items()},
        candidates=candidates,
        weights={target: dict(weights) for target, weights in run.blend.weights.items()},
    ).write(folder)


def _write_encoders(run: PredictionRun, name: str, member: FrozenMember, folder: Path, int8: bool) -> bool:
    """Write the encoders of a candidate, if it has any."""
    readers = _processor(run, name).readers
    encoders = {key: encoder for key in readers if (encoder := member.encoder(key)) is not None}
    if encoders:
        own = {key: readers[key] for key in encoders}
        write_vectors(run.folder, encoders, own, run.reading.missing, folder / VECTORS, int8)
    return bool(encoders)


def write_plain(source: Path, folder: Path, weights: Weights) -> None:
    """Copy the plain models of a candidate that a blend weighs.

    Args:
        source: The candidate's folder in a run.
        folder: A new one.
        weights: Of the blend.
    """
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(ENCODERS))
    settings = read_json(source / SETTINGS)
    for number, entry in enumerate(settings["targets"]):
        target, learners = entry
        used = [each for each in learners if model_name(source.name, each) in weights.get(target, {})]
        for each in set(learners) - set(used):
            shutil.rmtree(folder / f"target{number}" / each)
        entry[1] = used
    write_text(folder / SETTINGS, json.dumps(settings, ensure_ascii=False, allow_nan=False))


def _processor(run: PredictionRun, candidate: str) -> PolymodalProcessor:
    """What feeds one candidate."""
    readers: dict[str, Reader] = {}
    for name, joint in run.reading.readers.items():
        assert isinstance(joint, JointReader)
        if candidate in joint.parts:
            readers[name] = joint.parts[candidate]
    return PolymodalProcessor(readers, run.reading.targets, run.reading.missing)
