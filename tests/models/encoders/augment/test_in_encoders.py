"""What training changes inside the encoders: in training alone, saved and built again, of checkpoints too."""

import pytest
import torch

from polymodal.data.processor import PolymodalProcessor
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.errors import ConfigError
from polymodal.models import PolymodalForPrediction, PolymodalModel
from polymodal.models.encoders import (
    AudioEncoder,
    ImageEncoder,
    TextEncoder,
    VideoEncoder,
    build_encoder,
    encoder_settings,
    no_augmentation,
)
from polymodal.models.fusion import FeatureFusion
from polymodal.models.heads import Classifier
from tests.support.checkpoints import CHECKPOINTS
from tests.support.component_cases import BERT, CNN

TEXT = "a quiet house by the sea, with a garden"
TOKENIZER = train_tokenizer([TEXT] * 2)
WAVES = {"conv_dim": [8], "conv_stride": [50], "conv_kernel": [100], "num_feat_extract_layers": 1}
WAVES |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}


def pictures():
    return {"pixel_values": torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)}


def clips():
    return {"pixel_values": torch.randint(0, 256, (4, 3, 3, 16, 16), dtype=torch.uint8)}


def sounds():
    return {"waveform": torch.randn(4, 1000), "length": torch.tensor([1000, 900, 500, 300])}


def texts():
    ids = torch.tensor([TOKENIZER(TEXT).input_ids] * 4)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


PICTURE_CHANGES = [{"crop": 0.3}, {"flip": True}, {"colour": 0.5}, {"crop": 0.4, "flip": True, "colour": 0.5}]
SOUND_CHANGES = [{"time_shift": 0.4}, {"noise": 0.0}, {"time_shift": 0.3, "noise": 5.0, "masking": 0.2}]
QUIET = BERT | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
KINDS = {
    "image": (lambda **c: ImageEncoder(size=16, tokens=4, **CNN, **c), pictures, PICTURE_CHANGES),
    "video": (lambda **c: VideoEncoder(frames=3, size=16, **CNN, **c), clips, PICTURE_CHANGES),
    "audio": (lambda **c: AudioEncoder(rate=2000, seconds=0.5, bins=16, **CNN, **c), sounds, SOUND_CHANGES),
    "waveform": (
        lambda **c: AudioEncoder("wav2vec2", rate=2000, seconds=0.5, **WAVES, **_still(BERT), **c),
        sounds,
        SOUND_CHANGES,
    ),
    "text": (lambda **c: TextEncoder(tokenizer=TOKENIZER, **QUIET, **c), texts, [{"word_dropout": 0.4}]),
}
CASES = [(kind, changes) for kind, (_, _, every) in KINDS.items() for changes in every]


def _still(sizes):
    """Without any chance of the backbone's own."""
    names = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
    return sizes | dict.fromkeys(names, 0.0)


def encode(encoder, values, seed=0):
    torch.manual_seed(seed)
    sequence = encoder(row=torch.arange(4), **values)
    return sequence.tokens * sequence.mask.unsqueeze(-1), sequence.mask


