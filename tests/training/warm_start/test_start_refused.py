"""A fit that starts from a run: what is refused, in one line."""

import json
from unittest import mock

import pytest

from polymodal.artifact.integrity import CHECKSUMS
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started
from tests.support.command import error


@pytest.fixture
def folder(houses_and_run):
    return houses_and_run


def declare(folder, *inputs, start="pre"):
    """``own.yaml`` with these lines of inputs, the first in line 5."""
    lines = ["data: {train: houses.csv}", f"start: {start}", "targets: {kind: {}}", "inputs:"]
    (folder / "own.yaml").write_text("\n".join([*lines, *(f"  {line}" for line in inputs)]) + "\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("note: {modality: category}", "'modality' of 'note' is 'category', but TRAINED 'text'. Leave"),
        ("note: {encoder: roberta}", "'encoder' of 'note' is 'roberta', but TRAINED 'bert'"),
        ("note: {encoder: {type: bert, hidden_size: 64}}", "'encoder' of 'note' is 'bert', hidden_size 64"),
        ("note: {encoder: models/bert}", "'encoder' of 'note' is 'models/bert', but TRAINED 'bert'"),
        ("note: {tokens: 5}", "'tokens' of 'note' is 5, but TRAINED 64"),
        ("note: {max_length: 9}", "'max_length' of 'note' is 9, but TRAINED 128"),
        ("photo: {size: 32}", "'size' of 'photo' is 32, but TRAINED 16"),
        ("bedrooms: {lora: true}", "'lora' is for encoders of layers: the encoder 'number' does not know it"),
        ("note: {unfreeze_last: 9}", "'unfreeze_last' is 9, but this model of type 'bert' has 2 layers"),
        ("photo: {lora: true}", "a model of type 'resnet' has no linear layer that lora could adapt"),
        ("note: {freeze: true, lora: true}", "'inputs.note': 'freeze' and 'lora' exclude each other"),
        ("note: {tokns: 3}", "unknown key 'inputs.note.tokns'. Did you mean 'tokens'?"),
    ],
)  # fmt: skip
def test_what_the_weights_contradict_is_refused_with_its_line(folder, text, message):
    declare(folder, text)
    said = error(folder, "fit", "own.yaml", "-o", "other")
    expected = message.replace("TRAINED", "its weights in pre were trained with")
    assert said.startswith(f"own.yaml, line 5: {expected}"), said
    assert not (folder / "other").exists()


def test_inputs_that_share_an_encoder_are_tuned_alike(folder):
    declare(folder, "photo: {freeze: true}", "back: {}")
    said = "'photo' and 'back' share an encoder in pre: give both of them the same 'freeze'"
    assert error(folder, "fit", "own.yaml", "-o", "other") == said


def test_nothing_in_common_is_refused(folder):
    declare(folder, "voice: {seconds: 0.1}")
    reads = "'photo', 'note', 'bedrooms', 'district', 'back'"
    said = f"nothing to load from pre: it reads {reads}, and houses.csv gives none of these"
    assert error(folder, "fit", "own.yaml", "-o", "other").startswith(said)


def test_what_agrees_with_the_weights_may_be_declared(folder):
    note = "note: {modality: text, encoder: {type: bert, hidden_size: 128}, max_length: 128, tokens: 64}"
    declare(folder, note, "photo: {encoder: resnet, size: 16, augment: false}", start="$HERE/pre")
    with mock.patch.dict("os.environ", {"HERE": str(folder)}):
        job = open_job(FitRequest(folder / "own.yaml"))
    assert list(job.declaration.inputs) == ["photo", "note"]
    assert job.declaration.start == "$HERE/pre"
    model = build_started(job, job.declaration)
    assert model.model.encoders[0].shift == 0


def test_what_cannot_be_started_from_is_refused(folder):
    fit = ["fit", "houses.csv", "-t", "kind", "-o", "other", "--from"]
    assert error(folder, *fit, "nowhere") == "nowhere: no such run folder to start from"
    assert error(folder, *fit, "$NO/run") == "start: '$NO/run' names an environment variable that is not set"
    assert error(folder, *fit, "models/bert").startswith(
        "models/bert: is no run of polymodal. Give the folder that"
    )
    (folder / "several").mkdir()
    (folder / "several/fusions.json").write_text("{}")
    assert error(folder, *fit, "several") == "several: holds several runs. Give the folder of one of them"
    (folder / "empty").mkdir()
    assert error(folder, *fit, "empty").startswith(
        "empty: not a complete run, config.json, model.safetensors"
    )


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("model.safetensors", None, "not a complete run, model.safetensors missing"),
        ("config.json", {"architectures": ["PolymodalForChat"]}, "is a run of PolymodalForChat"),
        ("config.json", {"format": 99}, "written by polymodal"),
        ("config.json", {"inputs": []}, "config.json, processor_config.json and run.yaml are of"),
        ("processor_config.json", b"{", "no readable processor_config.json and its folders"),
        ("model.safetensors", b"abc", "the model cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_refused(folder, name, damage, message):
    path = folder / "pre" / name
    kept = path.read_bytes()
    path.unlink()
    (folder / "pre" / CHECKSUMS).unlink()
    if damage is not None:
        path.write_bytes(
            damage if isinstance(damage, bytes) else json.dumps(json.loads(kept) | damage).encode()
        )
    said = error(folder, "fit", "houses.csv", "-t", "kind", "-o", "other", "--from", "pre")
    assert said.startswith(f"pre: {message}")


def test_the_run_that_is_started_from_is_never_written_over(folder):
    said = "pre: holds the run to start from. Give another folder with -o"
    before = (folder / "pre/model.safetensors").read_bytes()
    for more in ([], ["--overwrite"], ["--fusions", "sum", "--overwrite"], ["--folds", "2", "--overwrite"]):
        words = ["fit", "houses.csv", "-t", "kind", "--from", "pre", "-o", "pre", *more]
        assert error(folder, *words) == said
    words = ["fit", "houses.csv", "-t", "kind", "--from", "pre", "-o", ".", "--fusions", "sum", "--overwrite"]
    assert error(folder, *words) == ".: holds the run to start from. Give another folder with -o"
    assert (folder / "pre/model.safetensors").read_bytes() == before


def test_a_start_that_is_no_path_is_refused(folder):
    said = error(folder, "fit", "houses.csv", "-t", "kind", "--set", "start=3", "-o", "other")
    assert said == "'start' is 3; input should be a valid string"
