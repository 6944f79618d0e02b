"""Tuning a pretrained encoder through the command line: adapters, last layers, learning rates."""

import shutil
from unittest import mock

import pytest
import torch
import yaml
from transformers import BertModel

import polymodal as pm
from polymodal.training.loop.trainer import PolymodalTrainer
from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms", "-o", "run"]
ENCODER = {"inputs.note.encoder": "models/bert", "inputs.note.max_length": 16}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_houses(folder)
    CHECKPOINTS["bert"].save(folder / "models/bert")
    CHECKPOINTS["resnet"].save(folder / "models/resnet")
    return folder


@pytest.fixture
def folder(base, tmp_path):
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    return tmp_path


def tuned(folder, *words, **more):
    """Fit with the small BERT under the settings ``more``, and load the run."""
    given = settings(**{**ENCODER, **{key.replace("__", "."): value for key, value in more.items()}})
    result = polymodal(*FIT, *words, *given, folder=folder)
    assert result.status == 0, result.err
    return pm.load(folder / "run")


def changed(folder, run):
    """Names of the backbone's weights that are not the checkpoint's any more."""
    before = BertModel.from_pretrained(folder / "models/bert").state_dict()
    after = {
        name.replace(".base_layer", ""): value
        for name, value in run.model.model.encoders[0].backbone.state_dict().items()
        if ".lora_" not in name
    }
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


def rates(folder, **more):
    """The learning rate of each parameter of a fit, by name."""
    seen = {}
    groups = PolymodalTrainer.parameter_groups

    def spy(self):
        made = groups(self)
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        seen.update({names[id(p)]: group["lr"] for group in made for p in group["params"]})
        return made

    with mock.patch.object(PolymodalTrainer, "parameter_groups", spy):
        tuned(folder, "--overwrite", train__epochs=1, train__learning_rate=0.01,
              train__pretrained_learning_rate=0.001, **more)  # fmt: skip
    return seen


def test_adapters_learn_and_the_encoder_stays(folder):
    run = tuned(folder, **{"inputs.note.lora.rank": 2, "train.learning_rate": 0.01})
    assert not changed(folder, run)
    adapters = {n: v for n, v in run.model.named_parameters() if ".lora_B" in n}
    assert adapters and all(value.any() for value in adapters.values())
    written = yaml.safe_load((folder / "run/run.yaml").read_text())["inputs"]["note"]
    assert written["lora"] == {
        "rank": 2,
        "alpha": 16.0,
        "dropout": 0.0,
        "targets": None,
        "dora": False,
        "last": None,
    }
    assert not list((folder / "run").rglob("*.bin")) and not list((folder / "run").rglob("*.pt"))
    before = run.predict(folder / "houses.csv")
    pm.merge_lora(run.model)
    run.save(folder / "merged")
    after = pm.load(folder / "merged").predict(folder / "houses.csv")
    assert after["kind"].equals(before["kind"])
    assert after["kind_confidence"].to_numpy() == pytest.approx(
        before["kind_confidence"].to_numpy(), abs=1e-5
    )


def test_the_last_layers_learn_and_the_others_stay(folder):
    run = tuned(folder, inputs__note__unfreeze_last=1, train__pretrained_learning_rate=0.01)
    names = changed(folder, run)
    assert names and all(name.startswith("encoder.layer.1.") for name in names)


def test_adapters_learn_at_the_rate_of_what_is_new(folder):
    found = rates(folder, inputs__note__lora="true")
    assert {rate for name, rate in found.items() if ".lora_" in name} == {0.01}
    assert not [name for name in found if ".backbone." in name and ".lora_" not in name]
    found = rates(folder, inputs__note__unfreeze_last=2)
    assert {rate for name, rate in found.items() if ".backbone." in name} == {0.001}


def test_lower_layers_learn_slower(folder):
    found = rates(folder, train__layer_decay=0.5)
    expected = {".embeddings.": 0.00025, ".layer.0.": 0.0005, ".layer.1.": 0.001}
    for name, rate in found.items():
        of = next((value for part, value in expected.items() if ".backbone." in name and part in name), 0.01)
        assert rate == pytest.approx(of), name
    assert {round(rate, 6) for rate in found.values()} == {0.01, *expected.values()}
    found = rates(folder, train__layer_decay=0.5, inputs__note__unfreeze_last=1)
    assert {rate for name, rate in found.items() if ".backbone." in name} == {0.001}


def test_learning_rates_by_layer_want_layers_that_learn(folder):
    fit = ["fit", "houses.csv", "-t", "kind", "-o", "other", "--set", "train.layer_decay=0.9"]
    said = "'layer_decay' is for layers of a pretrained encoder that learn: there are none"
    assert error(folder, *fit, "-i", "note,bedrooms") == said
    for way in ("freeze", "lora"):
        more = ["--set", "inputs.note.encoder=models/bert", "--set", f"inputs.note.{way}=true"]
        assert error(folder, *fit, "-i", "note", *more) == said
    assert "'train.layer_decay' is 1.5; input should be" in error(folder, *fit[:-1], "train.layer_decay=1.5")


@pytest.mark.slow
def test_a_fit_with_adapters_resumes_to_the_same_weights(folder):
    given = {"inputs.note.lora": "{dropout: 0.2}", "train.epochs": 3}
    unbroken = tuned(folder, **given).model.state_dict()

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt

    shutil.rmtree(folder / "run")
    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        assert polymodal(*FIT, *settings(**ENCODER, **given), folder=folder).status == 130
    resumed = tuned(folder, "--resume", **given).model.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in unbroken.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("note: {lora: true}", "'lora' is for a pretrained encoder: give one, as encoder: {checkpoint: …}"),
        ("note: {unfreeze_last: 1}", "'unfreeze_last' is for a pretrained encoder: give one, as encoder"),
        ("note: {encoder: models/bert, unfreeze_last: 9}", "'unfreeze_last' is 9, but this model of type 'b"),
        ("note: {encoder: models/bert, unfreeze_last: 0}", "'inputs.note.unfreeze_last' is 0; input should"),
        ("note: {encoder: models/bert, freeze: true, lora: true}", "'inputs.note': 'freeze' and 'lora' excl"),
        ("note: {encoder: models/bert, lora: {rank: 0}}", "'inputs.note.lora.rank' is 0; input should be g"),
        ("note: {encoder: models/bert, lora: {rnk: 4}}", "unknown key 'inputs.note.lora.rnk'. Did you mean "),
        ("note: {encoder: models/bert, lora: much}", "'inputs.note.lora' is 'much', expected a section"),
        ("note: {encoder: models/bert, lora: {targets: [quary]}}", "a model of type 'bert' has no linear "),
        ("photo: {encoder: models/resnet, lora: true}", "a model of type 'resnet' has no linear layer that"),
    ],
)  # fmt: skip
def test_a_way_of_tuning_that_cannot_be_is_told_with_its_line(folder, text, message):
    (folder / "run.yaml").write_text(
        f"data: {{train: houses.csv}}\ntargets: {{kind: {{}}}}\ninputs:\n  {text}\n"
    )
    assert error(folder, "fit", "run.yaml", "-o", "other").startswith(f"run.yaml, line 4: {message}")
    assert not (folder / "other").exists()
