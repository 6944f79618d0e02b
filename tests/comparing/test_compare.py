"""Runs side by side: planted truths in kept answers, paired intervals, refusals, through the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.evaluation.paired import paired_p
from polymodal.evaluation.scores import Score
from tests.command import error, polymodal, settings
from tests.pages import Page

ROWS, TESTED = 700, 500
KINDS = ["flat", "house", "barn"]
TAGS = ["garden", "lift"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``one`` and ``two``: tiny fits to the same rows, with a class, labels and a number to answer."""
    place = tmp_path_factory.mktemp("compare")
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=ROWS), "y": random.normal(size=ROWS)})
    frame["kind"] = random.choice(KINDS, ROWS)
    frame["tags"] = ["|".join(tag for tag in TAGS if random.random() < 0.5) or "[]" for _ in range(ROWS)]
    frame["price"] = random.normal(100, 20, ROWS)
    frame["street"] = np.arange(ROWS) // 5
    frame["split"] = ["train"] * 150 + ["val"] * 50 + ["test"] * TESTED
    frame.to_csv(place / "t.csv", index=False)
    fit = ["fit", "t.csv", "-t", "kind", "-t", "tags", "-t", "price", "-i", "x,y", *settings(train__epochs=1)]
    for number, name in enumerate(("one", "two")):
        result = polymodal(*fit, "--set", f"train.seed={number}", "-o", name, folder=place)
        assert result.status == 0, result.err
    return place


def planted(folder, name, wrong, seed=0, noise=0.0, source="one"):
    """A copy of a run whose answers are wrong in a share of the rows, and true in the rest."""
    shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(folder / source, folder / name)
    path = folder / name / "predictions.parquet"
    said, random = pd.read_parquet(path), np.random.default_rng(seed)
    missed = random.random(len(said)) < wrong
    other = {kind: KINDS[(place + 1) % 3] for place, kind in enumerate(KINDS)}
    said["kind"] = np.where(missed, said["kind_true"].map(other), said["kind_true"])
    said["price"] = said["price_true"].astype(float) + random.normal(0, 1 + 30 * wrong, len(said))
    tags = [cell.split("|") if cell != "[]" else [] for cell in said["tags_true"]]
    said["tags"] = [[] if miss else own for own, miss in zip(tags, missed, strict=True)]
    said.to_parquet(path, index=False)
    return name


def compared(folder, *runs, **more):
    return pm.compare([folder / run for run in runs], **more)


