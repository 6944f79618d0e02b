"""What a run that answers in words can do beside answering: report, vectors, folds and seeds."""

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.artifact.capabilities import Capability
from tests.support.command import error, polymodal
from tests.support.tables import write_houses
from tests.support.talks import language_options

ASK = ["--prompt", "{photo} {note}: flat or house?", "--answer", "{kind}", "--set", "inputs.photo.size=16"]


@pytest.fixture(scope="module")
def houses(spoken_houses):
    return spoken_houses


def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_a_fit_writes_the_report_of_its_test_rows(houses):
    figures, measured = report(houses / "run"), json.loads((houses / "run/metrics.json").read_text())
    found = figures["targets"]["kind"]
    assert figures["what"] == "test rows" and figures["rows"] == 4 and figures["inputs"] == {"photo": "image"}
    for name, value in measured["test"]["kind"].items():
        entry = found["metrics"][name]
        assert entry["value"] == pytest.approx(value)
        assert entry["low"] <= entry["value"] <= entry["high"]
    without = found["worth"]["inputs"]["photo"]
    assert without["without"]["value"] == pytest.approx(measured["without"]["photo"]["exact_match"])
    lost = measured["test"]["kind"]["exact_match"] - measured["without"]["photo"]["exact_match"]
    assert without["lost_without"]["value"] == pytest.approx(lost)
    assert figures["making"]["parameters"] == measured["parameters"] > 0
    assert "What each input is worth: run/report.html" in (houses / "printed.txt").read_text()


def test_report_makes_it_again_with_subgroups_and_the_worst_answers(houses, tmp_path):
    command = ["report", "run", "houses.csv", "--by", "bedrooms", "-o", tmp_path, "--json"]
    made = polymodal(*command, folder=houses)
    assert made.status == 0, made.err
    figures = made.json["targets"]["kind"]
    said = pm.load(houses / "run").predict(str(houses / "houses.csv"))["kind"]
    wrong = (said != pd.read_csv(houses / "houses.csv")["kind"]).to_numpy()
    cards = figures["failures"]["worst"]
    assert [card["number"] for card in cards] == (np.flatnonzero(wrong)[:12] + 1).tolist()
    assert all(card["answer"] != card["truth"] and "cells" not in card for card in cards)
    (column,) = figures["failures"]["subgroups"]["columns"]
    assert column["column"] == "bedrooms" and sum(entry["rows"] for entry in column["subgroups"]) == 40
    page = (tmp_path / "report.html").read_text()
    assert page.count('<div class="card">') == len(cards)
    assert not cards or ("data:image/jpeg" in page and "question: " in page)


def test_report_without_a_table_is_of_the_test_rows(houses, tmp_path):
    again = polymodal("report", "run", "-o", tmp_path, folder=houses)
    assert again.status == 0 and "exact match is" in again.out, again.err
    assert report(tmp_path)["targets"] == report(houses / "run")["targets"]
    refused = error(houses, "report", "run", "houses.csv", "--by", "garden")
    assert "no column 'garden' to compare by" in refused


def test_a_prompt_has_the_same_vector_in_every_batch(houses, tmp_path):
    run, table = pm.load(houses / "run"), str(houses / "houses.csv")
    whole = run.embed(table)
    assert whole.shape == (40, 32) and np.isfinite(whole).all()
    np.testing.assert_allclose(run.embed(table, batch_size=7), whole, atol=1e-5)
    photo = run.embed(table, input="photo")
    lacks = pd.read_csv(table)["photo"].isna().to_numpy()
    assert (np.isnan(photo).all(axis=1) == lacks).all() and lacks.any()
    with pytest.raises(pm.RunError, match="there is no input 'foto'"):
        run.embed(table, input="foto")
    written = polymodal("embed", "run", "houses.csv", "-o", tmp_path / "v.parquet", folder=houses)
    assert written.status == 0, written.err
    vectors = np.stack(pd.read_parquet(tmp_path / "v.parquet")["embedding"])
    np.testing.assert_allclose(vectors, whole, atol=1e-5)


