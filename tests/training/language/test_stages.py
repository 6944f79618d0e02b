"""Stages: each lets learn what it names and nothing else, from its own rows; a broken training goes on."""

import json

import pytest
import torch
import yaml

import polymodal as pm
from polymodal.training.loop import language_trainer as trainer
from tests.support.checkpoints import CHECKPOINTS
from tests.support.killing import die, finish, weights
from tests.support.tables import write_houses
from tests.support.talks import language, save_speaker

STAGES = {
    "align": {"learn": ["connectors"], "data": "captions.csv", "answer": "{district}",
              "train": {"epochs": 1, "learning_rate": 0.01}},
    "instruct": {"learn": ["connectors", "language_model"], "lora": {"rank": 2},
                 "train": {"epochs": 2, "learning_rate": 0.01}},
}  # fmt: skip
PARTS = {"connectors": "connectors.", "language_model": "language_model.", "encoders": "encoders."}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two tables, and checkpoints of a language model and of a picture encoder."""
    folder = tmp_path_factory.mktemp("stages")
    write_houses(folder, rows=30, empty=0.0)
    write_houses(folder, "captions.csv", rows=24, seed=1, empty=0.0)
    save_speaker(folder / "lm")
    CHECKPOINTS["vit"].save(folder / "vit")
    return folder


def declare(folder, stages=None, photo=None, **generation):
    """A declaration of stages, beside the tables."""
    declared = {
        "data": {"train": "houses.csv"},
        "inputs": {"photo": {"modality": "image", **({"size": 16} if photo is None else photo)}},
        "generation": {"prompt": "{photo} {note}", "answer": "{kind}", **generation},
        "stages": STAGES if stages is None else stages,
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return folder / "run.yaml"


@pytest.fixture
def moved(monkeypatch):
    """By stage the names of the weights that it changed, and its rates."""
    seen, whole = [], trainer.LanguageTrainer.run

    def run(self, *args, **kwargs):
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        begun = whole(self, *args, **kwargs)
        after = self.model.state_dict()
        rates = {group["initial_lr"] for group in self.optimizer.optimizer.param_groups}
        seen.append(({name for name in after if not torch.equal(before[name], after[name])}, rates))
        return begun

    monkeypatch.setattr(trainer.LanguageTrainer, "run", run)
    return seen


def test_each_stage_teaches_what_it_names_and_leaves_the_rest_to_the_bit(tables, tmp_path, moved):
    run = pm.fit(declare(tables), output=tmp_path / "run", settings=language(train__epochs=1))
    (align, _), (instruct, _) = moved
    assert align and all(name.startswith("connectors.") for name in align)
    assert any("lora_" in name for name in instruct)
    assert any(name.startswith("connectors.") for name in instruct)
    assert all("lora_" in name or name.startswith("connectors.") for name in instruct)
    results = json.loads((run.folder / "metrics.json").read_text())
    assert [results["stages"][name]["epochs"] for name in STAGES] == [1, 2]
    assert {entry["stage"] for entry in results["history"]} == {*STAGES}
    asked = run.generate(tables / "houses.csv")
    run.model.merge()
    run.save(tmp_path / "merged")
    assert not any("lora_" in name for name in weights(tmp_path / "merged"))
    assert pm.load(tmp_path / "merged").generate(tables / "houses.csv").equals(asked)


@pytest.mark.parametrize(
    "learn", [["connectors"], ["language_model"], ["encoders"], ["connectors", "encoders"]]
)
def test_a_stage_teaches_the_parts_that_it_names(tables, tmp_path, moved, learn):
    pm.fit(declare(tables, {"only": {"learn": learn}}), output=tmp_path / "run", settings=language())
    ((names, _),) = moved
    for part, prefix in PARTS.items():
        assert any(name.startswith(prefix) for name in names) is (part in learn), part


def test_what_came_with_weights_learns_at_its_own_rate_and_a_frozen_encoder_not_at_all(
    tables, tmp_path, moved
):
    photo = {"encoder": str(tables / "vit"), "freeze": True, "tokens": 4}
    settings = ["train.epochs=1", "train.learning_rate=0.01", "train.pretrained_learning_rate=0.002"]
    source = declare(tables, {}, photo, language_model=str(tables / "lm"))
    pm.fit(source, output=tmp_path / "run", settings=settings)
    ((names, rates),) = moved
    assert rates == {0.01, 0.002}
    assert any(name.startswith("connectors.") for name in names)
    assert any(name.startswith("language_model.") for name in names)
    assert not any(name.startswith("encoders.") for name in names)
    notes = json.loads((tmp_path / "run/metrics.json").read_text())["notes"]
    assert any("photo" in line for line in notes)  # it ran once, and not in every epoch


def test_adapters_learn_at_the_rate_of_what_is_new_and_are_merged_where_all_learns(tables, tmp_path, moved):
    stages = {"first": {"learn": ["language_model"], "lora": True}, "then": {"learn": ["language_model"]}}
    settings = ["train.epochs=1", "train.learning_rate=0.01", "train.pretrained_learning_rate=0.002",
                "inputs.photo.augment=false"]  # fmt: skip
    run = pm.fit(declare(tables, stages, language_model=str(tables / "lm")), output=tmp_path / "run",
                 settings=settings)  # fmt: skip
    (first, fast), (then, slow) = moved
    assert fast == {0.01} and slow == {0.002}
    assert all("lora_" in name for name in first)
    assert then and all(name.startswith("language_model.") and "lora_" not in name for name in then)
    assert not run.model.config.lora and not any("lora_" in name for name in weights(tmp_path / "run"))


PLAIN = {
    "train__epochs": 2, "train__optim": "sgd", "train__learning_rate": 0.1, "train__max_grad_norm": 0.0,
    "train__modality_dropout": 0.0, "inputs__photo__augment": "false", "train__warmup": 0.0,
    "train__weight_decay": 0.0,
}  # fmt: skip
"""Plain gradient descent without chance, so that weights say which gradients came."""


@pytest.mark.slow
def test_packs_and_accumulated_batches_are_one_large_batch(tables, tmp_path):
    """24 rows train: in one batch, in three that make one step, in one pack, in packs of a row or two."""
    ways = {
        "large": {"train__batch_size": 24},
        "parts": {"train__batch_size": 8, "train__gradient_accumulation_steps": 3},
        "pack": {"generation__pack": 2048},
        "packs": {"generation__pack": 64, "train__gradient_accumulation_steps": 24},
    }
    found = {}
    for name, way in ways.items():
        given = language(**PLAIN | way)
        pm.fit(declare(tables, {}), output=tmp_path / name, settings=given)
        found[name] = weights(tmp_path / name)
        steps = [
            entry["step"] for entry in json.loads((tmp_path / name / "metrics.json").read_text())["history"]
        ]
        assert max(steps) == 2, name
    fresh = pm.fit(
        declare(tables, {}), output=tmp_path / "fresh", settings=language(**PLAIN, train__max_steps=1)
    )
    for name in ("parts", "pack", "packs"):
        for key, value in found["large"].items():
            torch.testing.assert_close(found[name][key], value, atol=2e-6, rtol=2e-5, msg=f"{name}: {key}")
    assert any(not torch.equal(value, found["large"][key]) for key, value in weights(fresh.folder).items())


def broken_after(saves, monkeypatch):
    """Interrupt the training once so many checkpoints are written."""
    saved, count = trainer.LanguageTrainer._save_checkpoint, []

    def stop_after(self, *given):
        saved(self, *given)
        count.append(self)
        if len(count) == saves:
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.LanguageTrainer, "_save_checkpoint", stop_after)


def assert_same_run(found, whole):
    expected, given = weights(whole), weights(found)
    assert expected.keys() == given.keys()
    assert all(torch.equal(given[name], value) for name, value in expected.items())
    results = [json.loads((folder / "metrics.json").read_text()) for folder in (found, whole)]
    for part in ("test", "validation", "rows", "tokens"):
        assert results[0][part] == results[1][part], part
    assert list(results[0]["stages"]) == list(results[1]["stages"]) == [*STAGES]
    for name, told in results[0]["stages"].items():
        assert told["best"] == results[1]["stages"][name]["best"]
        assert told["epochs"] == results[1]["stages"][name]["epochs"]
    kept = [[(entry["stage"], entry["step"]) for entry in entries["history"] if "eval_loss_total" in entry]
            for entries in results]  # fmt: skip
    assert kept[0] == kept[1]


@pytest.fixture(scope="module")
def unbroken(tables, tmp_path_factory):
    """The options of a fit in two stages with all kinds of chance, and an unbroken run of it."""
    settings = language(train__epochs=1, train__batch_size=8, data__seed=0)
    stages = {
        "align": STAGES["align"] | {"train": {"epochs": 2, "learning_rate": 0.01}},
        "instruct": STAGES["instruct"] | {"lora": {"rank": 2, "dropout": 0.3}},
    }
    options = {"source": declare(tables, stages), "settings": settings}
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    pm.fit(**options, output=folder)
    return options, folder


@pytest.mark.parametrize(
    "saves",
    [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)],
    ids=["in the first stage", "at the end of the first stage", "in the second"],
)
def test_a_broken_training_goes_on_to_the_same_weights(unbroken, tmp_path, monkeypatch, saves):
    options, whole = unbroken
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        broken_after(saves, patched)
        pm.fit(**options, output=tmp_path / "run")
    pm.fit(**options, output=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_a_training_that_is_killed_between_and_within_stages_goes_on_too(unbroken, tmp_path):
    options, whole = unbroken
    resume = options | {"output": tmp_path / "run", "resume": True}
    for touch in ("told.json", "instruct/checkpoints/.part/checkpoint-6/"):
        assert die(resume, touch=touch), touch
    finish(resume)
    assert_same_run(tmp_path / "run", whole)
