"""Explanations inside the inputs by the plain models of a blend, through command and API."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.attribution.attributed_parts import FEATURE, Part
from polymodal.attribution.explain import explain_rows
from polymodal.attribution.explanation_html import MOST_FEATURES, feature_bars
from polymodal.attribution.explanation_table import _input
from polymodal.candidates import choosing
from polymodal.data.tables.table import read_table
from polymodal.plain.learners import boosting
from tests.support.command import polymodal, settings
from tests.support.pages import Page

ROWS = 100
FILLER = ["sun", "moon", "tree", "river", "stone", "cloud"]
TARGETS = ["-t", "mood", "-t", "price", "-i", "note,area,sold,district"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``mood`` hangs on one word of a note, ``price`` on a number and the month of a date."""
    place = tmp_path_factory.mktemp("plain_parts")
    random, rows = np.random.default_rng(0), []
    for number in range(ROWS):
        good, area = number % 2, float(random.integers(20, 200))
        date = pd.Timestamp("2020-01-01") + pd.Timedelta(days=int(random.integers(0, 1000)))
        words = [*random.choice(FILLER, 3), "yes" if good else "no"]
        rows.append(
            {
                "note": " ".join(random.permutation(words)) if number % 20 != 7 else None,
                "area": area,
                "sold": date.strftime("%Y-%m-%d"),
                "district": ["north", "south"][int(random.integers(2))],
                "mood": "glad" if good else "sad",
                "price": 10 * area + 50 * date.month,
            }
        )
    pd.DataFrame(rows).to_csv(place / "t.csv", index=False)
    fit = ["fit", "t.csv", *TARGETS, "-o", "both", *settings(train__epochs=1)]
    patches = (
        mock.patch.object(boosting, "MOST_TREES", 60),
        mock.patch.object(choosing, "_choose", every_model),
    )
    with patches[0], patches[1]:
        made = polymodal(*fit, "--set", "train.candidates=[plain, fused]", folder=place)
    assert made.status == 0, made.err
    shutil.copytree(place / "both", place / "plain")
    (place / "plain" / "checksums.json").unlink()
    state = json.loads((place / "plain" / "blend.json").read_text())
    for target, weights in state["weights"].items():
        rest = 1 - weights.pop("fused")
        state["weights"][target] = {name: weight / rest for name, weight in weights.items()}
    state["candidates"] = ["plain"]
    (place / "plain" / "blend.json").write_text(json.dumps(state))
    return place


choose = choosing._choose


def every_model(job, target, tried, head, truth, *rest, **more):
    """The choice of a blend, but of all models alike."""
    chosen = choose(job, target, tried, head, truth, *rest, **more)
    names = [name for entry in tried.values() for name in entry.models.get(target, ())]
    return replace(chosen, weights=dict.fromkeys(names, 1 / len(names)))


def plain_run(folder, name="plain"):
    run = pm.load(folder / name)
    rows = run.rows(read_table(folder / "t.csv"))
    rows.processor = run.processor  # which makes batches
    return run, rows


def test_parts_sum_to_inputs_and_inputs_to_the_score_of_the_models(folder):
    run, rows = plain_run(folder)
    numbers = run.predict(folder / "t.csv")
    for entry in explain_rows(run.model, rows, [0, 1, 7]):
        found = entry.plain
        for part in found.inputs.values():
            assert sum(p.attribution for p in part.parts) == pytest.approx(part.attribution, abs=1e-6)
        total = sum(part.attribution for part in found.inputs.values()) + sum(found.missing.values())
        assert found.base + total == pytest.approx(found.score, rel=1e-6, abs=1e-6)
        assert sum(model.weight for model in found.models) == pytest.approx(1) == found.weight
        mean = sum(model.weight * model.score for model in found.models)
        assert mean == pytest.approx(found.score, rel=1e-6)
        if entry.said.target == "price":  # a blend of numbers is the mean of its models
            assert found.score == pytest.approx(numbers["price"][entry.place], rel=1e-5)
        assert ("note" in found.missing) == (entry.place == 7)


def test_the_word_the_number_and_the_month_are_found(folder):
    run, rows = plain_run(folder)
    words, columns = [], []
    for entry in explain_rows(run.model, rows, [0, 1, 2, 3, 4, 5]):
        if entry.said.target == "mood":
            marked = [part for part in entry.plain.inputs["note"].parts if part.kind == "word"]
            words.append(max(marked, key=lambda part: part.attribution).text)
        else:
            parts = entry.plain.inputs["sold"].parts
            columns += [part.text for part in sorted(parts, key=lambda p: -abs(p.attribution))[:2]]
            (cell,) = entry.plain.inputs["area"].parts
            low = entry.plain.inputs["area"].attribution < 0
            assert cell.kind == "cell" and low == (float(cell.text) < 110 or cell.attribution < 0)
    assert np.isin(words, ["yes", "no"]).mean() > 0.8
    assert any("month" in name or "year" in name for name in columns)


