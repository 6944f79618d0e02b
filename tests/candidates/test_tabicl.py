"""The candidate tabicl with random weights of its own class, as a user makes and uses it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import HfApi, constants

import polymodal as pm
from polymodal.candidates import in_context
from polymodal.candidates.in_context import InContextLearner
from polymodal.candidates.in_context_weights import (
    CHECKPOINTS,
    checkpoint_path,
    fetched_checkpoint,
    load_checkpoint,
)
from polymodal.errors import ConfigError, PolymodalError, RunError
from polymodal.plain.learners import Goal
from polymodal.utils import hub_files
from polymodal.utils.deadline import Deadline
from tests.plain.learners.test_learners import blocks_of, check, goal_of, removed
from tests.support.checkpoints import CHECKPOINTS as ENCODERS
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

pytest.importorskip("tabicl")

TINY = {
    "embed_dim": 8, "col_num_blocks": 1, "col_nhead": 2, "col_num_inds": 4, "row_num_blocks": 1,
    "row_nhead": 2, "row_num_cls": 2, "icl_num_blocks": 1, "icl_nhead": 2, "num_quantiles": 9,
    "zero_init": False,
}  # fmt: skip
BOTH = ["-t", "kind", "-t", "price", "-i", "note,bedrooms,district"]
ENCODED = ["--set", "inputs.note.encoder=bert", "--set", "inputs.note.freeze=true"]
ALONE = ["--set", "train.candidates=[tabicl]"]


def write_weights(folder: Path) -> None:
    """Checkpoints as the package's authors offer them, of a tiny configuration."""
    from tabicl._model.tabicl import TabICL

    folder.mkdir(parents=True)
    for kind, file in CHECKPOINTS.items():
        torch.manual_seed(0)
        config = TINY | {"max_classes": 4 if kind == "classes" else 0}
        torch.save({"config": config, "state_dict": TabICL(**config).state_dict()}, folder / file)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with weights of TabICL."""
    folder = tmp_path_factory.mktemp("models")
    write_weights(folder / "tabicl")
    return folder


@pytest.fixture
def weights(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, named by its variable."""
    monkeypatch.setenv("POLYMODAL_MODELS", str(models))
    return models


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("POLYMODAL_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def houses(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of houses, ``run`` beside the neural model, ``alone`` over a frozen encoder of the notes."""
    folder = tmp_path_factory.mktemp("in_context")
    write_houses(folder)
    ENCODERS["bert"].save(folder / "bert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMODAL_MODELS", str(models))
        patch.setattr(in_context, "VIEWS", (2, 1))
        scratch = ["--set", "train.encoders=scratch"]
        tried = ["--set", "train.candidates=[tabicl, fused]"]
        made = polymodal(
            "fit", "houses.csv", *BOTH, *settings(), *scratch, *tried, "-o", "run", folder=folder
        )
        assert made.status == 0, made.err
        (folder / "printed.txt").write_text(made.out, encoding="utf-8")
        made = polymodal(
            "fit", "houses.csv", *BOTH, *settings(), *ENCODED, *ALONE, "-o", "alone", folder=folder
        )
        assert made.status == 0, made.err
    shutil.rmtree(folder / "bert")  # a run holds encoders and weights
    return folder


def refused(folder: Path, *options: str, targets: list[str] = BOTH) -> str:
    """What a fit of this candidate alone prints as its error."""
    made = polymodal(
        "fit", "houses.csv", *targets, *settings(), *ALONE, *options, "-o", "none", folder=folder
    )
    assert made.status == 1 and len(made.errors) == 1
    return made.errors[0]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_houses(tmp_path)
    return tmp_path


def test_a_server_of_a_run_that_needs_the_package_names_it(
    houses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules, "tabicl"]:
        if name.partition(".")[0] == "tabicl":
            monkeypatch.setitem(sys.modules, name, None)  # as Python does where there is none
    line = error(houses, "serve", "alone", "--port", "0")
    assert line.startswith("alone") and line.endswith(': pip install "polymodal[tabicl]"')


def test_it_is_listed_beside_the_others(houses: Path) -> None:
    board = json.loads((houses / "run" / "metrics.json").read_text())["candidates"]["models"]
    assert set(board) == {"tabicl", "fused"}
    assert "tabicl" in (houses / "printed.txt").read_text()


@pytest.mark.usefixtures("no_weights")
def test_a_loaded_run_answers_the_same_without_the_folder_of_models(houses: Path) -> None:
    run, kept = pm.load(houses / "alone"), pd.read_parquet(houses / "alone" / "predictions.parquet")
    answers = run.predict(houses / "houses.csv").iloc[kept["row"].to_numpy() - 1]
    assert answers["kind"].tolist() == kept["kind"].tolist()
    np.testing.assert_allclose(answers["kind_confidence"], kept["kind_confidence"], atol=1e-5)
    np.testing.assert_allclose(answers["price"], kept["price"], rtol=1e-4)


def test_its_context_is_that_of_training_and_validation_rows(houses: Path) -> None:
    folder = houses / "alone" / "candidates" / "tabicl"
    with np.load(folder / "target0" / "tabicl" / "part0" / "arrays.npz") as context:
        assert len(context["features"]) == len(context["answers"]) == 36
        assert np.isfinite(context["features"]).all()
    endings = {path.suffix for path in (houses / "alone").rglob("*") if path.is_file()}
    assert not endings & {".ckpt", ".pkl", ".pt", ".bin"}
    assert (folder / "classifier" / "model.safetensors").is_file() and (folder / "encoders").is_dir()


def test_rows_do_not_depend_on_their_neighbours(houses: Path) -> None:
    run, rows = pm.load(houses / "alone"), pd.read_csv(houses / "houses.csv").head(5)
    rows = rows[["note", "bedrooms", "district"]]
    rows.loc[0, ["note", "district"]] = None
    rows.loc[1, "bedrooms"] = 10**6
    whole = run.predict(rows, probabilities=True)
    single = pd.concat([run.predict(rows.iloc[[number]], probabilities=True) for number in range(5)])
    columns = ["kind_probability_flat", "kind_probability_house"]
    np.testing.assert_allclose(whole[columns], single[columns], atol=1e-5)
    np.testing.assert_allclose(whole["price"], single["price"], rtol=1e-4)


@pytest.mark.slow
def test_evaluation_report_and_explanations_use_it(houses: Path) -> None:
    table = str(houses / "houses.csv")
    assert polymodal("evaluate", "alone", table, folder=houses).status == 0
    assert polymodal("report", "alone", table, "-o", "pages", folder=houses).status == 0
    assert len(pm.load(houses / "alone").explain(table, rows=[1], targets="price"))


@pytest.mark.usefixtures("no_weights")
def test_offline_without_weights_a_line_says_how_to_get_them(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: pytest.fail("a request was sent"))
    options = [
        "--set",
        "train.candidates=[plain, tabicl]",
        "--preset",
        "fast",
        "-t",
        "kind",
        "-i",
        "bedrooms",
    ]
    made = polymodal("fit", "houses.csv", *options, *settings(), "-o", "run", folder=table)
    line = (
        "the candidate 'tabicl' is left out: its weights are not on this machine: hf download jingang/TabICL "
        "tabicl-classifier-v2-20260212.ckpt, or put this file into $POLYMODAL_MODELS/tabicl"
    )
    assert made.status == 0 and line in made.err


def test_without_the_package_a_line_says_how_to_install_it(
    weights: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tabicl._model.tabicl", None)  # as Python does where there is none
    assert 'pip install "polymodal[tabicl]"' in refused(table)


def test_a_run_without_the_package_is_one_line(houses: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tabicl._model.tabicl", None)
    with pytest.raises(RunError, match=r'pip install "polymodal\[tabicl\]"'):
        pm.load(houses / "alone")


@pytest.mark.usefixtures("no_weights")
def test_weights_are_downloaded_their_size_printed_before(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, printed = CHECKPOINTS["classes"], []
    files = [SimpleNamespace(rfilename=file, size=110_000_000), SimpleNamespace(rfilename="a.ckpt", size=1)]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: SimpleNamespace(siblings=files))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, file: str(models / "tabicl" / file))
    hub_files._hub_is_silent.cache_clear()
    assert checkpoint_path("classes") is None
    assert fetched_checkpoint("classes", printed.append) == models / "tabicl" / file
    assert printed == ["downloading jingang/TabICL: 110 MB (BSD-3-Clause); HF_HUB_OFFLINE=1 forbids it"]
    assert fetched_checkpoint("numbers", printed.append) is None


@pytest.mark.usefixtures("weights")
def test_private_runs_and_other_tasks_leave_it_out(table: Path) -> None:
    private = ["--set", "data.private=true", "--set", "data.private_rows=2"]
    assert "with data.private: it keeps the features of the training rows" in refused(table, *private)


@pytest.mark.slow
def test_weights_of_one_kind_leave_out_the_targets_of_the_other(
    models: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (table / "some" / "tabicl").mkdir(parents=True)
    shutil.copy(models / "tabicl" / CHECKPOINTS["classes"], table / "some" / "tabicl")
    monkeypatch.setenv("POLYMODAL_MODELS", str(table / "some"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(table / "hub"))
    tried = ["--set", "train.candidates=[tabicl, fused]", "--set", "train.encoders=scratch"]
    made = polymodal("fit", "houses.csv", *BOTH, *settings(), *tried, "-o", "run", folder=table)
    notes = json.loads((table / "run" / "metrics.json").read_text())["notes"]
    assert made.status == 0
    assert any("tabicl of price is left out: its weights are not on this machine" in note for note in notes)


@pytest.mark.parametrize("kind", ["classes", "ordered", "numbers"])
def test_the_learner_answers_every_kind_and_missing_inputs(kind: str, models: Path, tmp_path: Path) -> None:
    blocks = blocks_of()
    goal, learner = goal_of(kind, blocks), learner_of(models)
    assert not learner.can_fit(goal, blocks)
    learner.fit(blocks, goal, seed=0)
    check(goal, learner.predict(blocks))
    without = removed(removed(blocks, "size"), "note/words")
    check(goal, learner.predict(without))
    learner.save(tmp_path / "saved")
    again = InContextLearner.load(tmp_path / "saved")
    again.networks = learner.networks
    np.testing.assert_allclose(again.predict(without), learner.predict(without), rtol=1e-5)


def learner_of(models: Path) -> InContextLearner:
    """A learner with the networks of the folder of models."""
    files = {kind: models / "tabicl" / file for kind, file in CHECKPOINTS.items()}
    return InContextLearner({kind: load_checkpoint(path, kind) for kind, path in files.items()})


def test_balanced_classes_weigh_the_same(models: Path) -> None:
    blocks = blocks_of()
    rare = Goal("classes", (np.arange(len(blocks["size"])) % 10 == 0).astype(np.int64), 2)
    balanced = Goal("classes", rare.values, 2, balanced=True)
    usual, other = (learner_of(models).fit(blocks, goal, seed=0).predict(blocks) for goal in (rare, balanced))
    np.testing.assert_allclose(other[:, 1] / other[:, 0], 9 * usual[:, 1] / usual[:, 0], rtol=1e-3)


def test_what_a_context_cannot_hold_is_one_line(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, learner = blocks_of(), learner_of(models)
    rows = len(blocks["size"])
    many = Goal("classes", np.arange(rows) % 7, 7)
    assert learner.can_fit(many, blocks) == "7 classes, at most 4 that its weights know"
    weighted = Goal("numbers", np.arange(rows, dtype=float), 1, weights=np.arange(rows, dtype=float))
    assert learner.can_fit(weighted, blocks) == "row weights, which a context has not"
    assert learner.can_fit(goal_of("labels", blocks), blocks) == "several labels, expected classes or numbers"
    monkeypatch.setattr(in_context, "MOST_COLUMNS", 10)
    assert learner.can_fit(goal_of("classes", blocks), blocks) == "17 columns of features, expected 1 to 10"
    monkeypatch.setattr(in_context, "MOST_ROWS", 10)
    line = f"{rows} rows, at most 10 in a context"
    assert learner.can_fit(goal_of("classes", blocks), blocks) == line


def test_little_time_reads_fewer_views_or_none(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(np.arange(0, 1000, 1.0))
    blocks, learner = blocks_of(), learner_of(models)
    learner.deadline = Deadline.start(60.0, clock=lambda: float(next(now)))  # each look takes a second
    monkeypatch.setattr(in_context, "PROBE", 16)
    learner.fit(blocks, goal_of("classes", blocks), seed=0)
    model = learner.fitted.parts[0].model if learner.fitted else None
    assert model is not None and 1 <= model.views < 8 and learner.hurried
    learner.deadline = Deadline.start(3.0, clock=lambda: float(next(now)))
    with pytest.raises(PolymodalError, match="reading the context takes about"):
        learner.fit(blocks, goal_of("classes", blocks), seed=0)


class Harm:
    """Pickled, it runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("content", ["harm", "text", "other", "large"])
def test_weights_that_are_none_are_refused(
    content: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / CHECKPOINTS["classes"]
    config = TINY | {"max_classes": 4, "embed_dim": 8 if content != "large" else 10**9}
    if content == "text":
        path.write_text("no weights")
    else:
        torch.save({"config": config, "state_dict": Harm() if content == "harm" else {}}, path)
    with pytest.raises(ConfigError, match=path.name):
        load_checkpoint(path, "classes")
    with pytest.raises(ConfigError, match="no network for numbers"):
        load_checkpoint(models / "tabicl" / CHECKPOINTS["classes"], "numbers")
    assert not (tmp_path / "harmed").exists()


DAMAGES = {
    "classifier/config.json": '{"embed_dim": 16, "max_classes": 4}',
    "classifier/model.safetensors": "{}",
    "regressor/config.json": "[]",
    "target0/tabicl/part0/arrays.npz": "",
    "target0/tabicl/part0/settings.json": '{"views": 0, "seed": 0}',
    "target1/tabicl/arrays.npz": "",
    "settings.json": "{}",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_refused(houses: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(houses / "alone", tmp_path / "run")
    (tmp_path / "run" / "checksums.json").unlink()
    (tmp_path / "run" / "candidates" / "tabicl" / name).write_text(DAMAGES[name])
    with pytest.raises(RunError):
        pm.load(tmp_path / "run")
