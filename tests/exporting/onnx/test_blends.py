"""A blend exported: its neural model as ONNX beside its plain models."""

import json
import shutil
from unittest import mock

import pytest

import polymodal as pm
from polymodal import runtime
from polymodal.candidates.choosing import Choice
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
BOTH = {"train__candidates": "[plain, fused]", "train__epochs": 1, "fusion__layers": 1}
ROWS = [{"bedrooms": 2, "district": "north"}, {"bedrooms": 5}, {"district": "moon"}, {"bedrooms": None}]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A table, and ``both``, a run of two models with equal weights."""
    folder = tmp_path_factory.mktemp("blend")
    write_houses(folder)
    weights = {"fused": 0.5, "plain.linear": 0.5}
    choice = Choice(weights=weights, reason="clear", losses={}, loss=None, rows=4)
    with mock.patch("polymodal.pipelines.portfolio_fit.choose_blend", return_value={"kind": choice}):
        words = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms,district", "-o", "both"]
        made = polymodal(*words, *settings(**BOTH), folder=folder)
    assert made.status == 0, made.err
    return folder


@pytest.fixture(scope="module")
def exported(houses):
    """The folder of an export, and what the command printed as JSON."""
    made = polymodal("export", "both", "--to", "onnx", "-o", "out", "--json", folder=houses)
    assert made.status == 0, made.err
    return houses / "out", made.json


def test_the_answers_are_those_of_the_blend(houses, exported):
    folder, content = exported
    assert content["inputs"] == {"number": "bedrooms", "category": "district"}
    (note,) = content["notes"]
    assert note.startswith("largest difference to the run on 4 rows: ")
    model, run = runtime.load(folder), pm.load(houses / "both")
    assert model.precision == "fp32" and list(model.inputs) == ["bedrooms", "district"]
    expected = run.predict(ROWS, probabilities=True)
    for row, answer in enumerate(model.predict(ROWS, probabilities=True)):
        assert answer.keys() == set(expected.columns)
        for name, value in answer.items():
            other = expected[name][row]
            assert value == (pytest.approx(other, abs=1e-5) if isinstance(value, float) else other)


def test_the_plain_models_are_there_as_they_are(houses, exported):
    own = {
        path.name: path.read_bytes()
        for path in (houses / "both/candidates/plain").iterdir()
        if path.is_file()
    }
    written = exported[0] / "candidates" / "plain"
    assert own == {path.name: path.read_bytes() for path in written.iterdir() if path.is_file()}
    assert (exported[0] / "candidates" / "fused" / "model.onnx").is_file()


def test_a_cell_that_cannot_be_read_is_named_once(exported):
    with pytest.raises(pm.DataError) as caught:
        runtime.load(exported[0]).predict([{"bedrooms": "many", "district": "north"}])
    assert str(caught.value).count("column 'bedrooms'") == 1


def test_a_weight_without_its_model_is_one_line(exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "out")
    content = json.loads((folder / "export.json").read_text())
    content["weights"]["kind"] = {"plain.kernel": 1.0}
    (folder / "export.json").write_text(json.dumps(content))
    (folder / "checksums.json").unlink()
    with pytest.raises(pm.RunError, match=r"blends 'plain\.kernel', which is not there"):
        runtime.load(folder).predict(ROWS)


def test_a_folder_that_is_not_empty_is_kept(houses, exported):
    line = error(houses, "export", "both", "--to", "onnx", "-o", "out")
    assert line == "out: is not empty. Give another folder with -o, or empty it"
