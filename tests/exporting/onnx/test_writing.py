"""A run exported to ONNX, and answered by the runtime: the run's own answers."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import polymodal as pm
from polymodal import runtime
from polymodal.artifact.integrity import identity_of
from polymodal.artifact.samples import read_samples
from polymodal.exporting.onnx.comparing import compare
from tests.support.command import polymodal

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
NOTHING = {"photo": None, "note": None, "bedrooms": None}
FOREIGN = (
    "torch", "transformers", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "lightgbm", "skops",
    "huggingface_hub", "safetensors", "yaml", "rich", "typer", "onnx", "onnxscript",
)  # fmt: skip
ALONE = """
import importlib.abc, json, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {foreign}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
from polymodal import runtime
print(json.dumps(runtime.load(sys.argv[1]).predict(json.loads(sys.argv[2]), probabilities=True)))
"""


@pytest.fixture(scope="module")
def exported(exported_houses):
    return exported_houses


@pytest.fixture(scope="module")
def run(fitted_houses):
    return pm.load(fitted_houses / "run")


@pytest.fixture(scope="module")
def rows(fitted_houses):
    """Rows with each input missing, a picture twice, none at all."""
    photo = str(fitted_houses / "photos" / "1.png")
    whole = {"photo": photo, "note": "bright balcony, 4 rooms", "bedrooms": 4}
    other = np.asarray(Image.new("RGB", (20, 30), "red"))
    return [
        whole,
        *(whole | {name: None} for name in whole),
        *(NOTHING | {name: cell} for name, cell in whole.items()),
        whole | {"photo": [photo, other]},
        whole | {"note": "quiet garden " * 300, "bedrooms": "7.5"},
        NOTHING,
    ]


def same(found, expected):
    """The answers of the runtime are those of the run, to 1e-5."""
    assert len(found) == len(expected)
    for own, (_, row) in zip(found, expected.iterrows(), strict=True):
        assert own.keys() == set(expected.columns)
        for name, value in own.items():
            if isinstance(value, float):
                assert value == pytest.approx(row[name], rel=1e-5, abs=1e-5)
            else:
                assert value == row[name]


def test_the_command_prints_what_it_wrote_and_how_near_it_is(exported):
    folder, out = exported
    assert out.startswith("photo (image), note (text), bedrooms (number) exported to ")
    assert f"polymodal.runtime.load('{folder}').predict(rows)" in out
    assert "largest difference to the run on 40 rows: " in out
    files = {path.name for path in folder.iterdir()}
    assert files == {
        "model.onnx", "export.json", "processor_config.json", "reader_1", "samples", "checksums.json"
    }  # fmt: skip


def test_answers_are_those_of_the_run(exported, run, rows):
    same(runtime.load(exported[0]).predict(rows, probabilities=True), run.predict(rows, probabilities=True))


def test_a_row_alone_has_the_answer_it_has_among_others(exported, rows):
    model = runtime.load(exported[0], threads=1)
    together = model.predict(rows)
    for row, answer in zip(rows, together, strict=True):
        (alone,) = model.predict([row])
        assert alone["kind"] == answer["kind"] and alone["price"] == pytest.approx(answer["price"], rel=1e-5)


def test_it_answers_without_torch_pandas_and_the_like(exported, rows):
    kept = [row for row in rows if not isinstance(row["photo"], list)]
    code = ALONE.replace("{foreign}", repr(FOREIGN))
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported[0]), json.dumps(kept)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == runtime.load(exported[0]).predict(kept, probabilities=True)


def test_a_cell_that_cannot_be_read_is_named(exported):
    with pytest.raises(pm.DataError, match="row 2, column 'bedrooms': 'many', expected a number"):
        runtime.load(exported[0]).predict([{"bedrooms": 3}, {"bedrooms": "many"}])


def test_rows_of_other_columns_are_refused_or_named(exported):
    model = runtime.load(exported[0])
    with pytest.raises(pm.DataError, match="none of the model's inputs among the columns beds"):
        model.predict([{"beds": 3}])
    with pytest.warns(pm.InputWarning, match="no row has the input 'note'"):
        model.predict([{"bedrooms": 3, "photo": None}])


def test_verify_replays_exports_and_does_not_judge_8_bits(exported, fitted_houses, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "rounded")
    (folder / "checksums.json").unlink()
    content = json.loads((folder / "export.json").read_text())
    content["decoders"]["kind"]["temperature"] = 3.0
    (folder / "export.json").write_text(json.dumps(content))
    words = ["verify", "run", "--paths", "exports", "--export"]
    result = polymodal(*words, str(exported[0]), folder=fitted_houses)
    assert result.status == 0 and f"export {exported[0].name}: " in result.out and ", equal" in result.out
    result = polymodal(*words, str(folder), folder=fitted_houses)
    assert result.status == 1 and "export rounded: " in result.out and ", different" in result.out
    (folder / "export.json").write_text(json.dumps(content | {"precision": "int8"}))
    result = polymodal(*words, str(folder), folder=fitted_houses)
    assert result.status == 0 and "shown, not judged (weights of 8 bits)" in result.out


def test_an_export_names_its_run_and_keeps_its_rows(exported, fitted_houses):
    content = json.loads((exported[0] / "export.json").read_text())["run"]
    assert content["name"] == "run" and content["identity"] == identity_of(fitted_houses / "run")
    assert content["metric"]["rows"] == 4 and content["metric"]["name"]
    own, kept = (read_samples(folder) for folder in (fitted_houses / "run", exported[0]))
    assert kept.rows == own.rows and len(kept.files) == len(own.files) > 0


def test_verify_refuses_an_export_of_another_run(exported, fitted_houses, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "other")
    (folder / "checksums.json").unlink()
    content = json.loads((folder / "export.json").read_text())
    content["run"] |= {"name": "flats", "identity": "0" * 64}
    (folder / "export.json").write_text(json.dumps(content))
    words = ["verify", "run", "--paths", "exports", "--export", str(folder)]
    result = polymodal(*words, folder=fitted_houses)
    assert result.status == 1
    assert "export other: failed (" in result.out and "an export of another run, 'flats'" in result.out


def test_the_identity_of_a_run_is_that_of_its_copies_alone(fitted_houses, run, tmp_path):
    run.save(tmp_path / "copy")
    assert identity_of(tmp_path / "copy") == identity_of(fitted_houses / "run")
    with (tmp_path / "copy" / "model.safetensors").open("ab") as file:
        file.write(b"0")
    assert identity_of(tmp_path / "copy") != identity_of(fitted_houses / "run")


def test_weights_of_8_bits_are_those_of_matrix_products(exported, run, rows, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "rounded")
    (folder / "checksums.json").unlink()
    from polymodal.exporting.onnx.converting import round_weights  # which needs onnxscript

    round_weights(folder / "model.onnx")
    kinds = {node.op_type for node in onnx.load_model(folder / "model.onnx").graph.node}
    assert {"MatMulInteger", "Conv"} <= kinds and "ConvInteger" not in kinds
    assert (folder / "model.onnx").stat().st_size < (exported[0] / "model.onnx").stat().st_size
    found = compare(run, runtime.load(folder), rows, None, False)
    assert 1e-6 < found.largest < 0.1


@pytest.mark.parametrize("name", ["model.onnx", "export.json", "processor_config.json"])
def test_a_damaged_export_is_one_line(exported, tmp_path, name):
    shutil.copytree(exported[0], tmp_path / "copy")
    (tmp_path / "copy" / name).write_text("{}")
    with pytest.raises(pm.RunError, match=name):
        runtime.load(tmp_path / "copy")
    (tmp_path / "copy" / "checksums.json").unlink()
    with pytest.raises(pm.RunError, match=name):
        runtime.load(tmp_path / "copy")


def test_a_folder_without_an_export_is_named(fitted_houses):
    with pytest.raises(pm.RunError, match=r"no export to ONNX .* polymodal export RUN --to onnx"):
        runtime.load(fitted_houses / "run")
