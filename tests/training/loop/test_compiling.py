"""A fit whose model is compiled: the same answers, few compilations, one line where there is no compiler."""

import json

import pytest
import torch
from torch._inductor import config as inductor

import polymodal as pm
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms,photo"]
SAME = {
    "inputs.photo.augment": False,
    "inputs.photo.size": 16,
    "inputs.note.encoder": "{type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, "
    "intermediate_size: 16, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0}",
    "inputs.note.max_length": 16,
    "fusion.dropout": 0,
    "fusion.width": 16,
    "train.modality_dropout": 0,
    "train.epochs": 2,
}
"""Nothing by chance: what is left differs by rounding alone."""


@pytest.fixture
def folder(tmp_path):
    write_houses(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_compiled_model_learns_what_another_does(folder):
    counted = torch._dynamo.utils.counters
    counted.clear()
    compiled = {"train.torch_compile": True, "train.torch_compile_backend": "eager"}
    for run, more in (("plain", {}), ("compiled", compiled)):
        result = polymodal(*FIT, "-o", run, *settings(**SAME, **more), folder=folder)
        assert result.status == 0, result.err
    # Training, its last and smaller batch, validation: whatever lengths and gaps the rows have.
    assert 1 <= counted["stats"]["unique_graphs"] <= 4 and not counted["graph_break"]
    plain, other = (json.loads((folder / run / "metrics.json").read_text()) for run in ("plain", "compiled"))
    for before, after in zip(plain["history"], other["history"], strict=True):
        for name in before.keys() & {"loss", "eval_loss"}:
            assert before[name] == pytest.approx(after[name], abs=1e-3)
    answers = [pm.load(folder / run).predict(folder / "houses.csv") for run in ("plain", "compiled")]
    assert (answers[0].kind_confidence - answers[1].kind_confidence).abs().max() < 0.01


@pytest.mark.slow
def test_without_a_compiler_the_cure_is_told_in_a_line(folder, monkeypatch):
    monkeypatch.setattr(inductor.cpp, "cxx", (None, str(folder / "no-compiler")))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "compiled"))
    torch._dynamo.reset()
    given = settings(**{"train.epochs": 1, "train.torch_compile": True})
    result = polymodal("fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "r", *given, folder=folder)
    assert result.status != 0 and len(result.errors) == 1 and "Traceback" not in result.err
    assert "the model cannot be compiled by 'inductor'" in result.errors[0]
    assert "Leave train.torch_compile out, or give another train.torch_compile_backend" in result.errors[0]
