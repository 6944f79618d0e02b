"""Plain models on the outputs of frozen encoders, as a user makes and uses them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.artifact.shared_weights import restore_weights
from polymodal.candidates import CANDIDATES, frozen
from polymodal.candidates.frozen import FrozenCandidate
from polymodal.config import Declaration
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.data.readers.joint_reader import joint_readers
from polymodal.errors import RunError
from polymodal.models.blend import BlendConfig, BlendedModel
from polymodal.models.encoders import TextEncoder
from polymodal.models.outputs import TokenSequence
from polymodal.utils.deadline import Deadline, OutOfTime
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses

TARGETS = ["-t", "kind", "-i", "photo,note,bedrooms"]
FROZEN = ["--set", "inputs.note.encoder=bert", "--set", "inputs.note.freeze=true"]
EVERY = ["--set", "train.candidates=[plain, frozen, fused]"]


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of houses, and ``run`` of all candidates with a frozen encoder of the notes."""
    folder = tmp_path_factory.mktemp("encoded")
    write_houses(folder)
    CHECKPOINTS["bert"].save(folder / "bert")
    options = [*TARGETS, *settings("photo", train__epochs=2), *FROZEN]
    whole, items = TextEncoder.forward, list[int]()

    def counted(self: TextEncoder, *, row: torch.Tensor, **values: torch.Tensor) -> TokenSequence:
        items.append(len(row))
        return whole(self, row=row, **values)

    with mock.patch.object(TextEncoder, "forward", counted):
        made = polymodal("fit", "houses.csv", *options, *EVERY, "-o", "run", folder=folder)
    assert made.status == 0, made.err
    (folder / "encoded.json").write_text(json.dumps(items))
    (folder / "printed.txt").write_text(made.out, encoding="utf-8")
    alone = ["--set", "train.candidates=[frozen]"]
    made = polymodal("fit", "houses.csv", *options, *alone, "-o", "alone", folder=folder)
    assert made.status == 0, made.err
    shutil.rmtree(folder / "bert")  # a run holds its encoders
    return folder


def test_models_on_frozen_features_are_tried_and_listed(encoded: Path) -> None:
    board = json.loads((encoded / "run" / "metrics.json").read_text())["candidates"]["models"]
    assert {"plain.linear", "frozen.linear", "frozen.boosting", "fused"} <= set(board)
    assert "frozen.linear" in (encoded / "printed.txt").read_text()


def test_an_encoder_runs_once_per_cell_for_all_candidates_and_for_the_blend(encoded: Path) -> None:
    notes = pd.read_csv(encoded / "houses.csv")["note"].dropna()
    kept = json.loads((encoded / "run" / "samples" / "rows.json").read_text())["rows"]
    assert sum(json.loads((encoded / "encoded.json").read_text())) == notes.nunique() + len(kept)


@pytest.mark.parametrize("name", ["alone", "run"])
def test_a_loaded_run_answers_the_same(encoded: Path, name: str) -> None:
    """The fit answered the test rows by what it had kept of its encoders, the loaded run by these."""
    run, kept = pm.load(encoded / name), pd.read_parquet(encoded / name / "predictions.parquet")
    answers = run.predict(encoded / "houses.csv").iloc[kept["row"].to_numpy() - 1]
    assert answers["kind"].tolist() == kept["kind"].tolist()
    np.testing.assert_allclose(answers["kind_confidence"], kept["kind_confidence"], atol=1e-5)


def test_its_features_are_the_mean_output_of_the_encoder(encoded: Path) -> None:
    run = pm.load(encoded / "alone")
    member = run.model.members["frozen"]
    batch = run.processor([{"note": "garden garage"}, {"bedrooms": 3}])
    with torch.no_grad():
        cells = run.model.embed(batch["index"], batch["inputs"])["note"].parts["frozen"]
        note = batch["inputs"]["note"]
        tokens, _ = member.encoders.encode(batch["index"], {"note": {"row": note["row"], **note["frozen"]}})
    expected = tokens["note"].tokens[0][tokens["note"].mask[0]].mean(dim=0)
    (block,) = cells.features().values()
    np.testing.assert_allclose(block.values[0], expected.numpy(), atol=1e-5)
    assert block.present.tolist() == [True, False] and np.isnan(block.values[1]).all()


