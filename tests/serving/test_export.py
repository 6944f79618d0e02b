"""An export behind the service: the answers of its run, and nothing else, without any library of training."""

import base64
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from polymodal.serving.app import create_app
from polymodal.serving.service import Service
from tests.serving.conftest import ADDRESS
from tests.support.command import error

FOREIGN = (
    "torch", "transformers", "datasets", "pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "skops",
    "huggingface_hub", "safetensors", "accelerate", "peft", "captum", "matplotlib", "onnx", "onnxscript",
    "regex", "threadpoolctl", "filelock", "yaml",
)  # fmt: skip
"""What the image of Dockerfile.serve does not hold."""
ALONE = f"""
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FOREIGN}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Refuse())
if __name__ == "__main__":
    from polymodal.cli import main
    main()
"""
"""The command in a process in which these cannot be imported; processes that it starts run the first part."""
REFUSED = {
    "/embed": {"rows": [{"bedrooms": 3}]},
    "/explain": {"row": {"bedrooms": 3}},
    "/predict": {"rows": [{"bedrooms": 3}], "shares": True},
    "/v1/embeddings": {"model": "export", "input": [{"bedrooms": 3}]},
}


@pytest.fixture(scope="module")
def both(fitted_houses, exported_houses):
    """A client of a service with a run and its export."""
    service = Service.load([fitted_houses / "run", exported_houses[0]], device="cpu", decoders=1)
    with TestClient(create_app(service), base_url=ADDRESS) as client:
        yield client


@pytest.fixture(scope="module")
def rows(fitted_houses):
    """Rows with each input missing, two pictures, none at all."""
    content = base64.b64encode((fitted_houses / "photos" / "1.png").read_bytes()).decode()
    photo = f"data:image/png;base64,{content}"
    whole = {"photo": photo, "note": "bright balcony, 4 rooms", "bedrooms": 4}
    without = [{other: cell for other, cell in whole.items() if other != name} for name in whole]
    return [whole, *without, {"photo": photo}, {"photo": [photo, photo]}, {"note": "garden"}, {}]


def test_answers_are_those_of_the_run(both, rows):
    own, export = (
        both.post("/predict", json={"run": name, "rows": rows, "probabilities": True}).json()["answers"]
        for name in ("run", "export")
    )
    for expected, found in zip(own, export, strict=True):
        assert found.keys() == expected.keys() and found["missing"] == expected["missing"]
        assert found["values"]["kind"] == expected["values"]["kind"]
        assert found["values"]["price"] == pytest.approx(expected["values"]["price"], rel=1e-3)
        assert found["probabilities"]["kind"] == pytest.approx(expected["probabilities"]["kind"], abs=1e-3)
        for name, ends in expected.get("intervals", {}).items():
            assert found["intervals"][name] == pytest.approx(ends, rel=1e-3)


def test_a_form_is_answered_and_a_bad_row_fails_alone(both, rows, fitted_houses):
    picture = (fitted_houses / "photos" / "1.png").read_bytes()
    form = {"files": {"photo": ("1.png", picture)}, "data": {"run": "export", "note": rows[0]["note"]}}
    (answer,) = both.post("/predict", **form).json()["answers"]
    assert answer["missing"] == ["bedrooms"]
    broken = {"photo": {"base64": base64.b64encode(b"no picture").decode()}}
    answers = both.post("/predict", json={"run": "export", "rows": [broken, {}]}).json()["answers"]
    assert answers[0]["error"]["input"] == "photo" and "values" in answers[1]


def test_it_is_described_as_its_run_and_answers_predict_alone(both):
    run, export = both.get("/runs").json()["runs"]
    same = ("kind", "metric", "targets", "inputs", "samples")
    assert {name: export[name] for name in same} == {name: run[name] for name in same}
    assert export["capabilities"] == ["predict"] and run["export"] is None
    assert export["export"]["run"] == "run" and export["export"]["precision"] == "fp32"
    assert both.get("/runs/export/samples").json() == both.get("/runs/run/samples").json()
    assert [model["id"] for model in both.get("/v1/models").json()["data"]] == ["run", "export"]


