"""A fit that starts from a run: how much of its towers learns, and how fast."""

import shutil
from unittest import mock

import pytest
import torch

import polymodal as pm
from polymodal.training.loop.parameter_groups import pretrained_rates
from polymodal.training.loop.trainer import PolymodalTrainer
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.starts import begun, body, fit, pre, told


@pytest.fixture
def folder(houses_and_run):
    return houses_and_run


@pytest.mark.parametrize("name", ["photo", "note", "bedrooms", "district"])
def test_a_frozen_tower_does_not_move(folder, name):
    given = {f"inputs.{key}.freeze": "true" for key in (["photo", "back"] if name == "photo" else [name])}
    run, result = fit(folder, **given, train__epochs=2)
    place = run.model.model.encoder_of[name]
    before, after = body(folder / "pre"), body(folder / "run")
    own = [key for key in before if key.startswith(f"model.encoders.{place}.")]
    assert own and all(torch.equal(before[key], after[key]) for key in own)
    moved = [key for key in before if key not in own and not torch.equal(before[key], after[key])]
    assert any(key.startswith("model.fusion.") for key in moved)
    assert ("encoded once, for all epochs" in result.err) == (name in ("photo", "note"))
    assert run.declaration.inputs[name].freeze


def test_the_last_layers_of_a_tower_learn(folder):
    run, _ = fit(folder, inputs__note__unfreeze_last=1, train__pretrained_learning_rate=0.01)
    before, after = body(folder / "pre"), body(folder / "run")
    place = run.model.model.encoder_of["note"]
    moved = {
        key for key in before if f".{place}.backbone." in key and not torch.equal(before[key], after[key])
    }
    assert moved and all("encoder.layer.1." in key for key in moved)


@pytest.mark.slow
def test_adapters_learn_beside_a_tower_go_on_and_are_folded_in(folder):
    run, result = fit(folder, inputs__note__lora="{rank: 2}", train__learning_rate=0.01)
    before = body(folder / "pre")
    place = run.model.model.encoder_of["note"]
    after = {key.replace(".base_layer", ""): value for key, value in body(folder / "run").items()}
    own = [key for key in before if key.startswith(f"model.encoders.{place}.")]
    assert own and all(torch.equal(before[key], after[key]) for key in own)
    assert "adapters of note" in told(result)
    shutil.rmtree(folder / "pre")
    (folder / "run").rename(folder / "pre")
    job, model = begun(folder)  # its declaration goes on: so do the adapters
    kept = body(folder / "pre")
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in kept.items())
    assert "encoder of note with its adapters" in job.started.loaded
    for lora in ("false", "{rank: 3}"):
        job, model = begun(folder, f"inputs.note.lora={lora}")
        assert "encoder of note, its adapters folded in" in job.started.loaded
        assert ("adapters of note" in job.started.new) == (lora != "false")
        batch = job.processor([{"note": "a garden"}])
        expected = pm.load(folder / "pre").model.model.eval()(**batch).embeddings["note"]
        torch.testing.assert_close(model.model.eval()(**batch).embeddings["note"], expected)


def rates(folder, *words, **more):
    """The learning rate of each parameter of a fit, by name."""
    seen = {}
    groups = PolymodalTrainer.parameter_groups

    def spy(self):
        made = groups(self)
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        seen.update({names[id(p)]: group["lr"] for group in made for p in group["params"]})
        return made

    with mock.patch.object(PolymodalTrainer, "parameter_groups", spy):
        fit(folder, *words, train__epochs=1, train__learning_rate=0.01,
            train__pretrained_learning_rate=0.001, **more)  # fmt: skip
    return seen


