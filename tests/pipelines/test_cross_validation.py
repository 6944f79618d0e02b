"""``polymodal fit --folds --seeds``: the fits, their table, what is resumed and what is refused."""

import json
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import polymodal as pm
from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.command import error, polymodal, settings
from tests.support.tables import house_rows, write_houses, write_table

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "photo,bedrooms", "-o", "run"]


def given(**more):
    return settings("photo", **{"train.epochs": 1, "train.modality_dropout": 0, **more})


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """Two folds with two seeds each, and what the command said."""
    folder = tmp_path_factory.mktemp("crossed")
    write_houses(folder, rows=41)
    result = polymodal(*FIT, "--folds", "2", "--seeds", "2", "--json", *given(), folder=folder)
    assert result.status == 0, result.err
    return folder, result.json


def test_each_fit_is_a_run_and_all_come_to_one_summary(crossed):
    folder, said = crossed
    names = ["fold0_seed0", "fold0_seed1", "fold1_seed0", "fold1_seed1"]
    assert sorted(path.name for path in (folder / "run").iterdir() if path.is_dir()) == names
    assert said == json.loads((folder / "run/summary.json").read_text())
    assert (said["folds"], said["seeds"], said["rows"]) == (2, [0, 1], 41)
    files = [folder / "run" / name / "metrics.json" for name in names]
    each = [json.loads(file.read_text())["test"]["kind"] for file in files]
    for key, spread in said["test"]["kind"].items():
        values = [metrics[key] for metrics in each]
        assert spread["values"] == values and spread["mean"] == pytest.approx(np.mean(values))
        assert (spread["lowest"], spread["highest"]) == (min(values), max(values))
    run = pm.load(folder / "run/fold1_seed0")
    assert (run.declaration.data.fold, run.declaration.train.seed) == (1, 0)


def test_every_row_is_answered_once_a_seed_by_models_that_never_saw_it(crossed):
    folder, _ = crossed
    answers = pd.read_parquet(folder / "run/predictions.parquet")
    assert answers["row"].tolist() == [row for row in range(1, 42) for _ in (0, 1)]
    assert answers["seed"].tolist() == [0, 1] * 41
    truth = pd.read_csv(folder / "houses.csv")["kind"]
    assert (answers["kind_true"].to_numpy() == truth.to_numpy()[answers["row"] - 1]).all()
    for name in ("fold0_seed1", "fold1_seed1"):
        run = pm.load(folder / "run" / name)
        fold = run.declaration.data.fold
        own = answers[(answers["fold"] == fold) & (answers["seed"] == 1)]
        again = run.predict(pd.read_csv(folder / "houses.csv").iloc[own["row"] - 1].assign(
            photo=lambda frame: [cell if cell is np.nan or not isinstance(cell, str) else str(folder / cell)
                                 for cell in frame["photo"]]))  # fmt: skip
        assert again["kind_confidence"].tolist() == pytest.approx(own["kind_confidence"].tolist(), abs=1e-5)


