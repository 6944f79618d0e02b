"""Recordings that a pretrained encoder hears, exported: its feature extractor in numpy, lengths free."""

import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor

import polymodal as pm
from polymodal import runtime
from polymodal.data.readers import AudioReader
from polymodal.data.values.missing import DEFAULT_MARKS
from polymodal.exporting.onnx.comparing import compare
from polymodal.exporting.onnx.expressible import check_expressible, check_reader
from polymodal.exporting.onnx.made_rows import made_rows
from polymodal.exporting.onnx.model_writing import write_model
from polymodal.exporting.onnx.vector_writing import write_vectors
from polymodal.models.encoders import NumberEncoder
from polymodal.models.fusion.base import masked_mean
from polymodal.runtime import array_processor
from polymodal.runtime.opening import open_export
from polymodal.runtime.vectors import Vectors
from tests.support.checkpoints import CHECKPOINTS, sound
from tests.support.command import polymodal
from tests.support.tables import write_sound, write_table
from tests.support.untrained_runs import run_around

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
CELLS = [[sound(0, 0.5), sound(1, 12.0)], None, [sound(2, 1.3)], [sound(3, 40.0)]]


def hearing(kind, folder):
    """A tiny encoder from a checkpoint, and its reader."""
    torch.manual_seed(0)
    CHECKPOINTS[kind].save(folder)
    encoder = CHECKPOINTS[kind].encoder(str(folder)).eval()
    return encoder, AudioReader.for_encoder(encoder, [])


def test_vectors_of_whisper_are_those_of_its_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(array_processor, "FEW", 3)  # the last row is computed by itself
    encoder, reader = hearing("whisper", tmp_path / "whisper")
    write_vectors(tmp_path, {"voice": encoder}, {"voice": reader}, DEFAULT_MARKS, tmp_path / "out", False)
    vectors = Vectors.of_folder(tmp_path / "out", 1)
    assert vectors.manifest.inputs[0].tensors[1].shape == [16, None]
    processor = vectors.processor
    cells = [processor.read_row({"voice": cell}, ())[0]["cells"] for cell in CELLS]
    assert list(map(len, processor.batches(cells))) == [3, 1]
    made = vectors.of_rows(cells)["voice"]
    assert [len(each) for each in made] == [2, 0, 1, 1]
    items = [item for cell in CELLS for item in cell or ()]
    for vector, item in zip((vector for each in made for vector in each), items, strict=True):
        with torch.no_grad():  # each alone: no item may depend on the others
            heard = encoder(row=torch.zeros(1, dtype=torch.long), **reader.collate([reader.read(item, None)]))
        np.testing.assert_allclose(vector, masked_mean(heard.tokens, heard.mask)[0], rtol=0, atol=1e-4)
    assert vectors.of_rows([{"voice": None}]) == {"voice": [[]]}


def test_an_extractor_that_is_not_known_is_refused_by_name(tmp_path):
    reader = AudioReader(ASTFeatureExtractor(num_mel_bins=32), rate=16000, seconds=10.24)
    line = r"the feature extractor of 'voice' \(ASTFeatureExtractor\) has steps that onnx does not hold\. Fit"
    with pytest.raises(pm.RunError, match=line):
        check_reader(tmp_path, "voice", reader)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("kind", ["whisper", "wav2vec2", "hubert"])
def test_answers_of_a_neural_model_are_those_of_the_run(kind, mask, tmp_path):
    if mask and kind == "whisper":
        pytest.skip("Whisper's extractor has no mask")
    encoder, _ = hearing(kind, tmp_path / kind)
    if mask:
        Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(tmp_path / kind)
    encoders = {"voice": encoder, "size": NumberEncoder(width=8)}
    run = run_around(encoders)
    check_expressible(run)
    (tmp_path / "out").mkdir()
    write_model(run, tmp_path / "out", False)
    rows = [*made_rows(run.reading.readers), *({"voice": cell, "size": 1.0} for cell in CELLS)]
    found = compare(run, open_export(tmp_path / "out"), rows, None, True)
    assert found.largest < 1e-4, found.summary


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """A table of tones with a kind by their pitch, and ``run``, a blend that hears them by a tiny Whisper."""
    folder = tmp_path_factory.mktemp("voices")
    CHECKPOINTS["whisper"].save(folder / "whisper")
    random, rows = np.random.default_rng(0), []
    for number in range(60):
        kind = ("low", "high")[number % 2]
        pitch = random.uniform(200, 300) if kind == "low" else random.uniform(900, 1200)
        write_sound(folder / f"{number}.wav", pitch, seconds=random.uniform(0.1, 1.5), rate=16000)
        rows.append({"voice": f"{number}.wav", "kind": kind})
    write_table(folder / "voices.csv", rows)
    run = pm.fit(
        folder / "voices.csv", target="kind", output=folder / "run", epochs=1,
        settings=[
            "train.candidates=[fused, frozen]", "report.write=false",
            f"inputs.voice.encoder={folder}/whisper",
        ],
    )  # fmt: skip
    return folder, run


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--int8",)])
def test_a_blend_over_whisper_is_verified_beside_its_run(voices, options):
    folder, run = voices
    out = f"out{len(options)}"
    made = polymodal("export", "run", "--to", "onnx", "-o", out, *options, folder=folder)
    assert made.status == 0, made.err
    checked = polymodal("verify", "run", "--paths", "python,exports", "--export", out, folder=folder)
    assert checked.status == 0, checked.err
    rows = [{"voice": str(folder / "3.wav")}, {"voice": [str(folder / "4.wav"), str(folder / "5.wav")]}, {}]
    expected = run.predict(rows, probabilities=True)
    near = 0.2 if options else 1e-4
    for row, answer in enumerate(runtime.load(folder / out).predict(rows, probabilities=True)):
        assert answer.keys() == set(expected.columns)
        for name, value in answer.items():
            if isinstance(value, float):
                assert value == pytest.approx(expected[name][row], abs=near)