def test_rows_that_cannot_be_read_have_no_vector(houses):
    rows = [{"photo": "nowhere.png", "note": "a"}, {"photo": None, "note": "b"}]
    vectors = pm.load(houses / "run").embed(rows, on_error="skip")
    assert np.isnan(vectors[0]).all() and np.isfinite(vectors[1]).all()


@pytest.mark.slow
def test_folds_and_seeds_fit_as_a_plain_fit_does(tmp_path):
    write_houses(tmp_path, rows=24, empty=0.0)
    common = ["houses.csv", *ASK, *language_options(), "--json"]
    folds = [*common, "--folds", "2", "--seeds", "2", "-o", "runs"]
    made = polymodal("fit", *folds, folder=tmp_path)
    assert made.status == 0, made.err
    names = ["fold0_seed0", "fold0_seed1", "fold1_seed0", "fold1_seed1"]
    assert [fit["name"] for fit in made.json["fits"]] == names
    assert set(made.json["test"]["kind"]) == {"exact_match", "vqa_accuracy"} and made.json["rows"] == 24
    said = pd.read_parquet(tmp_path / "runs/predictions.parquet")
    assert len(said) == 48 and set(said["fold"]) == {0, 1} and said["answer"].notna().all()
    plain = polymodal("fit", *common, "--set", "data.folds=2", "-o", "plain", folder=tmp_path)
    assert plain.status == 0, plain.err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("runs/fold0_seed0", "plain")]
    assert weights[0] == weights[1]
    assert polymodal("fit", *folds, "--resume", folder=tmp_path).json == made.json


def test_a_run_says_what_it_can_do(houses, fitted_houses):
    words, heads = pm.load(houses / "run"), pm.load(fitted_houses / "run")
    assert {Capability.report, Capability.embed, Capability.chat} <= words.capabilities
    assert Capability.explain not in words.capabilities
    assert {Capability.explain, Capability.predict, Capability.start} <= heads.capabilities
    assert Capability.chat not in heads.capabilities
    for run in (words, heads):
        for capability in Capability:
            if capability in run.capabilities:
                run.require(capability)
            else:
                with pytest.raises(pm.RunError, match=r"Use predict|answers no words|no probability"):
                    run.require(capability)


def continued(folder, run, *words):
    """What a fit from a run says of its start, and its model as it began (nothing learns)."""
    still = ["--set", "train.learning_rate=1e-12", "--set", "stages={train: {learn: [connectors]}}"]
    made = polymodal(
        "fit", "houses.csv", *ASK, *language_options(), *still, *words, "--from", run, "-o", "goes-on",
        "--overwrite", "--json", folder=folder,
    )  # fmt: skip
    assert made.status == 0, made.err
    return made.json["start"], pm.load(folder / "goes-on").model


def test_a_fit_goes_on_from_a_run_of_words(houses, tmp_path):
    start, model = continued(houses, "run")
    assert start["loaded"] == ["encoder of photo", "connector of photo", "language model"]
    assert not start["new"]
    before = pm.load(houses / "run").model.state_dict()
    for name, tensor in model.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), before[name].numpy(), atol=1e-6, err_msg=name)


def test_a_fit_of_words_takes_the_encoders_of_a_run_with_heads(houses, fitted_houses, tmp_path):
    start, model = continued(houses, fitted_houses / "run")
    assert start["loaded"] == ["encoder of photo"]
    assert start["new"] == ["connector of photo", "language model"]
    assert "note (not in the prompt)" in start["dropped"]
    before = pm.load(fitted_houses / "run").model.model
    known = before.encoders[before.encoder_of["photo"]].state_dict()
    for name, tensor in model.encoder("photo").state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), known[name].numpy())
    tokens = ["--set", "inputs.photo.tokens=3"]
    wrong = error(houses, "fit", "houses.csv", *ASK, *tokens, "--from", "run", "-o", "no")
    assert "'tokens' of 'photo' is 3, but its weights in run were trained" in wrong
