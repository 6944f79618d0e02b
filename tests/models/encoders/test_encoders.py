"""Encoders from scratch: any type and sizes, nothing taken over the batch, mistakes said in one line."""

import pytest
import torch
from torch import nn

from polymodal.data.text_tokenizer import VOCABULARY, train_tokenizer
from polymodal.errors import ConfigError
from polymodal.models.encoders import (
    AudioEncoder,
    CategoryEncoder,
    Encoder,
    ImageEncoder,
    SequenceEncoder,
    TextEncoder,
    VideoEncoder,
    build_encoder,
    encoder_settings,
)
from polymodal.models.encoders.augment.signals import equalize
from polymodal.models.encoders.image import patches_to_grid
from polymodal.models.encoders.mel import LogMel
from tests.support.component_cases import BERT, CNN, SMALL_CNN

IMAGES = {
    "resnet": SMALL_CNN,
    "regnet": SMALL_CNN,
    "plain_cnn": {"hidden_sizes": [8, 16]},
    "bit": SMALL_CNN | {"num_groups": 4},
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "levit": {},
    "vit": BERT | {"patch_size": 8},
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8},
    "swinv2": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
}
CLIPS = {
    "resnet": (SMALL_CNN, (4, 4, 4)),
    "convnext": (IMAGES["convnext"], (4, 4, 4)),
    "plain_cnn": ({"hidden_sizes": [4, 8, 16]}, (4, 4, 4)),
    "vit": (IMAGES["vit"], (4, 4, 4)),
    "videomae": (BERT | {"patch_size": 8}, (2, 4, 4)),
    "vivit": (BERT | {"tubelet_size": [2, 8, 16]}, (2, 4, 2)),
    "timesformer": (BERT | {"patch_size": 8}, (4, 4, 4)),
}
GROUPS = [f"{part}_groups" for part in ("q", "k", "v", "post_attention", "intermediate", "output")]
TEXTS = {
    "bert": BERT,
    "roberta": BERT,
    "modernbert": BERT,
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "xlnet": {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 24},
    "squeezebert": BERT | {"embedding_size": 16} | dict.fromkeys(GROUPS, 1),
}


def pictures(size, count=2):
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


@pytest.mark.parametrize("kind", IMAGES)
def test_a_picture_type_gives_its_grid_and_trains(kind):
    encoder = ImageEncoder(kind, size=32, tokens=4, **IMAGES[kind])
    sequence = encoder(row=torch.arange(2), pixel_values=pictures(32))
    assert encoder.size == 32
    assert sequence.tokens.shape == (2, sequence.grid[0] * sequence.grid[1], encoder.width)
    assert sequence.tokens.shape[1] <= 4 and sequence.mask.all()
    sequence.tokens.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", ["resnet", "regnet", "mobilenet_v2", "levit"])
def test_no_statistics_over_the_batch_are_left(kind):
    for encoder in (ImageEncoder(kind, size=32, **IMAGES[kind]), AudioEncoder(seconds=0.2, **CNN)):
        assert not [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def clips(size, frames, count=2):
    return torch.randint(0, 256, (count, frames, 3, size, size), dtype=torch.uint8)


@pytest.mark.parametrize("kind", CLIPS)
def test_a_type_of_pictures_or_clips_gives_a_grid_of_space_and_time_and_trains(kind):
    sizes, grid = CLIPS[kind]
    encoder = VideoEncoder(kind, frames=4, size=32, **sizes)
    sequence = encoder(row=torch.arange(2), pixel_values=clips(32, 4))
    assert (encoder.frames, encoder.size, encoder.axes) == (4, 32, 3)
    assert sequence.grid == grid
    assert sequence.tokens.shape == (2, grid[0] * grid[1] * grid[2], encoder.width) and sequence.mask.all()
    sequence.tokens.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


def test_a_frame_is_seen_beside_its_change():
    encoder = VideoEncoder(frames=4, size=16, **CNN).eval()
    assert encoder.sees_change and not VideoEncoder(frames=4, num_channels=3, **CNN).sees_change
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda _, __, values: seen.append(values["pixel_values"]),
                                               with_kwargs=True)  # fmt: skip
    clip = clips(16, 4, count=1)
    encoder(row=torch.arange(1), pixel_values=clip)
    pixels = clip[0] / 127.5 - 1
    torch.testing.assert_close(seen[0][:, :3], pixels)
    assert not seen[0][0, 3:].any()
    torch.testing.assert_close(seen[0][1:, 3:], pixels[1:] - pixels[:-1])