def test_a_copy_is_neither_better_nor_worse(folder):
    planted(folder, "good", 0.1)
    shutil.copytree(folder / "good", folder / "copy", dirs_exist_ok=True)
    found = compared(folder, "good", "copy")
    assert set(found.figures["targets"]) == {"kind", "tags", "price"}
    for target in found.figures["targets"].values():
        (pair,) = target["pairs"]
        assert pair["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert not pair["beats"] and pair["certainty"] == 0.5 and pair["p"] == 1
        assert all(entry["as_good"] for entry in target["runs"])
        assert "are level at the top" in target["sentences"][0]


def test_a_better_run_beats_a_worse_one_and_by_how_much(folder):
    planted(folder, "good", 0.1)
    planted(folder, "bad", 0.3, seed=1)
    found = compared(folder, "bad", "good")
    truth = {name: pd.read_parquet(folder / name / "predictions.parquet") for name in ("good", "bad")}
    right = {name: (frame["kind"] == frame["kind_true"]).mean() for name, frame in truth.items()}
    for name, target in found.figures["targets"].items():
        (pair,) = target["pairs"]
        assert (pair["better"], pair["worse"]) == ("good", "bad") and pair["beats"], name
        assert pair["difference"]["low"] > 0 and pair["p"] < 0.01 and pair["certainty"] > 0.99
        assert target["rows"] == TESTED and [entry["run"] for entry in target["runs"]] == ["good", "bad"]
    kind = found.figures["targets"]["kind"]
    assert kind["runs"][0]["score"]["value"] == pytest.approx(right["good"])
    assert kind["pairs"][0]["difference"]["value"] == pytest.approx(right["good"] - right["bad"])
    assert found.frame.query("target == 'kind'")["run"].tolist() == ["good", "bad"]
    assert found.pairs["beats"].all()


def test_paired_intervals_are_narrower_than_those_of_two_samples(folder):
    planted(folder, "base", 0.3)
    said = pd.read_parquet(folder / "base/predictions.parquet")
    shutil.copytree(folder / "base", folder / "little", dirs_exist_ok=True)
    wrong = np.flatnonzero(said["kind"] != said["kind_true"])[:12]
    said.loc[wrong, "kind"] = said.loc[wrong, "kind_true"]
    said.to_parquet(folder / "little/predictions.parquet", index=False)
    target = compared(folder, "base", "little").figures["targets"]["kind"]
    (pair,) = target["pairs"]
    alone = [entry["score"]["high"] - entry["score"]["low"] for entry in target["runs"]]
    assert pair["better"] == "little" and pair["beats"]
    assert pair["difference"]["high"] - pair["difference"]["low"] < min(alone) / 2


def test_among_many_alike_none_beats_another_and_groups_widen_intervals(folder):
    runs = [planted(folder, f"alike{n}", 0.3, seed=n) for n in range(5)]
    found = compared(folder, *runs)
    assert not any(pair["beats"] for pair in found.figures["targets"]["kind"]["pairs"])
    assert len(found.figures["targets"]["kind"]["pairs"]) == 10
    asked = ["compare", *runs[:2], "--group", "street", "-o", "grouped", "--json"]
    grouped = polymodal(*asked, folder=folder).json["targets"]["kind"]
    assert grouped["groups"] == TESTED // 5 and grouped["grouped_by"] == "rows of one 'street'"


def test_answers_that_change_places_tell_no_difference_by_chance():
    random, score = np.random.default_rng(0), Score("accuracy")
    values = []
    for seed in range(200):
        first, second = ((random.random(60) < 0.7).astype(float) for _ in range(2))
        one = np.ones(60)
        stacked = [np.stack([side, one], axis=1) for side in (first, second)]
        values.append(paired_p(score, *stacked, seed=seed))
    assert np.mean(np.array(values) <= 0.05) <= 0.08
    assert paired_p(score, np.ones((60, 2)), np.array([[0.0, 1.0]] * 60)) < 0.01


def test_the_command_writes_a_page_and_says_who_is_best(folder):
    planted(folder, "good", 0.1)
    planted(folder, "bad", 0.3, seed=1)
    result = polymodal("compare", "good", "bad", "two", "-o", "compared", folder=folder)
    assert result.status == 0, result.err
    assert (
        "‘good’ is best: accuracy" in result.out
        and "It beats both others. That is more than chance" in result.out
    )
    assert result.out.splitlines()[-1] == "The comparison lies in compared/compare.html."
    text = (folder / "compared/compare.html").read_text()
    page = Page(text)
    assert not page.loads and page.text.count("Who beats whom") == 3 and "so its score flatters" in page.text
    figures = json.loads((folder / "compared/compare.json").read_text())
    assert figures["runs"]["two"]["cost"]["parameters"] > 1000
    as_json = polymodal("compare", "good", "bad", "two", "-o", "compared", "--json", folder=folder).json
    assert as_json.pop("page") == "compared/compare.html" and as_json == figures


def test_runs_of_other_rows_are_refused(folder):
    frame = pd.read_csv(folder / "t.csv")
    learned = [*settings(train__epochs=1), "-t", "kind", "-i", "x"]
    frame.assign(split=frame["split"].where(frame.index < 690, "train")).to_csv(
        folder / "fewer.csv", index=False
    )
    assert polymodal("fit", "fewer.csv", *learned, "-o", "fewer", folder=folder).status == 0
    said = error(folder, "compare", "one", "fewer")
    assert (
        "one and fewer cannot be compared: they were tested on different files, t.csv and fewer.csv" in said
    )
    assert (
        polymodal("fit", "t.csv", *learned, "--set", "data.split=null", "-o", "other", folder=folder).status
        == 0
    )
    said = error(folder, "compare", "one", "other")
    assert "one was tested on" in said or "other was tested on" in said
    assert "Fit both with the same test rows" in said


def test_what_is_no_run_is_refused(folder):
    assert error(folder, "compare", "one").startswith("a comparison takes two runs or more, 1 was named")
    assert "is named twice" in error(folder, "compare", "one", "./one")
    assert error(folder, "compare", "one", "nowhere") == "nowhere: no such run folder"
    (folder / "empty").mkdir(exist_ok=True)
    assert "empty: not a complete run" in error(folder, "compare", "one", "empty")
    fit = ["fit", "t.csv", "-t", "street", "-i", "x", "-o", "street", *settings(train__epochs=1)]
    assert polymodal(*fit, folder=folder).status == 0
    assert "no target that all runs have in common" in error(folder, "compare", "one", "street")
    untested = [*fit[: -len(settings(train__epochs=1)) - 1], "untested", *settings(train__epochs=1)]
    frame = pd.read_csv(folder / "t.csv")
    frame[frame["split"] != "test"].to_csv(folder / "untested.csv", index=False)
    untested[1] = "untested.csv"
    assert polymodal(*untested, folder=folder).status == 0
    assert "was fitted without test rows" in error(folder, "compare", "one", "untested")


def test_fusions_end_with_their_comparison(folder):
    fit = ["fit", "t.csv", "-t", "kind", "-i", "x,y", "--fusions", "concat,sum", "-o", "fusions"]
    small = [*settings(train__epochs=1), "--set", "report.noise_rows=0"]
    result = polymodal(*fit, *small, "--set", "report.write=true", folder=folder)
    assert result.status == 0, result.err
    assert "Which is better by more than chance, on the test rows: fusions/compare.html" in result.out
    figures = json.loads((folder / "fusions/compare.json").read_text())
    assert set(figures["runs"]) == {"concat", "sum"}
    assert figures["runs"]["sum"]["fusion"] == "sum"
