"""Plain models on the outputs of pretrained encoders exported: the encoders as ONNX beside them."""

from unittest import mock

import pytest

import polymodal as pm
from polymodal import runtime
from polymodal.candidates.choosing import Choice
from polymodal.exporting.onnx import blend_writing
from tests.support.checkpoints import CHECKPOINTS
from tests.support.tables import write_houses

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
ROWS = [
    {"note": "bright balcony", "bedrooms": 2}, {"note": ["a garden", "", "lift"]}, {"bedrooms": 3},
    {"photo": ["photos/0.png", "photos/1.png"], "note": ""}, {"photo": "photos/2.png", "bedrooms": 1},
]  # fmt: skip


def alike(job, tried, decoders, truth):
    """The same weight of all models."""
    names = {target: [n for each in tried.values() for n in each.models[target]] for target in decoders}
    return {
        target: Choice(weights=dict.fromkeys(each, 1 / len(each)), reason="", losses={}, loss=None, rows=0)
        for target, each in names.items()
    }


def blend(folder, candidates, rows=40):
    for kind in ("bert", "clip"):
        CHECKPOINTS[kind].save(folder / kind)
    write_houses(folder, rows=rows)
    encoders = [f"inputs.note.encoder={folder}/bert", f"inputs.photo.encoder={folder}/clip"]
    with mock.patch("polymodal.pipelines.portfolio_fit.choose_blend", alike):
        return pm.fit(
            folder / "houses.csv", target="kind", inputs=["note", "photo", "bedrooms"],
            output=folder / "run", epochs=1,
            settings=[f"train.candidates={candidates}", "report.write=false", *encoders],
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("candidates, rows", [("[frozen]", 40), ("[fused, tuned]", 100)])
def test_the_answers_are_those_of_the_run(candidates, rows, tmp_path, monkeypatch):
    run = blend(tmp_path, candidates, rows)
    pm.export(run, to="onnx", output=tmp_path / "out")
    assert (
        tmp_path / "out/candidates" / candidates.strip("[]").split(", ")[-1] / "vectors/model.onnx"
    ).is_file()
    assert not list(tmp_path.glob("out/**/*.safetensors"))
    monkeypatch.chdir(tmp_path)
    expected = run.predict(ROWS, probabilities=True)
    for row, answer in enumerate(runtime.load(tmp_path / "out").predict(ROWS, probabilities=True)):
        assert answer.keys() == set(expected.columns)
        for name, value in answer.items():
            other = expected[name][row]
            assert value == (pytest.approx(other, abs=1e-5) if isinstance(value, float) else other)


@pytest.mark.slow
def test_answers_in_context_are_refused_by_name(tmp_path, monkeypatch):
    run = blend(tmp_path, "[frozen]")
    monkeypatch.setattr(blend_writing, "InContextMember", type(run.blend.members["frozen"]))
    with pytest.raises(
        pm.RunError, match="'frozen' reads the training rows at each answer, which onnx does not hold"
    ):
        pm.export(run, to="onnx", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
