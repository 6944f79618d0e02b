"""What a fit tries where nothing is named: plain models and the neural model where they can be blended."""

import json
from pathlib import Path

import pandas as pd
import pytest

import polymodal as pm
from tests.support.command import polymodal
from tests.support.tables import house_rows, write_table

SHORT = ["fusion.width=16", "train.epochs=2", "report.write=false"]
INPUTS = ["bedrooms", "district"]
OPTIONS = [word for setting in SHORT for word in ("--set", setting)]


@pytest.fixture
def houses(tmp_path, default_fit, monkeypatch):
    rows = [{name: row[name] for name in (*INPUTS, "kind", "price")} for row in house_rows(tmp_path, 60)]
    write_table(tmp_path / "houses.csv", rows)
    monkeypatch.chdir(tmp_path)
    return "houses.csv"


def tried(folder):
    train = pm.load(folder).declaration.train
    return train.candidates, train.encoders


def fitted(houses, **more):
    settings = [*SHORT, *more.pop("settings", ())]
    return pm.fit(houses, **({"target": "kind", "inputs": INPUTS, "output": "run"} | more), settings=settings)


def test_plain_models_and_the_neural_model_are_blended(houses):
    result = polymodal(
        "fit", houses, "--target", "price", "--inputs", ",".join(INPUTS), "-o", "run", *OPTIONS
    )
    assert result.status == 0, result.err
    assert "Models tried" in result.out and "plain.boosting" in result.out and "fused" in result.out
    assert tried("run") == (["plain", "fused"], "auto")
    assert json.loads(Path("run/metrics.json").read_text())["candidates"]


@pytest.mark.parametrize(
    "settings, candidates",
    [
        (["train.candidates=[fused]"], ["fused"]),
        (["data.private=true"], ["fused"]),
        (["train.encoders=scratch"], ["plain", "fused"]),
    ],
)
def test_a_setting_or_private_data_decide_otherwise(houses, settings, candidates):
    fitted(houses, settings=settings)
    assert tried("run")[0] == candidates


def test_a_declaration_decides_and_a_preset_is_above_it(houses):
    text = "data: {train: houses.csv}\ntargets: {kind: {}}\ninputs: {bedrooms: {modality: number}}\n"
    Path("own.yaml").write_text(text + "train: {candidates: [fused], encoders: scratch}\n")
    pm.fit("own.yaml", output="run", settings=SHORT)
    assert tried("run") == (["fused"], "scratch")
    pm.fit("own.yaml", output="fast", preset="fast", settings=SHORT)
    assert tried("fast")[0] == ["plain"]


def test_pretraining_and_comparisons_of_fusions_train_the_neural_model_alone(houses):
    pm.pretrain(houses, inputs=INPUTS, output="before", settings=SHORT)
    assert tried("before") == (["fused"], "scratch")
    pm.fit_fusions(
        houses, fusions=["sum", "concat"], target="kind", inputs=INPUTS, output="several", settings=SHORT
    )
    assert tried("several/sum")[0] == ["fused"]


def test_a_run_of_an_earlier_version_is_fitted_again_as_it_was(houses):
    fitted(houses, settings=["train.candidates=[fused]", "train.encoders=scratch"])
    declared = Path("run/run.yaml").read_text()
    lines = [line for line in declared.splitlines() if "candidates" not in line and "encoders: " not in line]
    lines = [line for line in lines if line.strip() != "- fused"]
    Path("run/run.yaml").write_text("\n".join(lines) + "\n")
    Path("run/checksums.json").unlink()
    assert pm.load("run").declaration.train.candidates is None
    pm.fit("run/run.yaml", output="again", settings=SHORT)
    assert tried("again") == (["fused"], "scratch")


def test_the_record_of_a_warm_start_and_what_is_changed_in_memory_are_kept(houses):
    fitted(houses, output="base")
    run = fitted(houses, start="base", output="tuned")
    assert "embedding" in json.loads(Path("tuned/metrics.json").read_text())["start"]["loaded"]
    model = run.model.members["fused"].model
    with_zeros = next(iter(model.parameters()))
    with_zeros.data.zero_()
    run.save("changed")
    kept = next(iter(pm.load("changed").model.members["fused"].model.parameters()))
    assert not kept.abs().sum()
    rows = pd.read_csv(houses).head(3)
    assert pm.load("changed").predict(rows).equals(run.predict(rows))