def test_rows_do_not_depend_on_their_neighbours(encoded: Path) -> None:
    run, rows = pm.load(encoded / "run"), pd.read_csv(encoded / "houses.csv").head(6)
    rows = rows.assign(
        photo=[None if not isinstance(cell, str) else str(encoded / cell) for cell in rows["photo"]]
    )
    whole = run.predict(rows, probabilities=True)
    single = pd.concat([run.predict(rows.iloc[[number]], probabilities=True) for number in range(6)])
    columns = [name for name in whole if name.startswith("kind_")]
    np.testing.assert_allclose(whole[columns], single[columns], atol=1e-4)


@pytest.mark.slow
def test_report_importance_and_evaluation_use_it(encoded: Path) -> None:
    for command in (["evaluate", "alone", "houses.csv"], ["report", "alone", "houses.csv", "-o", "pages"]):
        assert polymodal(*command, folder=encoded).status == 0


def test_without_a_frozen_encoder_it_is_left_out(encoded: Path) -> None:
    options = ["-t", "kind", "-i", "bedrooms", *settings(), "--set", "train.candidates=[plain, frozen]"]
    made = polymodal("fit", "houses.csv", *options, "-o", "bare", folder=encoded)
    reason = "the candidate 'frozen' is left out: no input is read by a pretrained encoder"
    assert made.status == 0 and reason in made.out + made.err


@pytest.mark.usefixtures("default_fit")
def test_it_is_tried_by_default_where_there_is_a_frozen_encoder(tmp_path: Path) -> None:
    write_houses(tmp_path)
    CHECKPOINTS["bert"].save(tmp_path / "bert")
    frozen = [f"inputs.note.encoder={tmp_path / 'bert'}", "inputs.note.freeze=true", "train.encoders=scratch"]
    short = ["train.epochs=1", "fusion.width=16", "report.write=false"]
    run = pm.fit(
        tmp_path / "houses.csv",
        target="kind",
        inputs=["note"],
        output=tmp_path / "run",
        settings=[*frozen, *short],
    )
    assert run.declaration.train.candidates == ["plain", "frozen", "fused"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "processor_config.json"])