def test_a_clip_played_backwards_is_another_even_without_positions():
    clip = clips(16, 4, count=1)
    for channels, differs in ((6, True), (3, False)):
        encoder = VideoEncoder(frames=4, size=16, num_channels=channels, **CNN).eval()
        forth, back = (
            encoder(row=torch.arange(1), pixel_values=way).tokens.mean(dim=1) for way in (clip, clip.flip(1))
        )
        assert torch.allclose(forth, back, atol=1e-6) is not differs


def test_all_frames_of_a_clip_are_shifted_alike():
    encoder = VideoEncoder(frames=4, size=16, shift=0.3, **CNN).train()
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda _, __, values: seen.append(values["pixel_values"]),
                                               with_kwargs=True)  # fmt: skip
    still = clips(16, 1, count=3).expand(-1, 4, -1, -1, -1)
    encoder(row=torch.arange(3), pixel_values=still)
    frames = seen[0].unflatten(0, (3, 4))
    assert torch.equal(frames[:, 1:, :3], frames[:, :1, :3].expand(-1, 3, -1, -1, -1))
    assert not frames[:, :, 3:].any()  # nothing moves within the clip
    assert not torch.equal(frames[:, 0, :3], still[:, 0] / 127.5 - 1)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_type_reads_and_trains(kind):
    tokenizer = train_tokenizer(["a house", "a house by the sea"] * 2)
    encoder = TextEncoder(kind, tokenizer=tokenizer, **TEXTS[kind])
    ids = torch.tensor(tokenizer(["a house", "the sea"], padding="max_length", max_length=9).input_ids)
    sequence = encoder(row=torch.arange(2), input_ids=ids, attention_mask=(ids != 0).long())
    assert sequence.tokens.shape == (2, 9, encoder.width) and encoder.width == 16
    sequence.tokens.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    assert encoder.backbone.get_input_embeddings().num_embeddings == len(tokenizer)


def test_without_a_tokenizer_the_vocabulary_is_that_of_a_trained_one():
    assert TextEncoder(**BERT).config.vocab_size == VOCABULARY
    assert TextEncoder(vocab_size=99, **BERT).config.vocab_size == 99


def test_texts_are_cut_where_positions_end():
    assert TextEncoder(max_position_embeddings=20, **BERT).max_length == 20
    assert TextEncoder(max_length=10, **BERT).max_length == 10


def test_a_waveform_type_from_scratch_hears_the_waveform():
    waves = {"conv_dim": [8], "conv_stride": [50], "conv_kernel": [100], "num_feat_extract_layers": 1}
    more = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    encoder = AudioEncoder("wav2vec2", rate=1000, seconds=2.0, tokens=8, **waves, **more, **BERT)
    sequence = encoder(row=torch.arange(2), length=torch.tensor([2000, 500]), waveform=torch.randn(2, 2000))
    assert sequence.tokens.shape == (2, 8, 16)
    assert sequence.mask.all()  # ten steps of sound are more than eight tokens already


def test_silence_after_a_recording_is_masked():
    encoder = AudioEncoder(rate=2000, seconds=1.0, bins=16, **CNN).eval()
    waveform = torch.randn(1, 2000)
    whole = encoder(row=torch.arange(1), length=torch.tensor([2000]), waveform=waveform)
    half = encoder(row=torch.arange(1), length=torch.tensor([1000]), waveform=waveform)
    assert whole.mask.all()
    assert half.mask.sum() == pytest.approx(whole.mask.sum() / 2, abs=1)


def test_a_tone_lies_in_its_mel_bin():
    time = torch.arange(8000) / 8000
    tones = torch.stack([(2 * torch.pi * pitch * time).sin() for pitch in (300, 2500)])
    frames, mask = LogMel(rate=8000, bins=40)(tones, torch.full((2,), 8000))
    assert mask.all()
    assert frames.mean(dim=1).argmax(dim=1).tolist() == [4, 32]  # 67 Hz a bin at first, then ever wider


def test_loudness_does_not_matter():
    waveform = torch.randn(1, 8000) / 10
    frames, _ = LogMel(rate=8000, bins=40)(torch.cat([waveform, waveform / 8]), torch.full((2,), 8000))
    torch.testing.assert_close(frames[0], frames[1], atol=1e-2, rtol=0)


