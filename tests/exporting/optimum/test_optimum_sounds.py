"""Whisper before a language model, in Optimum's layout: its graph takes recordings of any length."""

import numpy as np
import pytest
import torch

from polymodal.data.readers import AudioReader
from polymodal.exporting.onnx.converting import free_sizes, record, save
from polymodal.exporting.optimum.graphs import ItemGraph, item_example, item_tensors
from polymodal.models.connectors import build_connector
from tests.support.checkpoints import CHECKPOINTS, sound


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "resampler"])
@torch.no_grad()
def test_embeddings_of_recordings_are_those_of_the_model(kind, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    torch.manual_seed(0)
    CHECKPOINTS["whisper"].save(tmp_path / "whisper")
    encoder = CHECKPOINTS["whisper"].encoder(str(tmp_path / "whisper")).eval()
    connector = build_connector(kind, encoder.width, 16, {}).eval()
    reader = AudioReader.for_encoder(encoder, [])
    entry = item_tensors("voice", reader)
    shown = item_example(entry, reader)
    program = record(ItemGraph(encoder, connector, entry).eval(), shown)
    assert free_sizes(program) == [[True], [True, False, True]]
    save(program, shown.names, tmp_path / "audio_encoder.onnx")
    session = runtime.InferenceSession(tmp_path / "audio_encoder.onnx")
    for seconds in ([0.4, 3.0], [30.0]):
        values = reader.collate([reader.read(sound(0, each), None) for each in seconds])
        made, mask = session.run(None, {name: values[name].numpy() for name in shown.names})
        expected, own = connector(encoder(row=torch.zeros(len(seconds), dtype=torch.long), **values))
        np.testing.assert_array_equal(mask.sum(axis=1), own.sum(dim=1))
        np.testing.assert_allclose(made[mask], expected[own], rtol=0, atol=1e-5)
