"""The folder of a blend: nothing of the user's is lost, no two runs are mixed, damage is one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.candidates.choosing import Choice
from polymodal.plain.features import FEATURIZERS
from polymodal.plain.learners import kernel
from polymodal.plain.model import PlainModel
from tests.support.command import errors, polymodal, settings
from tests.support.tables import write_houses

PLAIN = {"train__candidates": "[plain]"}
BOTH = {"train__candidates": "[plain, fused]"}
ROWS = [{"bedrooms": 2, "note": "garden garage"}, {"bedrooms": 5, "note": "bright balcony"}]


def fit(folder: Path, output: str, *options: str, target: str = "kind", **more: object) -> None:
    """Fit the table of houses by note and bedrooms, without a report."""
    words = [
        "fit",
        "houses.csv",
        "-t",
        target,
        "-i",
        "note,bedrooms",
        "-o",
        output,
        *settings(**more),
        *options,
    ]
    made = polymodal(*words, folder=folder)
    assert made.status == 0, made.err


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table, and runs ``plain``, ``both`` and ``neural`` of it."""
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder)
    fit(folder, "plain", **PLAIN)
    fit(folder, "both", **BOTH)
    fit(folder, "neural")
    return folder


@pytest.fixture
def copied(houses: Path, tmp_path: Path) -> Path:
    """A copy of the folder."""
    return shutil.copytree(houses, tmp_path / "houses")


def change(path: Path, **values: object) -> None:
    """Change keys of a JSON file, without the checksums that would tell."""
    (path.parents[0] / "checksums.json").unlink(missing_ok=True)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def test_a_folder_of_the_user_is_kept(copied: Path) -> None:
    own = copied / "out" / "candidates" / "photo.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    fit(copied, "out")
    fit(copied, "out", "--overwrite", **PLAIN)
    fit(copied, "out", "--overwrite")
    assert own.read_bytes() == b"mine" and not (own.parent / "plain").exists()
    (own.parent / "plain").mkdir()
    words = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms", "-o", "out", *settings(**PLAIN)]
    found = errors(copied, *words, "--overwrite")
    assert found == ["out/candidates/plain: is there and of no run. Give another folder with -o"]


def test_a_model_without_a_share_is_kept_out(copied: Path) -> None:
    choice = Choice(weights={"fused": 1.0}, reason="clear", losses={}, loss=None, rows=4)
    with mock.patch("polymodal.pipelines.portfolio_fit.choose_blend", return_value={"kind": choice}):
        fit(copied, "clear", **BOTH)
    run, neural = pm.load(copied / "clear"), pm.load(copied / "clear" / "candidates" / "fused")
    assert list(run.model.members) == ["fused"]
    assert list(run.predict(ROWS)["kind"]) == list(neural.predict(ROWS)["kind"])


def test_a_learner_that_cannot_be_fitted_again_stays_as_it_was(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "MOST_ROWS", 33)  # of 32 training rows, and 4 for validation
    fit(copied, "again", target="price", **PLAIN)
    results = json.loads((copied / "again" / "metrics.json").read_text(encoding="utf-8"))
    assert any(
        "plain models are those of the training rows: kernel of price" in note for note in results["notes"]
    )
    assert "fitted_again" not in results["candidates"]
    assert np.isfinite(pm.load(copied / "again").predict(ROWS)["price"]).all()


def test_without_test_rows_nothing_is_fitted_to_the_rows_of_the_report(copied: Path) -> None:
    fitted: list[int] = []
    inner = PlainModel.fit

    def spy(self: PlainModel, contents: dict, *given: object, **named: object) -> PlainModel:
        fitted.append(len(next(iter(contents.values()))))
        return inner(self, contents, *given, **named)  # type: ignore[arg-type]

    with mock.patch.object(PlainModel, "fit", spy):
        fit(copied, "untested", data__test=0, data__validation=0.2, **PLAIN)
    assert fitted == [32]


def test_the_run_that_is_started_from_is_never_written_over(copied: Path) -> None:
    before = (copied / "both" / "blend.json").read_bytes()
    words = [
        "fit",
        "houses.csv",
        "-t",
        "kind",
        "-i",
        "note,bedrooms",
        "--from",
        "both",
        "-o",
        "both",
        "--overwrite",
    ]
    found = errors(copied, *words, *settings(**BOTH))
    assert "holds the run to start from" in found[0]
    assert (copied / "both" / "blend.json").read_bytes() == before


def test_runs_saved_over_each_other_are_not_mixed(copied: Path) -> None:
    plain, neural = pm.load(copied / "plain"), pm.load(copied / "neural")
    neural.save(copied / "both")
    assert not (copied / "both" / "candidates").exists()
    pd.testing.assert_frame_equal(pm.load(copied / "both").predict(ROWS), neural.predict(ROWS))
    plain.save(copied / "both")
    pd.testing.assert_frame_equal(pm.load(copied / "both").predict(ROWS), plain.predict(ROWS))
    with pytest.raises(pm.PolymodalError, match="fitted without the neural model"):
        pm.load(copied / "both").embed(ROWS)


def test_a_blend_in_the_cache_of_the_hub_is_loaded(copied: Path) -> None:
    blobs, snapshot = copied / "models--x" / "blobs", copied / "models--x" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    for number, path in enumerate(sorted(path for path in (copied / "both").rglob("*") if path.is_file())):
        link = snapshot / path.relative_to(copied / "both")
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, blobs / str(number))
        link.symlink_to(blobs / str(number))
    expected = pm.load(copied / "both").predict(ROWS)
    pd.testing.assert_frame_equal(pm.load(snapshot).predict(ROWS), expected)


def head(classes: object) -> dict:
    """The heads of a blend with such classes."""
    return {"kind": {"task": "classification", "classes": classes}}


LOGARITHMS = {"format": 1, "heads": {"price": {"task": "regression", "transform": "log"}}}
ENDLESS = {"modality": "text", "items": float("inf"), "settings": {}}


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("both/blend.json", {"heads": head(["house", "flat"])}, "other classes"),
        ("both/blend.json", {"heads": head(10**8)}, "other classes"),
        ("both/blend.json", LOGARITHMS, "an earlier version averaged the logarithms"),
        ("both/blend.json", {"weights": {"kind": {"plain.absent": 1.0}}}, "blends 'plain.absent' for 'kind'"),
        ("plain/candidates/plain/readers.json", {"note": ENDLESS}, "'items' is no count"),
    ],
)  # fmt: skip
def test_damage_is_one_line(copied: Path, file: str, values: dict, message: str) -> None:
    run = copied / file.partition("/")[0]
    (run / "checksums.json").unlink()
    change(copied / file, **values)
    with pytest.raises(pm.PolymodalError, match=message) as raised:
        pm.load(run)
    assert "\n" not in str(raised.value)


def test_an_input_that_the_readers_lack_is_refused(copied: Path) -> None:
    (copied / "plain" / "checksums.json").unlink()
    path = copied / "plain" / "candidates" / "plain" / "readers.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["note"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(pm.PolymodalError, match="are of different models"):
        pm.load(copied / "plain")


def test_an_input_that_no_candidate_reads_is_named(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FEATURIZERS._entries, "text")
    words = ["fit", "houses.csv", "-t", "kind", "-i", "note,bedrooms", "-o", "unread", *settings(**PLAIN)]
    made = polymodal(*words, folder=copied)
    fix = "Add 'fused' to train.candidates, or leave it out"
    assert made.status == 1 and made.errors == [f"no candidate (plain) reads 'note': text. {fix}"]
