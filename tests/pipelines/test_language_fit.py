"""Fits that end in words: what they learn from, how they are resumed, and what they leave alone."""

import gc
import json
from unittest import mock

import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.pipelines import language_fit as fitting
from polymodal.pipelines import multi_fit
from polymodal.training.loop.language_trainer import LanguageTrainer
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import error, polymodal
from tests.support.killing import weights
from tests.support.tables import write_houses
from tests.support.talks import language, language_options

NOTE = ["--prompt", "{note}", "--answer", "{kind}"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder, rows=30, empty=0.0)
    return folder


def test_a_model_that_sees_is_told_from_one_that_reads(houses, tmp_path):
    """The kind shows in the photo alone here: without it there is nothing to go by."""
    settings = language(inputs__photo__size=16, train__epochs=10, train__learning_rate=0.01, data__test=0.3)
    run = pm.fit(houses / "houses.csv", prompt="{photo} flat or house?", answer="{kind}", settings=settings,
                 output=tmp_path / "run")  # fmt: skip
    results = json.loads((run.folder / "metrics.json").read_text())
    assert results["test"]["kind"]["exact_match"] == 1
    assert results["without"]["photo"]["exact_match"] < 0.8
    said = pd.read_parquet(run.folder / "predictions.parquet")
    assert said["output_without_photo"].nunique() == 1 and (said["output"] == said["answer"]).all()


def test_a_fit_that_was_interrupted_while_answering_only_answers(houses, tmp_path):
    words = ["fit", houses / "houses.csv", *NOTE, *language_options(train__epochs=2), "-o"]
    with mock.patch.object(fitting, "measure_split", side_effect=KeyboardInterrupt):
        stopped = polymodal(*words, "run", folder=tmp_path)
    assert stopped.status == 130 and "the same command with --resume goes on" in stopped.err
    assert "holds a run already" in error(tmp_path, *words, "run")
    with mock.patch.object(LanguageTrainer, "training_step", side_effect=AssertionError):
        resumed = polymodal(*words, "run", "--resume", "--json", folder=tmp_path)
    assert resumed.status == 0, resumed.err
    whole = polymodal(*words, "whole", "--json", folder=tmp_path)
    for part in ("test", "validation", "rows"):
        assert resumed.json[part] == whole.json[part]
    assert resumed.json["train"]["tokens_per_second"] > 0 and resumed.json["train"]["epochs"] == 2
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert not (tmp_path / "run/checkpoints").exists()


def test_a_finished_run_is_kept_unless_it_is_to_be_replaced(houses, tmp_path):
    words = ["fit", houses / "houses.csv", *NOTE, *language_options(), "-o", "run"]
    assert polymodal(*words, folder=tmp_path).status == 0
    before = weights(tmp_path / "run")
    assert "holds a run already. Give another folder with -o, or --overwrite" in error(tmp_path, *words)
    again = polymodal(*words, "--resume", folder=tmp_path)
    assert again.status == 0 and "run: was finished already" in again.err
    metrics = tmp_path / "run/metrics.json"
    told = metrics.read_text()
    metrics.write_text(told.replace(json.loads(told)["data"]["train"], "0" * 64))
    assert "the file has changed since" in error(tmp_path, *words, "--resume")
    metrics.write_text(told)
    other = [*words, "--set", "train.seed=1"]
    assert "its run.yaml declares something else" in error(tmp_path, *other, "--resume")
    assert polymodal(*other, "--overwrite", folder=tmp_path).status == 0
    after = weights(tmp_path / "run")
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_same_seed_gives_the_same_weights_and_another_other_ones(houses, tmp_path):
    def fit(name, seed):
        pm.fit(houses / "houses.csv", prompt="{photo} {note}", answer="{kind}", output=tmp_path / name,
               settings=language(inputs__photo__size=16, train__seed=seed, train__batch_size=8))  # fmt: skip
        return weights(tmp_path / name)

    first, same, other = fit("a", 0), fit("b", 0), fit("c", 1)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(
        not torch.equal(first[name], other[name]) for name in first if first[name].shape == other[name].shape
    )


def test_how_long_an_answer_may_be_follows_from_the_longest(houses, tmp_path):
    run = pm.fit(houses / "houses.csv", prompt="{note}", answer="{kind}, {note}", output=tmp_path / "run",
                 settings=language())  # fmt: skip
    rows = run.rows(pm.data.tables.table.read_table(houses / "houses.csv"), reply=False)
    assert not rows.prepare()
    longest = max(int(row.encoded.learned.sum()) for row in rows.rows)
    assert longest < run.model.generation_config.max_new_tokens <= 1.5 * longest + 1


def test_folds_count_the_rows_that_were_answered(houses, tmp_path, monkeypatch):
    frame = pd.read_csv(houses / "houses.csv").assign(
        photo=lambda f: f["photo"].where(f.index % 9 > 0, "no.png")
    )
    frame.to_csv(houses / "holes.csv", index=False)
    settings = language(inputs__photo__size=16, data__on_error="skip")
    made = pm.fit_folds(houses / "holes.csv", prompt="{photo} flat or house?", answer="{kind}", folds=2,
                        output=tmp_path / "folds", settings=settings)  # fmt: skip
    assert made.rows == len(pd.read_parquet(tmp_path / "folds/predictions.parquet")) == 26


def test_the_models_of_finished_fits_are_freed(houses, tmp_path, monkeypatch):
    def living():
        gc.collect()
        return sum(type(thing) is PolymodalForConditionalGeneration for thing in gc.get_objects())

    before, after, summarize = living(), [], multi_fit.summarize
    monkeypatch.setattr(multi_fit, "summarize", lambda *given: after.append(living()) or summarize(*given))
    CHECKPOINTS["siglip"].save(tmp_path / "siglip")
    settings = language(inputs__photo__encoder=tmp_path / "siglip", inputs__photo__freeze=True)
    pm.fit_folds(houses / "houses.csv", prompt="{photo} flat or house?", answer="{kind}", seeds=2,
                 output=tmp_path / "seeds", settings=settings)  # fmt: skip
    assert after == [before, before]
