"""Reports of tables whose truth is known, because it was planted."""

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from tests.support.slow import mostly_slow

ROWS = 900
LEARN = [
    "fusion.width=32", "fusion.layers=1", "train.epochs=12", "train.batch_size=32", "train.patience=0",
    "train.learning_rate=3e-3", "report.amount=full",
]  # fmt: skip


def planted():
    """``only_x`` is x, ``either`` is x unlike y; y says nothing of the one, alone nothing of the other."""
    random = np.random.default_rng(0)
    x, y = random.integers(0, 2, (2, ROWS))
    words = np.array(["left", "right"])
    frame = pd.DataFrame({"x": words[x], "y": np.array(["up", "down"])[y], "copy": words[x]})
    frame["only_x"] = np.array(["a", "b"])[x]
    frame["either"] = np.array(["same", "other"])[x ^ y]
    frame["split"] = np.where(np.arange(ROWS) < 600, "train", np.where(np.arange(ROWS) < 650, "val", "test"))
    return frame


def reported(folder, target, inputs):
    run = pm.fit(planted(), target=target, inputs=inputs, output=folder / "run", settings=LEARN)
    figures = json.loads((run.folder / "report.json").read_text())
    assert figures["rows"] == 250 and figures["what"] == "test rows"
    return run, figures["targets"]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("both"), ["only_x", "either"], ["x", "y"])


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("copies"), "only_x", ["x", "copy"])


def covers(estimate, value):
    return estimate["low"] <= value <= estimate["high"]


def test_an_input_that_says_nothing_adds_nothing(both):
    target = both[1]["only_x"]
    x, y = (target["worth"]["inputs"][name] for name in "xy")
    assert target["worth"]["all"]["value"] == x["alone"]["value"] == 1
    assert covers(y["shapley"], 0) and covers(y["lost_without"], 0) and covers(y["lost_permuted"], 0)
    assert covers(y["alone"], target["worth"]["none"]["value"]) and x["lost_permuted"]["low"] > 0.3
    verdict = target["verdict"]
    assert verdict["nothing"] == ["y"] and not verdict["redundant"] and verdict["fusing"] == "even"
    assert verdict["sentences"][0].startswith(
        "Fusing does not beat the best single input, ‘x’ alone, 100.0 %"
    )
    assert any(line.startswith("‘y’ adds nothing that matters") for line in verdict["sentences"])
    assert verdict["next"][0].startswith("Fit ‘x’ alone (inputs=['x'])")
    assert covers(target["emap"]["x"]["interaction"], 0)


def test_where_only_both_together_tell_each_alone_is_at_chance(both):
    target = both[1]["either"]
    worth = target["worth"]
    assert worth["all"]["value"] > 0.98
    for name in "xy":
        assert 0.4 < worth["inputs"][name]["alone"]["value"] < 0.6
        assert worth["inputs"][name]["shapley"]["value"] == pytest.approx(0.25, abs=0.06)
        assert target["emap"][name]["additive"]["value"] < 0.7
        assert target["emap"][name]["interaction"]["low"] > 0.25
    assert target["verdict"]["fusing"] == "wins" and not target["verdict"]["nothing"]
    assert any("together with the rest" in line for line in target["verdict"]["sentences"])


@pytest.mark.slow
def test_copies_are_strong_alone_and_each_free_to_leave_out(copies):
    target = copies[1]["only_x"]
    for entry in target["worth"]["inputs"].values():
        assert entry["alone"]["value"] > 0.97 and covers(entry["lost_without"], 0)
        assert entry["shapley"]["low"] > 0.1
    assert target["verdict"]["redundant"] == ["x", "copy"] and not target["verdict"]["nothing"]
    said = target["verdict"]["sentences"]
    assert any("are each good alone and free to leave out, for the others say the same" in s for s in said)
    assert target["worth"]["free"]["inputs"] == ["x", "copy"]
    assert target["worth"]["free"]["lost_without_all"]["low"] > 0.3
    assert any(line.startswith("Without ‘x’ and ‘copy’ at once it costs") for line in said)


@pytest.mark.parametrize("fitted", mostly_slow(["both", "copies"], ["both"]))
def test_the_values_add_up_to_the_whole(request, fitted):
    for target in request.getfixturevalue(fitted)[1].values():
        worth = target["worth"]
        added = sum(entry["shapley"]["value"] for entry in worth["inputs"].values())
        assert added == pytest.approx(worth["all"]["value"] - worth["none"]["value"], abs=1e-9)


def test_the_figures_are_those_of_a_table_without_these_cells(both):
    run, targets = both
    table = planted().query("split == 'test'")
    for name, worth in ((name, target["worth"]) for name, target in targets.items()):
        for subset in worth["subsets"]:
            given = table.assign(**{c: None for c in "xy" if c not in subset["inputs"]})
            assert run.evaluate(given)[name]["accuracy"] == pytest.approx(subset["value"])
        assert targets[name]["metrics"] == pytest.approx(run.evaluate(table)[name], abs=1e-5)