def test_what_was_loaded_learns_at_its_own_rate_and_what_is_new_at_another(folder):
    found = rates(folder)
    assert {rate for name, rate in found.items() if name.startswith("model.")} == {0.001}
    assert {rate for name, rate in found.items() if name.startswith("heads.")} == {0.01}
    found = rates(
        folder, "--overwrite", "-i", "note,voice", inputs__voice__seconds=0.1, inputs__note__lora="true"
    )
    new = {name for name, rate in found.items() if rate == 0.01 and name.startswith("model.")}
    parts = ["encoders.1.", "embedding.segment", "embedding.missing", "embedding.project.1"]
    parts = tuple(f"model.{part}" for part in [*parts, "embedding.position.1"])
    assert all(".lora_" in name or name.startswith(parts) for name in new)
    assert any(".lora_" in name for name in new) and any("encoders.1." in name for name in new)
    assert found["model.fusion.fusion.query"] == 0.001


def begun_rates(folder, *given, run="pre"):
    """The learning rate of each parameter of the run's model, by the settings of a fit from it."""
    job, model = begun(folder, *given, run=run)
    config = job.declaration.train
    found = pretrained_rates(
        model, config.pretrained_learning_rate, config.layer_decay, config.continued_learning_rate
    )
    return {name: found[id(p)] for name, p in model.named_parameters() if id(p) in found}, config


def test_what_a_run_trained_from_scratch_keeps_no_rate_of_large_checkpoints(folder):
    found, config = begun_rates(folder, "train.learning_rate=0.01")
    assert config.continued_learning_rate == 0.01
    assert {*found.values()} == {0.01}
    found, _ = begun_rates(folder, "train.pretrained_learning_rate=0.002")
    assert {*found.values()} == {0.002}
    found, _ = begun_rates(folder, "train.continued_learning_rate=0.003")
    assert {*found.values()} == {0.003}


def test_what_came_from_a_checkpoint_keeps_its_rate_in_a_fit_from_a_fit(folder):
    pre(folder, "of_bert", "note,bedrooms", inputs__note__encoder="models/bert")
    found, config = begun_rates(folder, run="of_bert")
    for name, rate in found.items():
        assert rate == (5e-5 if ".encoders.0." in name else config.continued_learning_rate), name
    with pytest.raises(pm.ConfigError, match=r"'train\.continued_learning_rate' is for fine-tuning"):
        open_job(
            FitRequest(folder / "houses.csv", targets=["kind"], settings=["train.continued_learning_rate=1"])
        )


def test_lower_layers_of_a_tower_learn_slower(folder):
    found = rates(folder, train__layer_decay=0.5)
    assert {r for n, r in found.items() if "encoders.1.backbone.embeddings" in n} == {0.00025}
    assert {r for n, r in found.items() if "encoders.1.backbone.encoder.layer.0." in n} == {0.0005}
    assert {r for n, r in found.items() if "encoders.1.backbone.encoder.layer.1." in n} == {0.001}
    assert {r for n, r in found.items() if "model.embedding" in n} == {0.001}


def test_a_run_of_a_checkpoint_does_not_need_it_again(folder):
    pre(folder, "of_bert", "note,bedrooms", inputs__note__encoder="models/bert")
    shutil.rmtree(folder / "models")
    shutil.rmtree(folder / "pre")
    (folder / "of_bert").rename(folder / "pre")
    fit(folder, inputs__note__unfreeze_last=1, train__gradient_checkpointing="true")
    before, after = body(folder / "pre"), body(folder / "run")
    moved = {key for key in before if ".0.backbone." in key and not torch.equal(before[key], after[key])}
    assert moved and all("encoder.layer.1." in key for key in moved)
    _, model = begun(folder, run="run")
    assert all(torch.equal(model.state_dict()[key], value) for key, value in after.items())


def test_tuning_is_as_in_the_run_unless_declared(folder):
    pre(folder, "held", "note,bedrooms", inputs__note__encoder="models/bert", inputs__note__freeze="true")
    job, _ = begun(folder, run="held")
    assert job.declaration.inputs["note"].freeze
    job, model = begun(folder, "inputs.note.unfreeze_last=1", run="held")
    assert not job.declaration.inputs["note"].freeze and list(job.declaration.inputs) == ["note", "bedrooms"]
    assert any(p.requires_grad for p in model.model.encoders[0].parameters())
    job, model = begun(folder, "inputs.note.freeze=false", run="held")
    assert all(p.requires_grad for p in model.model.encoders[0].parameters())