@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_training_changes_what_is_read_and_nothing_else_does(kind, changes):
    make, read, _ = KINDS[kind]
    torch.manual_seed(1)
    encoder, values = make(**changes), read()
    given = {name: value.clone() for name, value in values.items()}
    plain, _ = encode(encoder.eval(), values)
    assert torch.equal(encode(encoder, values, seed=1)[0], plain)
    encoder.train()
    with no_augmentation(encoder):
        torch.testing.assert_close(encode(encoder, values)[0], plain, atol=1e-5, rtol=1e-5)
    first, again, other = (encode(encoder, values, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other) and not torch.allclose(first, plain)
    assert all(torch.equal(values[name], given[name]) for name in given)  # what was given stays as it is
    first.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_a_saved_encoder_is_built_again_with_its_changes(kind, changes):
    make, read, _ = KINDS[kind]
    encoder, values = make(**changes), read()
    again = build_encoder(encoder_settings(encoder))
    assert encoder_settings(again) == encoder_settings(encoder)
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(encode(again.train(), values)[0], encode(encoder.train(), values)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_settings_from_before_are_read_and_draw_nothing_new(kind):
    make, read, every = KINDS[kind]
    names = {name for changes in every for name in changes} | {"levels"}
    old = {name: value for name, value in encoder_settings(make()).items() if name not in names - {"masking"}}
    encoder, values = build_encoder(old).train(), read()
    assert encoder_settings(encoder) == encoder_settings(make())
    state = torch.get_rng_state()
    encoder(row=torch.arange(4), **values)
    assert torch.equal(torch.get_rng_state(), state)
    assert "marks" not in encoder.state_dict()


@pytest.mark.parametrize("kind", ["audio", "waveform"])
def test_tokens_are_there_up_to_where_a_moved_recording_ends(kind):
    encoder, values = KINDS[kind][0](time_shift=0.5).train(), sounds()
    values = {"waveform": values["waveform"][:1].expand(4, -1), "length": torch.full((4,), 500)}
    counts = [encode(encoder, values, seed)[1].sum(dim=1) for seed in range(20)]
    longest = encode(encoder, values | {"length": torch.full((4,), 1000)})[1].shape[1]
    share = torch.cat(counts) / longest
    assert share.min() < 0.4 and share.max() > 0.6  # 0.5 ± half of it
    assert share.min() > 0.2 and share.max() < 0.9


def test_a_backbone_is_told_where_a_moved_recording_ends(tmp_path):
    torch.manual_seed(0)
    checkpoint = CHECKPOINTS["wav2vec2"]
    checkpoint.save(tmp_path)
    encoder = AudioEncoder(tmp_path, seconds=0.5, time_shift=0.5).train()
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda _, __, values: seen.append(values), with_kwargs=True)
    length = torch.tensor([8000, 3000])
    mask = (torch.arange(8000) < length.unsqueeze(1)).int()
    waveform = torch.randn(2, 8000)
    encoder(row=torch.arange(2), length=length, input_values=waveform, attention_mask=mask)
    told, heard = seen[0]["attention_mask"], seen[0]["input_values"]
    assert told.dtype == mask.dtype and not torch.equal(told, mask)
    assert not heard[told == 0].any()
    assert all(sound[count - 1] != 0 for sound, count in zip(heard, told.sum(dim=1), strict=True))


FROM_CHECKPOINTS = {
    "clip": {"crop": 0.5, "flip": True, "colour": 0.5},
    "videomae": {"crop": 0.5, "flip": True, "colour": 0.5},
    "wav2vec2": {"time_shift": 0.2, "noise": 0.0},
    "bert": {"word_dropout": 0.3},
    "t5": {"word_dropout": 0.3},
    "clip, text": {"word_dropout": 0.3},
}


@pytest.mark.parametrize("name", FROM_CHECKPOINTS)
def test_a_checkpoint_trains_on_changed_inputs_and_a_saved_model_trains_on(tmp_path, name):
    checkpoint = CHECKPOINTS[name]
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "checkpoint")
    encoder = checkpoint.encoder(tmp_path / "checkpoint", tokens=8, **FROM_CHECKPOINTS[name])
    model = PolymodalModel.from_parts(
        {"a": encoder}, FeatureFusion("concat", width=16), {"mood": Classifier(2)}
    )
    processor = PolymodalProcessor.for_model(model)
    batch = processor([{"a": cell, "mood": place} for place, cell in enumerate(checkpoint.cells)])
    model.save_pretrained(tmp_path / "ours")
    loaded = PolymodalForPrediction.from_pretrained(tmp_path / "ours")
    losses = []
    for made in (model.train(), model, loaded.train()):
        torch.manual_seed(len(losses) % 2)
        losses.append(made(**batch).loss)
        losses[-1].backward()
    assert torch.equal(losses[0], losses[2]) and not torch.equal(losses[0], losses[1])
    with torch.no_grad():
        assert torch.equal(model.eval()(**batch).fused, loaded.eval()(**batch).fused)
    if "colour" in FROM_CHECKPOINTS[name]:
        assert loaded.model.encoders[0].levels == [[-1.0] * 3, [1.0] * 3]  # of mean and deviation 0.5


@pytest.mark.parametrize("name", ["clip", "videomae"])
def test_a_checkpoints_pixels_are_coloured_by_what_is_black_and_white_in_them(tmp_path, name):
    checkpoint = CHECKPOINTS[name]
    checkpoint.save(tmp_path)
    part = checkpoint.part()
    part.image_mean, part.image_std = [0.2, 0.4, 0.6], [0.1, 0.2, 0.3]
    part.save_pretrained(tmp_path)
    encoder = checkpoint.encoder(tmp_path, colour=1.0).train()
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda _, __, values: seen.append(values["pixel_values"]),
                                               with_kwargs=True)  # fmt: skip
    batch = PolymodalProcessor.for_model(PolymodalModel.from_parts({"a": encoder}))(
        [{"a": checkpoint.cells[0]}] * 30
    )
    encoder(**batch["inputs"]["a"])
    mean, deviation = (torch.tensor(x).view(3, 1, 1) for x in (part.image_mean, part.image_std))
    light = seen[0] * deviation + mean
    torch.testing.assert_close(light.aminmax(), (torch.tensor(0.0), torch.tensor(1.0)), atol=1e-5, rtol=0)
    assert (light[:, ..., 0, 0].std(dim=0) > 0.05).all()


@pytest.mark.parametrize("name", ["whisper", "ast", "wav2vec2-bert"])
@pytest.mark.parametrize("changes", [{"time_shift": 0.2}, {"noise": 0}])
def test_a_feature_extractors_output_is_no_waveform(tmp_path, name, changes):
    CHECKPOINTS[name].save(tmp_path)
    (way,), kind = changes, CHECKPOINTS[name].model().config.model_type
    with pytest.raises(
        ConfigError, match=rf"^'{way}' changes a waveform, and a model of type '{kind}' reads"
    ):
        AudioEncoder(tmp_path, **changes)


def test_without_a_tokenizer_nobody_knows_words():
    with pytest.raises(
        ConfigError, match=r"^'word_dropout' leaves out words, and .*'bert' .* or give a token"
    ):
        TextEncoder(word_dropout=0.1, **BERT)


def test_encoders_read_again_as_they_were_built_after_a_loss_that_fails():
    encoder = ImageEncoder(size=16, flip=True, **CNN).train()
    with pytest.raises(RuntimeError), no_augmentation(torch.nn.ModuleList([encoder])):
        assert not encoder.varies
        raise RuntimeError
    assert encoder.varies and not encoder.eval().varies