def test_a_quiet_hum_changes_nothing_below_the_range_that_is_heard():
    tone = torch.sin(torch.arange(8000) * 0.5).unsqueeze(0)
    hum = tone + 0.003 * torch.sin(torch.arange(8000) * 2.0)  # 50 dB below the tone
    length = torch.tensor([8000])
    differ = {}
    for top_db in (30.0, 80.0):
        mel = LogMel(rate=8000, bins=40, top_db=top_db)
        differ[top_db] = (mel(tone, length)[0] - mel(hum, length)[0]).abs().max().item()
    assert differ[30.0] < 0.01 < 0.5 < differ[80.0]


def test_another_microphone_raises_some_bins_for_a_whole_recording():
    torch.manual_seed(0)
    frames, mask = torch.randn(200, 6, 21), torch.arange(6) < 4
    gains = equalize(frames, mask.expand(200, 6), 0.5) - frames
    assert not gains[:, 4:].any() and not gains[0].equal(gains[1])
    torch.testing.assert_close(gains[:, :4], gains[:, :1].expand(-1, 4, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(gains[:, 0, ::5].std(), torch.tensor(0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(gains[:, 0, 1:5].diff(), gains[:, 0, :4].diff(), atol=1e-5, rtol=0)


def test_what_lies_behind_the_sound_does_not_change_its_frames():
    mel = LogMel(rate=8000, bins=20)
    short = torch.nn.functional.pad(torch.randn(1, 1600), (0, 6400))
    frames, mask = mel(short, torch.tensor([1600]))
    assert mask.sum() == 21 and not frames[~mask].any()
    assert frames[mask].mean().abs() < 1e-4


def test_a_stretched_recording_has_tokens_for_as_long_as_it_sounds():
    torch.manual_seed(0)
    encoder = AudioEncoder(rate=2000, seconds=2.0, bins=16, warp=0.4, **CNN)
    sound = {"row": torch.arange(40), "waveform": torch.randn(40, 4000), "length": torch.full((40,), 2000)}
    even = encoder.eval()(**sound).mask.sum(dim=1)
    warped = encoder.train()(**sound).mask.sum(dim=1)
    assert even.unique().numel() == 1 and warped.min() < even[0] < warped.max()


def test_pictures_and_sound_vary_in_training_alone():
    image = ImageEncoder(size=16, shift=0.2, **CNN)
    audio = AudioEncoder(rate=2000, seconds=0.5, bins=16, masking=0.3, **CNN)
    sound = {"waveform": torch.randn(2, 1000), "length": torch.full((2,), 1000)}
    for encoder, values in ((image, {"pixel_values": pictures(16)}), (audio, sound)):
        for training in (True, False):
            encoder.train(training)
            first, second = (encoder(row=torch.arange(2), **values).tokens for _ in range(2))
            assert torch.equal(first, second) is not training


def test_unknown_categories_are_no_other_category():
    encoder = CategoryEncoder(categories=2, width=4)
    tokens = encoder(row=torch.arange(3), value=torch.tensor([0, 1, 2])).tokens[:, 0]
    assert not tokens[0].any() and tokens[1:].any(dim=1).all()
    tokens.sum().backward()
    assert not encoder.embed.weight.grad[0].any()


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize(("rows", "columns"), [(14, 14), (2, 2), (12, 18), (18, 12), (7, 3)])
def test_patches_find_their_place_whatever_stands_before_them(rows, columns, prefix):
    numbers = torch.arange(rows * columns, dtype=torch.float32)
    hidden = torch.cat([torch.full((prefix,), -1.0), numbers]).view(1, -1, 1)
    found = patches_to_grid(hidden, torch.zeros(1, 3, rows * 14, columns * 14), 14)
    assert torch.equal(found[0, 0], numbers.view(rows, columns))


def test_merged_patches_lie_in_a_smaller_grid():
    assert patches_to_grid(torch.zeros(1, 6, 5), torch.zeros(1, 3, 64, 96), 4).shape == (1, 5, 2, 3)


def test_settings_build_the_same_encoder_again():
    made = [TextEncoder(max_length=9, **BERT), ImageEncoder("vit", size=24, **IMAGES["vit"])]
    made += [VideoEncoder(frames=3, size=24, shift=0.1, **CNN)]
    made += [VideoEncoder("videomae", frames=4, size=32, **CLIPS["videomae"][0])]
    made += [SequenceEncoder(kind, features=5, length=90, masking=0.1) for kind in (None, "resnet")]
    for encoder in made:
        again = build_encoder(encoder_settings(encoder))
        assert encoder_settings(again) == encoder_settings(encoder)
        assert {n: p.shape for n, p in again.named_parameters()} == {
            n: p.shape for n, p in encoder.named_parameters()
        }


WRONG = {
    "a size that does not exist": (
        lambda: TextEncoder("bert", hiden_size=8),
        r"'bert' has no size 'hiden_size'\. Did you mean 'hidden_size'\?",
    ),
    "sizes that do not fit": (
        lambda: TextEncoder("bert", hidden_size=10, num_attention_heads=3),
        r"the model type 'bert' refuses .*multiple",
    ),
    "a size of a wrong type": (
        lambda: ImageEncoder("resnet", hidden_sizes="large"),
        "the model type 'resnet' refuses",
    ),
    "no block": (lambda: ImageEncoder("plain_cnn", hidden_sizes=[]), r"hidden_sizes is \[\], expected the"),
    "a block of no channels": (
        lambda: ImageEncoder("plain_cnn", hidden_sizes=[8, 0]),
        r"hidden_sizes is \[8, 0\], expected the channels of one block or more",
    ),
    "grey pictures": (
        lambda: ImageEncoder("vit", num_channels=1, **IMAGES["vit"]),
        "'num_channels' is 1, and what is read has 3. Leave it out",
    ),
    "grey clips": (
        lambda: VideoEncoder("resnet", num_channels=1, **SMALL_CNN),
        "'num_channels' is 1, and what is read has 3 or 6",
    ),
    "a misspelt type": (
        lambda: ImageEncoder("resnett"),
        r"'resnett' is no model type.*Did you mean .*'resnet'",
    ),
    "a hub name without network": (
        lambda: TextEncoder("nobody/such-model"),
        "'nobody/such-model' is .*a local folder .*--local-dir DIR.* give the folder",
    ),
    "a size of a checkpoint": (
        lambda: TextEncoder("owner/name", hidden_size=8),
        "owner/name is a checkpoint: it has its own sizes",
    ),
    "another modality": (lambda: ImageEncoder("bert", **BERT), "'bert' reads input_ids, no image"),
    "another modality than clips": (lambda: VideoEncoder("bert", **BERT), "'bert' reads input_ids, no video"),
    "frames that do not fit": (
        lambda: VideoEncoder("videomae", frames=4, size=20, **CLIPS["videomae"][0] | {"num_frames": 1}),
        "the model type 'videomae' refuses .*'num_frames': 1",
    ),
    "more than pictures": (
        lambda: ImageEncoder("siglip2", text_config=BERT, vision_config=BERT),
        "'siglip2' wants pixel_values, .*spatial_shapes",
    ),
    "patches at random": (lambda: ImageEncoder("vit_mae", **BERT), "'vit_mae' hides patches at random"),
    "a feature extractor": (
        lambda: AudioEncoder("whisper", encoder_layers=1, decoder_layers=1),
        "'whisper' needs a feature extractor. Give a",
    ),
    "a checkpoint for features": (
        lambda: SequenceEncoder("owner/name"),
        "'owner/name' is a checkpoint, and none reads features. Give a model type",
    ),
    "a type that takes words alone": (
        lambda: SequenceEncoder("wav2vec2", **BERT),
        "reads input_values, no",
    ),
    "patches of features": (
        lambda: SequenceEncoder("vit", features=16, length=16, image_size=16, patch_size=8, **BERT),
        "'vit' cannot read features as a picture",
    ),
    "no features": (lambda: SequenceEncoder(features=0), "features is 0, expected a whole number"),
    "a patch that is none": (lambda: SequenceEncoder(patch="wide"), "patch is 'wide', expected a whole"),
    "mel of a fixed size": (lambda: AudioEncoder("vit", **BERT), "'vit' cannot read pictures of 1 x 64 x 64"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_told_in_one_line(mistake):
    make, message = WRONG[mistake]
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f"'{tmp_path}' is no readable checkpoint"):
        TextEncoder(tmp_path)


def test_an_encoder_that_nobody_registered_cannot_be_saved():
    class Mine(Encoder):
        modality = "number"

    with pytest.raises(ValueError, match=r"Mine is not registered: .*ENCODERS\.register"):
        encoder_settings(Mine())