@pytest.mark.parametrize("path", REFUSED)
def test_the_rest_is_refused_by_name(both, path):
    body = REFUSED[path] | ({} if path.startswith("/v1/") else {"run": "export"})
    answer = both.post(path, json=body)
    assert answer.status_code in (400, 422)
    message = answer.json()["error"]["message"]
    assert "'export' is an export, and an export answers predict alone" in message and "\n" not in message


def test_what_an_export_has_not_is_refused(both):
    assert both.get("/runs/export/report").status_code == 404
    body = {"model": "export", "messages": [{"role": "user", "content": "What is this?"}]}
    answer = both.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400 and "does not answer in words" in answer.json()["error"]["message"]


@pytest.mark.parametrize("option", [["--device", "cuda"], ["--precision", "bf16"]])
def test_options_of_runs_are_refused_for_exports_alone(exported_houses, tmp_path, option):
    line = error(tmp_path, "serve", str(exported_houses[0]), "--port", "0", *option)
    assert line.startswith("an export computes on the CPU") and option[0] in line


@pytest.fixture(scope="module")
def alone(exported_houses, tmp_path_factory):
    """The address of a server of the export alone, in a process without what training needs."""
    script = tmp_path_factory.mktemp("alone") / "serve.py"
    script.write_text(ALONE, encoding="utf-8")
    command = [sys.executable, script, "serve", exported_houses[0], "--port", "0", "--decoders", "1"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "POLYMODAL_TOKEN": "secret"}
    process = subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    assert address, process.stderr.read()
    yield address[0]
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors, errors


def asked(address, path, body=None):
    """Status and content of a request with the token."""
    headers = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, content, headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_no_library_of_training_is_needed(alone, both, rows):
    assert asked(alone, "/ready")[0] == 200
    status, content = asked(alone, "/predict", {"rows": rows, "probabilities": True})
    assert status == 200, content
    expected = both.post("/predict", json={"run": "export", "rows": rows, "probabilities": True}).json()
    assert json.loads(content) == expected
    (first, *_) = json.loads(asked(alone, "/runs/export/samples")[1])["samples"]
    (answer,) = json.loads(asked(alone, "/predict", {"rows": [first["row"]]})[1])["answers"]
    assert answer["values"]["kind"] == first["answer"]["values"]["kind"]
    status, content = asked(alone, "/embed", {"rows": rows})
    assert status == 422 and "answers predict alone" in content
    assert 'polymodal_batch_rows_count{run="export"}' in asked(alone, "/metrics")[1]
    assert "<html" in asked(alone, "/")[1] and asked(alone, "/docs")[0] == 200


def test_a_run_names_the_library_that_it_needs(fitted_houses, tmp_path):
    (tmp_path / "serve.py").write_text(ALONE, encoding="utf-8")
    command = [sys.executable, tmp_path / "serve.py", "serve", fitted_houses / "run", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert re.search(r"needs ([\w-]+), which is not installed: pip install \1\. An export", done.stderr)


def test_a_folder_that_is_not_there_is_named_without_these_libraries(tmp_path):
    (tmp_path / "serve.py").write_text(ALONE, encoding="utf-8")
    command = [sys.executable, "serve.py", "serve", "houses", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == "error: houses: no such folder, expected an export to ONNX, or a run\n"


def test_an_index_needs_its_run(tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "export.json").write_text("{}", encoding="utf-8")
    line = error(tmp_path, "serve", "export", "--port", "0", "--index", "index")
    assert line.startswith("index: an index is searched with the run that made it")


def test_the_script_blocks_what_it_names(tmp_path):
    (tmp_path / "serve.py").write_text(ALONE.partition("if __name__")[0] + "import pandas", encoding="utf-8")
    done = subprocess.run([sys.executable, Path(tmp_path, "serve.py")], capture_output=True, text=True)
    assert done.returncode == 1 and "No module named 'pandas'" in done.stderr
