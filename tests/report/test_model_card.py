"""The model card: the hub reads its metadata, and its figures are those of the report."""

import json

import pytest
from huggingface_hub import ModelCard

from polymodal.config import Declaration
from polymodal.report.model_card import base_models, cell, pipeline
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", "note,bedrooms,district"]
FIT += ["--set", "data.test=0.4", "--set", "data.validation=0.2", "--set", "data.group=null"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("card")
    write_houses(place, rows=80)
    written = ["--set", "report.write=true", "--set", "report.noise_rows=0"]
    assert polymodal(*FIT, *settings(), *written, "-o", "run", folder=place).status == 0
    assert polymodal(*FIT, *settings(), "-o", "bare", folder=place).status == 0
    return place


def test_the_hub_reads_the_metadata(folder):
    data = ModelCard.load(folder / "run/README.md").data
    results = json.loads((folder / "run/metrics.json").read_text())["test"]
    assert data.library_name == "polymodal" and data.model_name == "run"
    assert data.tags == ["polymodal", "text", "number", "category"]
    found = {entry.metric_name: entry.metric_value for entry in data.eval_results}
    assert found["kind accuracy"] == pytest.approx(results["kind"]["accuracy"], abs=1e-6)
    assert found["price r2"] == pytest.approx(results["price"]["r2"], abs=1e-6)
    assert {entry.dataset_name for entry in data.eval_results} == {"houses.csv"}
    assert {entry.metric_type for entry in data.eval_results} >= {"accuracy", "f1", "r_squared"}


def test_its_figures_are_those_of_the_report(folder):
    text = (folder / "run/README.md").read_text()
    figures = json.loads((folder / "run/report.json").read_text())
    for target in figures["targets"].values():
        for sentence in target["verdict"]["sentences"]:
            assert sentence in text
    assert figures["making"]["data"]["sha256"] in text
    for title in ("## Intended use", "## Data", "## Results", "## Limits", "## Training"):
        assert text.count(title) == 1
    assert "\n\n\n" not in text and "{{" not in text


def test_its_snippet_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    text = (folder / "run/README.md").read_text()
    snippet = text.split("```python\n")[1].split("```")[0]
    exec(compile(snippet, "README.md", "exec"), {})
    assert "kind" in capsys.readouterr().out


def test_without_a_report_the_test_metrics_stand_alone(folder):
    text = (folder / "bare/README.md").read_text()
    assert "interval" not in text and "| kind | accuracy |" in text and "report.html" not in text
    assert ModelCard.load(folder / "bare/README.md").data.eval_results


def declared(modalities, task="classification", **encoder):
    inputs = {f"in{n}": {"modality": name, **encoder} for n, name in enumerate(modalities)}
    return Declaration.model_validate({"inputs": inputs, "targets": {"t": {"task": task}}})


def test_tasks_have_the_names_of_the_hub():
    assert pipeline(declared(["image"]), "t") == "image-classification"
    assert pipeline(declared(["number", "category"], "regression"), "t") == "tabular-regression"
    assert pipeline(declared(["image", "text"]), "t") is None
    assert pipeline(declared(["image"], "regression"), "t") is None


def test_base_models_are_names_of_the_hub():
    hub, local = ({"encoder": {"checkpoint": name}} for name in ("google/vit", "./weights/vit"))
    assert base_models(declared(["image", "image"], **hub)) == ["google/vit"]
    assert base_models(declared(["image"], **local)) == []
    assert cell("a|b\nc") == "a\\|b c"