def test_damaged_encoders_are_refused(encoded: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(encoded / "alone", tmp_path / "run")
    (tmp_path / "run" / "checksums.json").unlink()
    (tmp_path / "run" / "candidates" / "frozen" / "encoders" / name).write_text("{}")
    with pytest.raises(RunError):
        pm.load(tmp_path / "run")


def test_where_nothing_else_is_tried_that_is_the_error(encoded: Path) -> None:
    options = ["-t", "kind", "-i", "bedrooms", *settings(), "--set", "train.candidates=[frozen]"]
    made = polymodal("fit", "houses.csv", *options, "-o", "none", folder=encoded)
    reason = "no candidate can be fitted (frozen: no input is read by a pretrained encoder)"
    assert made.status == 1 and made.errors == [reason]


def test_candidates_with_equal_encoders_run_them_once(encoded: Path) -> None:
    run, inputs = pm.load(encoded / "run"), ["photo", "note", "bedrooms"]
    folder = encoded / "run" / "candidates"
    loaded = {name: CANDIDATES[name].load(folder / name, inputs) for name in ("fused", "frozen")}
    members, weights = {name: member for name, (member, _) in loaded.items()}, {"kind": {"fused": 1.0}}
    blend = BlendedModel(BlendConfig(inputs, ["kind"]), members, weights, {"kind": run.model.head("kind")})
    blend.eval()
    readers = joint_readers({name: own for name, (_, own) in loaded.items()}, inputs)
    note = readers["note"].collate([readers["note"].read("garden garage", encoded)])
    assert note["fused"] is note["frozen"] and blend.shared == {
        "photo": (),
        "note": ("fused", "frozen"),
        "bedrooms": (),
    }
    index, values = torch.arange(2), {"note": {"row": torch.tensor([1]), **note}}
    runs: list[torch.nn.Module] = []
    for member in members.values():
        encoder = member.encoder("note")
        assert encoder is not None
        encoder.register_forward_pre_hook(lambda module, _: runs.append(module))
    with torch.no_grad():
        once = blend.answers(blend.embed(index, values))["kind"]
        assert len(runs) == 1
        blend.shared = {}
        twice = blend.answers(blend.embed(index, values))["kind"]
        assert len(runs) == 3
    for name, answers in once.items():
        np.testing.assert_allclose(answers, twice[name], atol=1e-6)


@pytest.mark.parametrize(
    ("candidates", "freeze", "common"),
    [(["frozen", "fused"], True, True), (["frozen"], True, False), (["frozen", "fused"], False, False)],
)
def test_encoding_that_the_neural_model_takes_over_has_the_time_of_both(candidates, freeze, common) -> None:
    inputs = {"note": {"modality": "text", "encoder": "bert", "freeze": freeze}}
    declaration = Declaration.model_validate({"inputs": inputs, "train": {"candidates": candidates}})
    job: Any = SimpleNamespace(declaration=declaration, deadline=Deadline.start(60))
    candidate = FrozenCandidate(job, Path())
    candidate.deadline = candidate.whole.share(2)
    assert candidate._encoding(["note"]) is (candidate.whole if common else candidate.deadline)


def test_an_encoder_that_is_too_slow_for_the_time_limit_is_left_out_and_the_others_stay(
    tmp_path: Path,
) -> None:
    write_houses(tmp_path)
    for name in ("bert", "vit"):
        CHECKPOINTS[name].save(tmp_path / name)
    fill, message = frozen.fill_cache, "encoding 'photo' takes about 3m, and 2m are left of the time limit"

    def slow_for_photos(reader: FrozenReader, cells: Any, cache: Any, listed: str, **options: Any) -> bool:
        if listed == "'photo'":
            raise OutOfTime(message, 200)
        return fill(reader, cells, cache, listed, **options)

    photo = ["--set", "inputs.photo.encoder=vit", "--set", "inputs.photo.freeze=true"]
    options = [*TARGETS, *settings(), *FROZEN, *photo, "--set", "train.candidates=[frozen]"]
    with mock.patch.object(frozen, "fill_cache", slow_for_photos):
        made = polymodal("fit", "houses.csv", *options, "-o", "run", folder=tmp_path)
    assert made.status == 0, made.err
    line = f"candidate 'frozen': 'photo' read without the pretrained encoder: {message}"
    assert line in made.out + made.err
    run, kept = pm.load(tmp_path / "run"), pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    assert list(run.model.members["frozen"].encoders.encoder_of) == ["note"]
    answers = run.predict(tmp_path / "houses.csv").iloc[kept["row"].to_numpy() - 1]
    np.testing.assert_allclose(answers["kind_confidence"], kept["kind_confidence"], atol=1e-5)


def test_an_encoder_is_stored_once_and_the_run_can_be_moved_copied_and_saved(
    encoded: Path, tmp_path: Path
) -> None:
    shared = Path("candidates/frozen/encoders/shared.json")
    listed = json.loads((encoded / "run" / shared).read_text())["tensors"]
    assert listed and {file for file, _ in listed.values()} == {"fused/model.safetensors"}
    small = (encoded / "run" / shared).with_name("model.safetensors").stat().st_size
    assert small < (encoded / "alone" / shared).with_name("model.safetensors").stat().st_size / 2
    assert shared.as_posix() in json.loads((encoded / "run" / "checksums.json").read_text())["sha256"]
    archive = shutil.make_archive(str(tmp_path / "run"), "zip", encoded / "run")
    shutil.unpack_archive(archive, tmp_path / "elsewhere" / "of it")
    table = encoded / "houses.csv"
    run, moved = pm.load(encoded / "run"), pm.load(tmp_path / "elsewhere" / "of it")
    pd.testing.assert_frame_equal(moved.predict(table), run.predict(table))
    moved.save(tmp_path / "saved")
    assert (tmp_path / "saved" / shared).is_file()
    pd.testing.assert_frame_equal(pm.load(tmp_path / "saved").predict(table), run.predict(table))


def test_a_run_with_every_encoder_twice_is_read_as_before(encoded: Path, tmp_path: Path) -> None:
    shutil.copytree(encoded / "run", tmp_path / "earlier")
    restore_weights(tmp_path / "earlier" / "candidates")
    (tmp_path / "earlier" / "checksums.json").unlink()
    run, table = pm.load(encoded / "run"), encoded / "houses.csv"
    pd.testing.assert_frame_equal(pm.load(tmp_path / "earlier").predict(table), run.predict(table))
