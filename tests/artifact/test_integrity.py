"""A run folder of a stranger runs nothing, calls nobody, leads nowhere; damage is named."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import polymodal
import polymodal as pm
from polymodal.artifact.integrity import CHECKSUMS
from polymodal.data.readers.saved_settings import check_settings
from polymodal.errors import RunError
from tests.support.command import error
from tests.support.command import polymodal as command

SOURCES = Path(polymodal.__file__).parent
OWN = ("PolymodalProcessor", "RowProcessor", "ConversationProcessor", "super", "PeftConfig")
"""Whose ``from_pretrained`` reads our own files, or JSON alone."""


def loading_calls():
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained":
                yield path.relative_to(SOURCES).as_posix(), node


def test_no_checkpoint_may_bring_code():
    calls = list(loading_calls())
    assert len(calls) > 6
    for place, call in calls:
        owner = call.func.value
        name = getattr(owner, "id", "") or getattr(getattr(owner, "func", None), "id", "")
        trusted = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        refused = trusted.get("trust_remote_code") == "False" or "'trust_remote_code': False" in trusted.get(
            None, ""
        )
        assert name in OWN or refused, f"{place}, line {call.lineno}"


@pytest.fixture
def run(folder):
    return folder / "run"


def unlisted(run):
    """A run that somebody made to look whole."""
    (run / CHECKSUMS).unlink()
    return run


def changed(run, change, name="config.json"):
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))


def backbone(content):
    return next(entry for entry in content["encoders"] if isinstance(entry.get("backbone"), dict))


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


HOSTILE = {
    "a backbone that is a name": lambda c: backbone(c).update(backbone="somebody/model"),
    "code": lambda c: c.update(auto_map={"AutoModel": "somebody/model--modeling.Evil"}),
    "code of a backbone": lambda c: backbone(c)["backbone"].update(auto_map={"AutoConfig": "a.B"}),
    "weights of a backbone": lambda c: backbone(c)["backbone"].update(use_pretrained_backbone=True),
    "a backbone within a backbone": lambda c: backbone(c)["backbone"].update(backbone="microsoft/resnet-18"),
    "a kernel": lambda c: c.update(_attn_implementation="somebody/kernel"),
    "quantized": lambda c: c.update(quantization_config={"quant_method": "gptq"}),
    "depth": lambda c: c.update(inputs=nested(200)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_settings_that_lead_elsewhere_are_refused(run, name):
    changed(unlisted(run), HOSTILE[name])
    line = error(run.parent, "predict", "run", "houses.csv", "-o", "o.parquet")
    assert line.startswith("run/config.json: ") and len(line) < 250, line


def test_tokenizers_that_bring_code_are_refused(run):
    unlisted(run)
    path = next(run.glob("reader_*/tokenizer_config.json"))
    changed(run, lambda c: c.update(auto_map={"AutoTokenizer": ["a.B", None]}), path.relative_to(run))
    assert "'auto_map' names code" in error(run.parent, "predict", "run", "houses.csv", "-o", "o.parquet")


READERS = [
    ("size", 200_000), ("size", 1e300), ("size", "9"), ("size", True), ("max_length", 10**9),
    ("mean", float("nan")), ("deviation", 0), ("edges", [3, 2]), ("edges", "abc"), ("mean", 10**400),
    ("edges", [10**400]),
]  # fmt: skip


@pytest.mark.parametrize("token", ["no such token", None])
def test_a_tokenizer_with_tokens_that_the_encoder_does_not_know_is_refused(run, token):
    path = next(run.glob("reader_*/tokenizer_config.json"))
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"unk_token": token, "cls_token": "not there"}))
    (run / "checksums.json").unlink()
    with pytest.raises(
        pm.RunError, match=r"input 'note' has a tokenizer with token \d+, and \d+ tokens in config"
    ):
        pm.load(run)


@pytest.mark.parametrize(("key", "value"), READERS)
def test_readers_that_no_fit_writes_are_refused(run, key, value):
    def change(content):
        next(r for r in content["readers"] if key in r["settings"])["settings"][key] = value

    changed(unlisted(run), change, "processor_config.json")
    line = error(run.parent, "predict", "run", "houses.csv", "-o", "o.parquet")
    assert f"with {key} " in line and ", expected a" in line


def test_readers_are_bounded_by_what_they_hold_and_by_their_items(run):
    with pytest.raises(ValueError, match=r"holds 460,800,000 values of an item, expected at most 67,108,864"):
        check_settings("audio", {"rate": 768_000, "seconds": 600})
    with pytest.raises(ValueError, match="categories of the type str"):
        check_settings("category", {"categories": "abc"})
    changed(unlisted(run), lambda c: c["readers"][0].update(items="x"), "processor_config.json")
    assert "with items of the type str" in error(
        run.parent, "predict", "run", "houses.csv", "-o", "o.parquet"
    )


@pytest.mark.parametrize("settings", [{}, {"mean": 0.0, "deviation": 1.0}])
def test_settings_that_every_fit_writes_are_required(run, settings):
    def empty(content):
        next(r for r in content["readers"] if r["modality"] == "number")["settings"] = settings

    changed(unlisted(run), empty, "processor_config.json")
    with pytest.raises(RunError, match=rf"a reader of number without {'edges' if settings else 'mean'}"):
        pm.load(run)


@pytest.mark.parametrize("marks", ["ab", [1], {"a": "b"}])
def test_marks_of_missing_values_are_a_list_of_texts(run, marks):
    changed(unlisted(run), lambda c: c.update(missing=marks), "processor_config.json")
    with pytest.raises(RunError, match="'missing' is neither null nor a list of texts"):
        pm.load(run)


DISAGREEING = {
    "has size 16": lambda c: c["readers"][0]["settings"].update(size=8192),
    "has features": lambda c: next(r for r in c["readers"] if r["modality"] == "number")["settings"].update(
        edges=[1, 2]
    ),
    "has modality image": lambda c: c["inputs"][0].update(reader=1),
    "other classes": lambda c: c["targets"][0].update(classes=["flat", "house", "tent"]),
}


@pytest.mark.parametrize("words", DISAGREEING)
def test_a_processor_that_the_model_was_not_built_for_is_refused(run, words):
    changed(unlisted(run), DISAGREEING[words], "processor_config.json")
    line = error(run.parent, "predict", "run", "houses.csv", "-o", "o.parquet")
    assert words in line and "processor_config.json" in line


PIPES = ["config.json", "run.yaml", "checksums.json", "metrics.json", "reader_1/tokenizer.json"]


@pytest.mark.parametrize("name", PIPES)
def test_pipes_are_not_waited_for(run, name):
    (unlisted(run) / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    assert name in error(run.parent, "predict", "run", "houses.csv", "-o", "o.csv")


def test_json_of_millions_of_values_is_one_line(run):
    def grow(content):
        content["readers"].append({"categories": list(range(6_000_000))})

    changed(unlisted(run), grow, "processor_config.json")
    assert "values, expected at most 6,000,000" in error(run.parent, "evaluate", "run", "houses.csv")


def test_a_declaration_of_megabytes_is_not_parsed(run):
    with (unlisted(run) / "run.yaml").open("a") as file:
        file.write("#" * 3 * 2**20)
    assert "expected a declaration of at most" in error(run.parent, "evaluate", "run", "houses.csv")


def test_json_nested_too_deeply_is_one_line(run):
    (unlisted(run) / "processor_config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)
    assert "nested too deeply" in error(run.parent, "predict", "run", "houses.csv", "-o", "o.parquet")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "processor_config.json", "run.yaml"])
def test_damage_is_named(run, file):
    content = bytearray((run / file).read_bytes())
    content[len(content) // 2] ^= 1
    (run / file).write_bytes(content)
    with pytest.raises(RunError, match=f"{file} is not as it was written"):
        pm.load(run)


def test_checksums_name_what_load_reads_and_nothing_else(run):
    sums = json.loads((run / CHECKSUMS).read_text())["sha256"]
    assert {"config.json", "model.safetensors", "processor_config.json", "run.yaml"} <= sums.keys()
    assert any(name.startswith("reader_") for name in sums)
    assert not {"metrics.json", "README.md", "predictions.parquet", "report.html"} & sums.keys()
    (run / "README.md").write_text("edited by hand")
    pm.load(run)
    unlisted(run)
    pm.load(run)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/hostname"])
def test_checksums_read_nothing_outside(run, name):
    (run / CHECKSUMS).write_text(json.dumps({"sha256": {name: "0"}}))
    with pytest.raises(RunError, match="is no file of the run"):
        pm.load(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run, value):
    weights = load_file(unlisted(run) / "model.safetensors")
    name = next(name for name, weight in weights.items() if weight.is_floating_point() and weight.ndim > 1)
    weights[name].view(-1)[0] = value
    save_file(weights, run / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match="values that are not finite"):
        pm.load(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_temperature_that_is_not_above_zero_is_refused(run, value):
    weights = load_file(unlisted(run) / "model.safetensors")
    name = next(name for name in weights if name.endswith("temperature"))
    weights[name] = torch.tensor(value)
    save_file(weights, run / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match=rf"{name} is \S+, expected a number above 0. Fit again"):
        pm.load(run)


def test_links_out_of_the_folder_are_refused_save_those_of_the_hubs_cache(run, tmp_path):
    inside = run / "model.safetensors"
    cache = tmp_path / "models--a--b"
    (cache / "snapshots").mkdir(parents=True)
    (cache / "blobs").mkdir()
    snapshot = cache / "snapshots" / "0"
    shutil.copytree(run, snapshot)
    (snapshot / "model.safetensors").rename(cache / "blobs" / "abc")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    assert torch.equal(*(next(iter(pm.load(f).model.parameters())) for f in (run, snapshot)))
    outside = tmp_path / "elsewhere.safetensors"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(RunError, match=r"model\.safetensors: is a link out of the run folder"):
        pm.load(run)


def test_weights_as_a_pickle_or_of_another_model_are_refused(run):
    (run / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/model"}')
    with pytest.raises(RunError, match=r"adapter_config\.json is no part of a run"):
        pm.load(run)


def test_loading_calls_nobody(run):
    unlisted(run)
    code = f"""
import socket
calls = []
def refuse(*arguments, **named):
    calls.append(arguments)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import polymodal as pm
pm.load({str(run)!r})
print(calls)
"""
    environment = {"PATH": "", "HF_HUB_OFFLINE": "0", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_strangers_names_are_not_filled_in(run, monkeypatch):
    monkeypatch.setenv("SECRET", "hidden-value")
    text = (run / "run.yaml").read_text()
    unlisted(run)
    (run / "run.yaml").write_text(text.replace("train: houses.csv", "train: $SECRET/houses.csv"))
    result = command("report", "run", "--retrain", "--seeds", "1", "--noise-rows", "0", folder=run.parent)
    assert result.status == 1 and "hidden-value" not in result.err