def test_the_declaration_of_a_fold_repeats_its_run(crossed, tmp_path):
    folder, _ = crossed
    result = polymodal("fit", "run/fold1_seed1/run.yaml", "-o", tmp_path / "again", folder=folder)
    assert result.status == 0, result.err
    first = load_file(folder / "run/fold1_seed1/model.safetensors")
    again = load_file(tmp_path / "again/model.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_seeds_change_the_training_and_not_the_rows(tmp_path):
    write_houses(tmp_path)
    result = polymodal(*FIT, "--seeds", "3", *given(train__seed=5), folder=tmp_path)
    assert result.status == 0, result.err
    title, heads, *lines = result.out.splitlines()
    assert title.strip() == "3 fits (3 seeds), 4 test rows"
    assert heads.split() == ["metric", "mean", "lowest", "highest"]
    parts = [line.replace(" %", "").split() for line in lines]
    metrics = [line for line in parts if len(line) == 4]
    assert "accuracy" in [line[0] for line in metrics]
    assert all(float(low) <= float(mean) <= float(high) for _, mean, low, high in metrics)
    rows, weights = [], []
    for seed in (5, 6, 7):
        run = tmp_path / f"run/seed{seed}"
        rows.append(pd.read_parquet(run / "predictions.parquet")["row"].tolist())
        weights.append(load_file(run / "model.safetensors")["heads.0.out.weight"])
    assert rows[0] == rows[1] == rows[2] and not torch.equal(weights[0], weights[1])
    assert not (tmp_path / "run/predictions.parquet").exists()


def test_seeds_of_the_fold_that_is_declared(tmp_path):
    write_houses(tmp_path)
    more = given(data__folds=4, data__fold=3)
    result = polymodal(*FIT, "--seeds", "2", "--json", *more, folder=tmp_path)
    assert result.status == 0, result.err
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "fits.json",
        "seed0",
        "seed1",
        "summary.json",
    ]
    assert result.json["rows"] == 10 and result.json["folds"] is None


@pytest.mark.slow
def test_what_is_finished_is_not_fitted_again(tmp_path):
    write_houses(tmp_path)
    command = [*FIT, "--folds", "3", *given(**{"train.epochs": 2})]

    def stop(self, args, state, control, **kwargs):
        if "fold1" in args.output_dir and state.global_step == 3:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        broken = polymodal(*command, folder=tmp_path)
    assert broken.status == 130 and "--resume goes on" in broken.err
    assert not (tmp_path / "run/summary.json").exists()
    assert "holds a run already" in error(tmp_path, *command)
    finished = (tmp_path / "run/fold0/model.safetensors").stat().st_mtime_ns
    resumed = polymodal(*command, "--resume", "--json", folder=tmp_path)
    assert resumed.status == 0, resumed.err
    assert (tmp_path / "run/fold0/model.safetensors").stat().st_mtime_ns == finished
    shutil.move(tmp_path / "run", tmp_path / "resumed")
    whole = polymodal(*command, "--json", folder=tmp_path)
    assert whole.json["test"] == resumed.json["test"]
    said = error(tmp_path, *FIT, *given(**{"train.epochs": 1}), "--overwrite")
    assert said == "run: holds several runs (fits.json). Give another folder with -o"


def test_rows_that_are_in_no_fold_are_told(tmp_path):
    rows = [row | {"split": "test" if n < 6 else "train"} for n, row in enumerate(house_rows(tmp_path, 40))]
    rows.append(rows[-1] | {"kind": "castle", "id": "h40"})
    write_table(tmp_path / "houses.csv", rows)
    result = polymodal(*FIT, "--folds", "2", "--json", *given(), folder=tmp_path)
    assert result.status == 0, result.err
    told = result.json["warnings"]
    assert "6 rows are marked test in 'split', in no fold; data.split=null takes them in" in told
    assert "1 row is the only one of a class: trained on in every fold, never tested" in told
    assert result.json["rows"] == 34


def test_what_cannot_be_is_told(tmp_path):
    write_houses(tmp_path, rows=20)
    result = polymodal(*FIT, "--folds", "2", "--fusions", "concat", folder=tmp_path)
    assert result.status == 2 and "it does not go with --folds" in result.err
    assert polymodal(*FIT, "--folds", "1", folder=tmp_path).status == 2
    assert error(tmp_path, *FIT, "--folds", "30", *given()) == (
        "houses.csv: 20 rows for 30 folds. Give more rows, or fewer folds."
    )
    said = error(tmp_path, *FIT, "--folds", "2", *given(data__test="houses.csv"))
    assert said.startswith("data.test is a table, but with data.folds each fold is the test in turn")
    said = error(tmp_path, *FIT, "--set", "data.fold=1", *given())
    assert "there is no fold 1: data.folds is not given" in said
    assert not (tmp_path / "run").exists()
