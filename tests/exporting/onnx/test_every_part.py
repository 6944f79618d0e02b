"""Every fusion over every modality, every head and pretrained encoders as ONNX: slow, each converted anew."""

from pathlib import Path

import pytest
import torch

from polymodal.config import Declaration
from polymodal.exporting.onnx.comparing import compare
from polymodal.exporting.onnx.expressible import check_expressible
from polymodal.exporting.onnx.made_rows import made_rows
from polymodal.exporting.onnx.model_writing import write_model
from polymodal.models.encoders import TextEncoder
from polymodal.models.fusion import FUSIONS
from polymodal.models.heads import HEADS
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.opening import open_export
from tests.support.checkpoints import CHECKPOINTS
from tests.support.component_cases import ENCODER_CASES, make_case
from tests.support.untrained_runs import run_around

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
FEW = {"tensor": 3}
"""Inputs of a fusion whose size is the product of all."""
CASES = [("fusion", name) for name in FUSIONS] + [("head", name) for name in HEADS]


def run_of(kind, name):
    """A run around an untrained model; with a fusion it has an input of every modality that fits."""
    torch.manual_seed(0)
    count = FEW.get(name, len(ENCODER_CASES)) if kind == "fusion" else 0
    names = [f"column {number}" for number in range(count)]
    model = make_case(kind, name, names).model
    processor = model.make_processor([dict.fromkeys(model.config.input_names)])
    for name, place in model.model.encoder_of.items():
        encoder = model.model.encoders[place]
        if isinstance(encoder, TextEncoder):  # the case has fewer tokens than there are bytes
            encoder.backbone.resize_token_embeddings(len(processor.readers[name].part))
    return PredictionRun(Path("run"), model, processor, Declaration.model_construct())


@pytest.mark.slow
@pytest.mark.parametrize("kind, name", CASES)
def test_answers_are_those_of_the_model(kind, name, tmp_path):
    run = run_of(kind, name)
    write_model(run, tmp_path, False)
    rows = made_rows(run.reading.readers)
    assert len(rows) == 5 + 2 * len(run.reading.readers)
    found = compare(run, open_export(tmp_path), rows, None, True)
    assert found.largest < 1e-5, found.summary


PRETRAINED = (("note", "bert"), ("photo", "clip"), ("view", "siglip"), ("clip", "videomae"))


@pytest.mark.slow
def test_pretrained_encoders_read_as_they_did(tmp_path):
    torch.manual_seed(0)
    encoders = {}
    for name, kind in PRETRAINED:
        CHECKPOINTS[kind].save(tmp_path / kind)
        encoders[name] = CHECKPOINTS[kind].encoder(str(tmp_path / kind))
    run = run_around(encoders)
    check_expressible(run)
    (tmp_path / "out").mkdir()
    write_model(run, tmp_path / "out", False)
    found = compare(run, open_export(tmp_path / "out"), made_rows(run.reading.readers), None, True)
    assert found.largest < 1e-5, found.summary
