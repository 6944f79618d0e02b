"""Plain models on the outputs of tuned encoders, as a user makes and uses them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.candidates import CANDIDATES
from polymodal.candidates.choosing import Choice, choose_blend
from polymodal.errors import RunError
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses

OPTIONS = ["-t", "kind", "-t", "price", "-i", "note,bedrooms", *settings()]
TUNED = ["--set", "inputs.note.encoder=bert", "--set", "inputs.note.lora.rank=2"]
OTHER = ["--set", "inputs.note.encoder=bert", "--set", "inputs.note.freeze=true"]


def _candidates(*names: str) -> list[str]:
    return ["--set", f"train.candidates=[{', '.join(names)}]"]


def _tuned_alone(*arguments: Any) -> dict[str, Choice]:
    """A blend of models on tuned features, as where they are the best."""
    tried = arguments[1]["tuned"]
    assert tried.seen_validation and not tried.out_of_fold, "the encoders know the training rows"
    chosen = choose_blend(*arguments).items()
    return {name: replace(choice, weights={tried.models[name][0]: 1.0}) for name, choice in chosen}


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of houses, and ``run``, which models on tuned features alone predict."""
    folder = tmp_path_factory.mktemp("tuned")
    write_houses(folder, rows=90)
    CHECKPOINTS["bert"].save(folder / "bert")
    every = _candidates("plain", "frozen", "fused", "tuned")
    with mock.patch("polymodal.pipelines.portfolio_fit.choose_blend", _tuned_alone):
        made = polymodal("fit", "houses.csv", *OPTIONS, *TUNED, *every, "-o", "run", folder=folder)
    assert made.status == 0, made.err
    return folder


def test_models_on_tuned_features_are_listed_beside_those_on_features_as_they_came(tuned: Path) -> None:
    board = json.loads((tuned / "run" / "metrics.json").read_text())["candidates"]["models"]
    assert {"plain.linear", "frozen.linear", "fused", "tuned.linear"} <= set(board)


def test_a_loaded_run_answers_the_same_and_holds_the_encoder_once(tuned: Path) -> None:
    run, kept = pm.load(tuned / "run"), pd.read_parquet(tuned / "run" / "predictions.parquet")
    answers = run.predict(tuned / "houses.csv").iloc[kept["row"].to_numpy() - 1]
    np.testing.assert_allclose(answers["kind_confidence"], kept["kind_confidence"], atol=1e-5)
    np.testing.assert_allclose(answers["price"], kept["price"], rtol=1e-5)
    assert not list((tuned / "run" / "candidates" / "tuned").rglob("*.safetensors*"))
    assert run.model.members["tuned"].encoders is run.model.members["fused"].model.model
    assert run.model.shared["note"] == ("fused", "tuned")


def test_its_features_are_the_mean_output_of_the_tuned_encoder(tuned: Path) -> None:
    run = pm.load(tuned / "run")
    batch = run.processor([{"note": "garden garage"}, {"bedrooms": 3}])
    with torch.no_grad():
        cells = run.model.embed(batch["index"], batch["inputs"])["note"].parts["tuned"]
        note = batch["inputs"]["note"]
        model = run.model.members["fused"].model.model
        tokens, _ = model.encode(batch["index"], {"note": {"row": note["row"], **note["fused"]}})
    expected = tokens["note"].tokens[0][tokens["note"].mask[0]].mean(dim=0)
    (block,) = cells.features().values()
    np.testing.assert_allclose(block.values[0], expected.numpy(), atol=1e-5)
    assert block.present.tolist() == [True, False] and np.isnan(block.values[1]).all()


def test_merged_adapters_answer_alike_and_can_be_saved(tuned: Path, tmp_path: Path) -> None:
    run, rows = pm.load(tuned / "run"), pd.read_csv(tuned / "houses.csv").head(8)
    before = run.predict(rows)["price"]
    pm.merge_lora(run.model)
    run.save(tmp_path / "merged")
    for merged in (run, pm.load(tmp_path / "merged")):
        np.testing.assert_allclose(merged.predict(rows)["price"], before, rtol=1e-3)


@pytest.mark.slow
def test_report_and_evaluation_use_it(tuned: Path) -> None:
    for command in (["evaluate", "run", "houses.csv"], ["report", "run", "houses.csv", "-o", "pages"]):
        assert polymodal(*command, folder=tuned).status == 0


@pytest.mark.parametrize(
    "names, encoder, reason",
    [
        (("plain", "tuned"), TUNED, "it takes parts of 'fused', fitted before it"),
        (("plain", "fused", "tuned"), OTHER, "no input is read by a pretrained encoder that is tuned"),
    ],
)
def test_without_a_tuned_encoder_it_is_left_out(
    tuned: Path, names: tuple[str, ...], encoder: list[str], reason: str
) -> None:
    short = ["--set", "train.epochs=1", "--set", "report.write=false", "--overwrite"]
    made = polymodal(
        "fit", "houses.csv", *OPTIONS, *encoder, *_candidates(*names), *short, "-o", "bare", folder=tuned
    )
    assert made.status == 0 and f"the candidate 'tuned' is left out: {reason}" in made.out + made.err


def test_without_its_neural_model_it_is_refused(tuned: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned / "run", tmp_path / "run")
    folder = tmp_path / "run" / "candidates"
    with pytest.raises(RunError, match="the blend lacks 'fused'"):
        CANDIDATES["tuned"].load_beside(folder / "tuned", ["note", "bedrooms"], {})
    (tmp_path / "run" / "checksums.json").unlink()
    shutil.rmtree(folder / "fused")
    with pytest.raises(RunError):
        pm.load(tmp_path / "run")


@pytest.mark.usefixtures("default_fit")
def test_it_is_tried_by_default_where_an_encoder_is_tuned(tuned: Path) -> None:
    short = ["train.epochs=1", "fusion.width=16", "report.write=false"]
    encoder = [f"inputs.note.encoder={tuned / 'bert'}", "train.encoders=scratch"]
    run = pm.fit(
        tuned / "houses.csv",
        target="kind",
        inputs=["note"],
        output=tuned / "default",
        settings=[*encoder, *short],
    )
    assert run.declaration.train.candidates == ["plain", "frozen", "fused", "tuned"]
