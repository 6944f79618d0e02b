"""Stages: each lets learn what it names and nothing else, from its own rows; a broken training goes on."""

import json

import pytest
import torch
import yaml

import polymodal as pm
from polymodal.training.language import trainer
from tests.tables import write_houses
from tests.talks import language
from tests.training.killing import weights

STAGES = {
    "align": {"learn": ["connectors"], "data": "captions.csv", "answer": "{district}",
              "train": {"epochs": 1, "learning_rate": 0.01}},
    "instruct": {"learn": ["connectors", "language_model"], "lora": {"rank": 2},
                 "train": {"epochs": 2, "learning_rate": 0.01}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A declaration of two stages, beside its tables."""
    write_houses(tmp_path, rows=30, empty=0.0)
    write_houses(tmp_path, "captions.csv", rows=24, seed=1, empty=0.0)
    declared = {
        "data": {"train": "houses.csv"},
        "inputs": {"photo": {"modality": "image", "size": 16}},
        "generation": {"prompt": "{photo} {note}", "answer": "{kind}"},
        "stages": STAGES,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return tmp_path


def test_each_stage_teaches_what_it_names_and_leaves_the_rest_to_the_bit(folder, monkeypatch):
    seen = {}
    whole = trainer.LanguageTrainer.run

    def run(self, *args, **kwargs):
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        begun = whole(self, *args, **kwargs)
        after = self.model.state_dict()
        seen[len(seen)] = {name for name in after if not torch.equal(before[name], after[name])}
        return begun

    monkeypatch.setattr(trainer.LanguageTrainer, "run", run)
    run = pm.fit(folder / "run.yaml", output=folder / "run", settings=language(train__epochs=1))
    assert seen[0] and all(name.startswith("connectors.") for name in seen[0])
    assert any("lora_" in name for name in seen[1]) and any(
        name.startswith("connectors.") for name in seen[1]
    )
    assert all("lora_" in name or name.startswith("connectors.") for name in seen[1])
    stages = json.loads((run.folder / "metrics.json").read_text())["stages"]
    assert [stages[name]["epochs"] for name in STAGES] == [1, 2]
    asked = run.generate(folder / "houses.csv")
    run.model.merge()
    run.save(folder / "merged")
    assert not any("lora_" in name for name in weights(folder / "merged"))
    assert pm.load(folder / "merged").generate(folder / "houses.csv").equals(asked)


@pytest.mark.parametrize("saves", [1, 2], ids=["at the end of the first stage", "in the second"])
def test_a_broken_training_goes_on_to_the_same_weights(folder, monkeypatch, saves):
    options = {"source": folder / "run.yaml", "settings": language(train__epochs=1, train__batch_size=8)}
    pm.fit(**options, output=folder / "unbroken")
    saved, count = trainer.LanguageTrainer._save_checkpoint, []

    def stop_after(self, *given):
        saved(self, *given)
        count.append(self)
        if len(count) == saves:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(trainer.LanguageTrainer, "_save_checkpoint", stop_after)
        pm.fit(**options, output=folder / "broken")
    pm.fit(**options, output=folder / "broken", resume=True)
    expected, found = weights(folder / "unbroken"), weights(folder / "broken")
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
