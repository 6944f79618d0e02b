"""``polymodal fit --search``: trials judged on validation rows, the best fitted and tested once."""

import builtins
import json
import sys
from unittest import mock

import pytest
import torch
import yaml
from safetensors.torch import load_file

import polymodal as pm
from polymodal.config.parsing import parse
from polymodal.models import inference
from polymodal.training.optuna_search import SearchTrainer, make_space
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms", "-o", "run"]


def given(**more):
    return settings(**{"train.epochs": 2, "train.metric": "log_loss", **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    write_houses(folder)
    return folder


@pytest.fixture(scope="module")
def searched(folder):
    result = polymodal(*FIT, "--search", "5", *given(), folder=folder)
    assert result.status == 0, result.err
    return result


def test_the_best_trial_by_validation_is_the_run(folder, searched):
    search = json.loads((folder / "run/search.json").read_text())
    trials = search["trials"]
    assert [trial["number"] for trial in trials] == list(range(5)) and search["metric"] == "log_loss"
    assert trials[0]["choice"] == {"learning_rate": 0.001, "width": 16, "fusion": "transformer"}
    assert len({json.dumps(trial["choice"]) for trial in trials}) > 2
    whole = [trial for trial in trials if trial["state"] == "complete"]
    best = min(whole, key=lambda trial: trial["validation"])
    assert search["best"] == best["number"]
    declared = yaml.safe_load((folder / "run/run.yaml").read_text())
    assert declared["train"]["learning_rate"] == best["choice"]["learning_rate"]
    assert (declared["fusion"]["width"], declared["fusion"]["name"]) == (
        best["choice"]["width"],
        best["choice"]["fusion"],
    )
    kept = json.loads((folder / "run/metrics.json").read_text())["validation"]["kind.log_loss"]
    assert kept == pytest.approx(best["validation"], rel=1e-5)  # the trial was the same fit
    assert sorted(path.name for path in (folder / "run").iterdir() if path.is_dir()) == [
        "reader_0",
        "samples",
    ]
    assert not (folder / "run/search.journal").exists()


def test_what_the_command_prints(folder, searched):
    lines = searched.out.splitlines()
    assert lines[0].strip() == "5 trials"
    heads = "trial  learning rate  width  fusion  validation log loss  seconds"
    assert lines[1].split() == heads.split()
    assert sum(" *" in line for line in lines[2:7]) == 1
    assert "the test rows had no say in it" in searched.out and "4 test rows: kind" in searched.out
    assert searched.err.count("trial ") == 5 and "trial 1 of 5: learning_rate 0.001, width 16" in searched.err


@pytest.mark.slow
def test_the_same_seed_searches_the_same(folder, searched, tmp_path):
    more = [*FIT[:-1], tmp_path / "again", "--search", "5", "--json", *given()]
    again = polymodal(*more, folder=folder)
    assert again.status == 0, again.err
    first = json.loads((folder / "run/search.json").read_text())
    for one, other in zip(first["trials"], again.json["search"]["trials"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    a, b = (load_file(run / "model.safetensors") for run in (folder / "run", tmp_path / "again"))
    assert all(torch.equal(value, b[name]) for name, value in a.items())
    other = polymodal(*more[:-2], "--overwrite", *given(train__seed=3)[-2:], *given(), folder=folder)
    assert other.json["search"]["trials"][1]["choice"] != first["trials"][1]["choice"]


def test_the_test_rows_are_predicted_once(folder, tmp_path):
    seen = []
    run_batches = inference.run_batches

    def spy(model, rows, *args, **kwargs):
        seen.append(len(rows))
        return run_batches(model, rows, *args, **kwargs)

    with mock.patch("polymodal.models.inference.run_batches", spy):
        run = pm.fit_searched(
            folder / "houses.csv", trials=2, target="kind", inputs=["bedrooms"], output=tmp_path / "run",
            settings=given()[1::2],
        )  # fmt: skip
    assert seen == [4, 4, 4] and isinstance(run, pm.Run)  # those of the last run are kept as samples, too


@pytest.mark.slow
def test_an_interrupted_search_goes_on(folder, tmp_path):
    command = [*FIT[:-1], tmp_path / "run", "--search", "4", *given()]
    begun = []
    build = SearchTrainer.build

    def stop(self, trial=None):
        begun.append(trial and trial.number)
        if len(begun) == 4:  # the first is not yet a trial
            raise KeyboardInterrupt
        return build(self, trial)

    with mock.patch.object(SearchTrainer, "build", stop):
        broken = polymodal(*command, folder=folder)
    assert broken.status == 130 and begun == [None, 0, 1, 2]
    assert f"{tmp_path / 'run'}: holds a search already" in error(folder, *command)
    other = error(folder, *command, "--resume", "--set", "train.seed=1")
    assert "its search is of another declaration" in other
    begun.clear()

    def count(self, trial=None):
        begun.append(trial and trial.number)
        return build(self, trial)

    with mock.patch.object(SearchTrainer, "build", count):
        resumed = polymodal(*command, "--resume", "--json", folder=folder)
    assert resumed.status == 0, resumed.err
    assert len(begun) == 3 and len(resumed.json["search"]["trials"]) == 4
    again = polymodal(*command, "--resume", "--json", folder=folder)
    assert again.json == resumed.json


def test_a_trial_that_diverges_is_not_the_end(folder, tmp_path):
    build = SearchTrainer.build

    def broken(self, trial=None):
        model = build(self, trial)
        if trial is not None and trial.number in self.fail:
            model.heads[0].out.weight.data.fill_(torch.nan)
        return model

    command = [*FIT[:-1], tmp_path / "run", "--search", "3", "--json", *given()]
    with (
        mock.patch.object(SearchTrainer, "build", broken),
        mock.patch.object(SearchTrainer, "fail", {0, 1}, create=True),
    ):
        result = polymodal(*command, folder=folder)
        assert result.status == 0, result.err
        assert [trial["state"] for trial in result.json["search"]["trials"]] == ["fail", "fail", "complete"]
        with mock.patch.object(SearchTrainer, "fail", {0, 1, 2}):
            said = error(folder, *command, "--overwrite")
    assert said.startswith("no trial of the search came to its end: the model's answers are not finite")


def test_what_a_pretrained_encoder_adds_to_the_space(folder, tmp_path):
    CHECKPOINTS["bert"].save(tmp_path / "bert")
    encoder = {"modality": "text", "encoder": {"checkpoint": str(tmp_path / "bert")}}
    values = {"targets": {"kind": {"task": "classification"}}, "fusion": {"width": 24, "heads": 3}}
    for more, expected in (({}, True), ({"freeze": True}, False), ({"lora": {}}, False)):
        declaration = parse(values | {"inputs": {"note": encoder | more}})
        space = make_space(declaration)
        assert ("pretrained_learning_rate" in space.rates) == expected
    assert space.rates["learning_rate"] == (1e-4, 1e-2)
    assert space.widths == [24, 48], "a width of 8 has no three heads"
    assert "transformer" in space.fusions and "concat" in space.fusions


def test_what_cannot_be_is_told(folder, tmp_path):
    where = [*FIT[:-1], tmp_path / "none"]
    for words in (["--folds", "3"], ["--seeds", "2"], ["--fusions", "concat"]):
        result = polymodal(*where, "--search", "2", *words, folder=folder)
        assert result.status == 2 and f"it does not go with {words[0]}" in result.err
    said = error(folder, *where, "--search", "2", "--resume", *given())
    assert said == f"{tmp_path / 'none'}: no search to resume. Start without --resume"
    found = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "optuna":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    with mock.patch.dict(sys.modules), mock.patch.object(builtins, "__import__", without):
        sys.modules.pop("optuna", None)
        said = error(folder, *where, "--search", "2", *given())
    assert said == "a search needs Optuna: pip install 'polymodal[tune]'"
    assert not (tmp_path / "none").exists()