def test_the_frame_and_the_page_say_by_which_method_and_for_what_share(folder):
    frame = pm.load(folder / "plain").explain(folder / "t.csv", [1, 8], output=folder / "out")
    own = frame[(frame["row"] == 1) & (frame["target"] == "mood") & (frame["method"] != "")]
    whole = own[own["part"] == "input"].set_index("input")["attribution"]
    parts = own[own["part"] != "input"].groupby("input")["attribution"].sum()
    pd.testing.assert_series_equal(parts, whole.sort_index(), check_names=False, atol=1e-6)
    assert own["weight"].round(6).eq(1).all() and own[own["part"] == "word"]["text"].notna().all()
    missing = frame[(frame["row"] == 8) & (frame["part"] == "missing")]
    assert set(missing["input"]) == {"note"} and missing["attribution"].notna().all()
    text = (folder / "out/explanations.html").read_text()
    page = Page(text)
    assert "plain models, which have 100 % of the answer" in page.text and "Gauss" not in page.text
    assert 'class="w"' in text and "TreeSHAP" in page.text and "in plain models" in page.text


def test_a_blend_has_parts_of_both_with_their_shares(folder):
    frame = pm.load(folder / "both").explain(folder / "t.csv", [1], targets="mood")
    weights = json.loads((folder / "both/blend.json").read_text())["weights"]["mood"]
    whole = frame[frame["part"] == "input"]
    shares = dict(zip(whole["method"], whole["weight"], strict=True))
    gradients = shares.pop("integrated gradients")
    assert gradients == pytest.approx(weights["fused"])
    (methods,) = shares
    assert {*methods.split(", ")} == {"coefficients times values", "TreeSHAP", "integrated gradients"}
    assert sum(shares.values()) == pytest.approx(1 - gradients)


def test_json_lists_the_parts_that_add_most(folder):
    made = polymodal("explain", "plain", "t.csv", "--rows", "1", "-o", "y", "--json", folder=folder)
    assert made.status == 0, made.err
    for answer in made.json["answers"]:
        found = answer["plain"]
        assert answer["weight"] == 0 and found["weight"] == pytest.approx(1)
        assert all(model["method"] and model["score"] is not None for model in found["models"])
        assert found["inputs"]["note"]["parts"] and found["inputs"]["area"]["parts"][0]["part"] == "cell"
    told = polymodal("explain", "plain", "t.csv", "--rows", "1", "-o", "y", folder=folder)
    assert told.status == 0 and "note:" in told.out and "Gauss" not in told.out


def test_the_sum_of_other_columns_is_the_last_bar_and_never_the_strongest_part():
    values = [0.1 * number for number in range(1, 31)]
    parts = [Part(FEATURE, value, text=f"level {number}") for number, value in enumerate(values)]
    part = mock.Mock(
        parts=[*parts, Part(FEATURE, -9.0, text="763 other features")], share=0.1, attribution=1.0
    )
    bars = feature_bars(part)
    assert [each["name"] for each in bars[:2]] == ["level 29", "level 28"]
    assert bars[-1]["name"] == f"{763 + 30 - MOST_FEATURES} other features"
    assert float(bars[-1]["text"].replace("−", "-")) == pytest.approx(
        sum(values[: 30 - MOST_FEATURES]) - 9, abs=0.01
    )
    assert _input(part)["strongest"]["text"] == "level 29"


@pytest.mark.parametrize("label", ["other features", "many other features", "0 other features"])
def test_a_label_that_reads_like_a_sum_is_a_column_as_any_other(label):
    parts = [Part(FEATURE, 0.1 * number, text=f"level {number}") for number in range(MOST_FEATURES + 1)]
    strongest = mock.Mock(parts=[*parts, Part(FEATURE, 9.0, text=label)], share=0.1, attribution=1.0)
    assert feature_bars(strongest)[0]["name"] == label and _input(strongest)["strongest"]["text"] == label
    weakest = mock.Mock(parts=[*parts, Part(FEATURE, 0.0, text=label)])
    assert feature_bars(weakest)[-1]["name"] == "2 other features"
