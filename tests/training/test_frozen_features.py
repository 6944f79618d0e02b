"""A frozen encoder runs once a cell, and nothing but the time shows it."""

import json
from unittest import mock

import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.data.readers.audio import LENGTH_STEP
from polymodal.models.encoders import AudioEncoder, ImageEncoder, TextEncoder
from polymodal.models.encoders.whisper import SILENCE_STEP
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import polymodal
from tests.support.tables import tiny, write_houses


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_houses(tmp_path_factory.mktemp("houses"))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """Settings that take the note and the photo through frozen checkpoints."""
    folder = tmp_path_factory.mktemp("checkpoints")
    settings = []
    for name, kind in {"note": "bert", "photo": "vit"}.items():
        CHECKPOINTS[kind].save(folder / kind)
        settings += [f"inputs.{name}.encoder={{checkpoint: {folder / kind}}}", f"inputs.{name}.freeze=true"]
    return settings


def fit(houses, folder, frozen, **more):
    names = ["photo", "note", "bedrooms"]
    settings = [*tiny("note", "bedrooms", **({"train__epochs": 2} | more)), *frozen]
    return pm.fit(houses, target="kind", inputs=names, output=folder, settings=settings)


def results(run):
    return json.loads((run.folder / "metrics.json").read_text())


def test_an_encoder_runs_once_a_cell_and_the_model_learns_the_same(houses, frozen, tmp_path):
    calls = {}

    def counting(kind):
        original = kind.forward

        def forward(self, *, row, **values):
            calls[kind] = calls.get(kind, 0) + len(row)
            return original(self, row=row, **values)

        return mock.patch.object(kind, "forward", forward)

    with counting(TextEncoder), counting(ImageEncoder):
        run = fit(houses, tmp_path / "once", frozen, train__epochs=4)
    assert max(calls.values()) <= 40  # rows, each in one split; every epoch would make it 4 x 32
    with mock.patch("polymodal.training.prediction_training.encode_frozen"):
        every = fit(houses, tmp_path / "every", frozen, train__epochs=4)
    for name, weight in run.model.state_dict().items():
        torch.testing.assert_close(weight, every.model.state_dict()[name], atol=1e-5, rtol=1e-4)
    assert results(run)["test"]["kind"]["log_loss"] == pytest.approx(
        results(every)["test"]["kind"]["log_loss"], abs=1e-4
    )
    notes = " ".join(results(run)["notes"])
    assert "'note'" in notes and "'photo'" in notes and "encoded once" in notes


def test_a_second_fit_takes_them_from_disk(houses, frozen, tmp_path, monkeypatch):
    fit(houses, tmp_path / "first", frozen)
    with mock.patch(
        "polymodal.training.frozen_features.encode_items", side_effect=AssertionError("encoded again")
    ):
        fit(houses, tmp_path / "second", frozen, train__learning_rate=0.01)
        monkeypatch.setattr(TextEncoder, "revision", "computes something else")
        with pytest.raises(AssertionError, match="encoded again"):
            fit(houses, tmp_path / "third", frozen)


def test_the_steps_of_silence_are_part_of_the_revision():
    assert AudioEncoder.revision == f"length step {LENGTH_STEP}, silence step {SILENCE_STEP}"


def test_fits_of_several_fusions_share_them(houses, frozen, tmp_path, monkeypatch):
    from polymodal.training import frozen_features as module

    calls, encode = [], module.encode_items

    def counted(encoder, processor, name, items, **options):
        calls.extend([name] * len(items))
        return encode(encoder, processor, name, items, **options)

    monkeypatch.setattr(module, "encode_items", counted)
    options = {"target": "kind", "inputs": ["photo", "note", "bedrooms"]}
    settings = [*tiny("note", "bedrooms", train__epochs=2), *frozen, "data.cache_disk=0"]
    fits = pm.fit_fusions(houses, fusions="concat,sum,gated", output=tmp_path, settings=settings, **options)
    assert calls.count("photo") <= 40 and calls.count("note") <= 40
    assert sum("encoded once" in note for note in fits.notes) == 2
    for name in ("concat", "sum", "gated"):
        assert sum("encoded once" in note for note in results(fits.load(name))["notes"]) == 2


def test_what_does_not_fit_or_pay_is_not_kept_and_says_so(houses, frozen, tmp_path):
    run = fit(houses, tmp_path / "small", frozen, data__cache_memory=1e-6, data__cache_disk=0)
    notes = results(run)["notes"]
    assert sum("encoded in every epoch" in note and "data.cache_memory" in note for note in notes) == 2
    run = fit(houses, tmp_path / "short", frozen, train__epochs=1)
    assert sum("would not pay" in note for note in results(run)["notes"]) == 2


def test_the_disk_is_shown_and_emptied(houses, frozen, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMODAL_CACHE", str(tmp_path / "cache"))
    fit(houses, tmp_path / "run", frozen)
    shown = polymodal("cache", "--json").json
    assert shown["arrays"] > 40 and shown["bytes"] > 0 and shown["folder"] == str(tmp_path / "cache")
    assert "taken away" in polymodal("cache", "--clear").out
    assert polymodal("cache", "--json").json["arrays"] == 0
    assert str(tmp_path / "cache") in polymodal("cache").out


def test_a_damaged_cache_is_named_and_can_be_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYMODAL_CACHE", str(tmp_path))
    (tmp_path / "arrays.sqlite").write_bytes(b"no database" * 100)
    (line,) = polymodal("cache").errors
    assert "arrays.sqlite" in line and "--clear" in line
    assert polymodal("cache", "--clear").status == 0
    assert polymodal("cache").status == 0


def test_each_item_of_a_cell_is_encoded_once(houses, frozen, tmp_path):
    """Every second row has its neighbour's photo too."""
    rows = pd.read_csv(houses).to_dict("records")
    photos = [row["photo"] if isinstance(row["photo"], str) else None for row in rows]
    for place, row in enumerate(rows):
        row["photo"] = [photos[place], photos[place - 1]] if place % 2 else photos[place]
    table = houses.parent / "several.jsonl"
    table.write_text("\n".join(json.dumps({k: row[k] for k in ("photo", "kind")}) for row in rows))
    calls = []
    original = ImageEncoder.forward

    def forward(self, *, row, **values):
        calls.append(len(row))
        return original(self, row=row, **values)

    settings = [*tiny(train__epochs=3), *(part for part in frozen if part.startswith("inputs.photo"))]
    with mock.patch.object(ImageEncoder, "forward", forward):
        pm.fit(table, target="kind", inputs=["photo"], output=tmp_path / "run", settings=settings)
    testing = 8  # rows that are read as they come, of at most two photos
    assert sum(calls) <= len({photo for photo in photos if photo}) + testing
