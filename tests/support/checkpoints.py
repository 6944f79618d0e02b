"""Tiny checkpoints as a hub would hold them: weights, and the tokenizer or the like beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import transformers as hf
from PIL import Image

from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.models.encoders import AudioEncoder, Encoder, ImageEncoder, TextEncoder, VideoEncoder

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
PIXELS = {"image_size": 32, "patch_size": 8}
WAVES = {
    "conv_dim": (8, 8),
    "conv_stride": (5, 8),
    "conv_kernel": (10, 8),
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 12,
}
TOWERS = {"text_config": SMALL | {"vocab_size": 300}, "vision_config": SMALL | PIXELS}


@dataclass
class Checkpoint:
    """How to make one, which encoder reads it, and two cells of what it reads."""

    encoder: type[Encoder]
    model: Callable[[], hf.PreTrainedModel]
    part: Callable[[], Any]
    cells: tuple[Any, Any]

    def save(self, folder: Path) -> None:
        model = self.model()
        for buffer in model.buffers():  # statistics that a fresh model does not have
            if buffer.is_floating_point():
                buffer.data += 0.1
        model.save_pretrained(folder)
        self.part().save_pretrained(folder)


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def sound(seed: int, seconds: float) -> dict[str, Any]:
    samples = np.random.default_rng(seed).normal(0, 0.1, int(8000 * seconds)).astype(np.float32)
    return {"array": samples, "sampling_rate": 8000}


def text(model: Callable[[], hf.PreTrainedModel]) -> Checkpoint:
    return Checkpoint(TextEncoder, model, lambda: train_tokenizer([]), ("a quiet house by the sea", "loud"))


def image(model: Callable[[], hf.PreTrainedModel], part: type = hf.ViTImageProcessor) -> Checkpoint:
    def make() -> Any:
        return part(size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3)

    return Checkpoint(ImageEncoder, model, make, (noise(0, (40, 30)), noise(1, (20, 50))))


def audio(model: Callable[[], hf.PreTrainedModel], part: Callable[[], Any]) -> Checkpoint:
    return Checkpoint(AudioEncoder, model, part, (sound(0, 0.5), sound(1, 0.2)))


def video(model: Callable[[], hf.PreTrainedModel], part: type = hf.VideoMAEImageProcessorPil) -> Checkpoint:
    def make() -> Any:
        shape = {"height": 32, "width": 32}
        size = shape if part is hf.ViTImageProcessor else {"shortest_edge": 32}
        crop = {} if part is hf.ViTImageProcessor else {"crop_size": shape}
        return part(size=size, **crop, image_mean=[0.5] * 3, image_std=[0.5] * 3)

    clips = [np.stack([np.asarray(noise(seed + place, (40, 50))) for place in range(4)]) for seed in (0, 9)]
    return Checkpoint(VideoEncoder, model, make, (clips[0], clips[1][:3]))


def whisper(**more: int) -> hf.PreTrainedModel:
    layers = {
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
    }
    sizes = {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "num_mel_bins": 16, "vocab_size": 20}
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)
    return hf.WhisperModel(hf.WhisperConfig(**layers, **sizes, **ids, **more))


CHECKPOINTS = {
    "bert": text(lambda: hf.BertModel(hf.BertConfig(vocab_size=300, **SMALL))),
    "bert in half precision": text(lambda: hf.BertModel(hf.BertConfig(vocab_size=300, **SMALL)).half()),
    "distilbert": text(
        lambda: hf.DistilBertModel(
            hf.DistilBertConfig(vocab_size=300, dim=16, n_layers=2, n_heads=2, hidden_dim=24)
        )
    ),
    "modernbert": text(
        lambda: hf.ModernBertModel(hf.ModernBertConfig(vocab_size=300, pad_token_id=0, **SMALL))
    ),
    "t5": text(
        lambda: hf.T5Model(
            hf.T5Config(
                vocab_size=300, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, pad_token_id=0
            )
        )
    ),
    "clip, text": text(lambda: hf.CLIPModel(hf.CLIPConfig(**TOWERS))),
    "siglip, text": text(lambda: hf.SiglipModel(hf.SiglipConfig(**TOWERS))),
    "clip": image(lambda: hf.CLIPModel(hf.CLIPConfig(**TOWERS))),
    "siglip": image(lambda: hf.SiglipModel(hf.SiglipConfig(**TOWERS)), hf.SiglipImageProcessor),
    "siglip, vision alone": image(
        lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**SMALL, **PIXELS)), hf.SiglipImageProcessor
    ),
    "vit": image(lambda: hf.ViTModel(hf.ViTConfig(**SMALL, **PIXELS))),
    "dinov2": image(
        lambda: hf.Dinov2Model(
            hf.Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, **PIXELS)
        )
    ),
    "resnet": image(
        lambda: hf.ResNetModel(
            hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        )
    ),
    "vit, frame by frame": video(lambda: hf.ViTModel(hf.ViTConfig(**SMALL, **PIXELS)), hf.ViTImageProcessor),
    "clip, frame by frame": video(lambda: hf.CLIPModel(hf.CLIPConfig(**TOWERS)), hf.ViTImageProcessor),
    "videomae": video(lambda: hf.VideoMAEModel(hf.VideoMAEConfig(num_frames=4, **SMALL, **PIXELS))),
    "timesformer": video(lambda: hf.TimesformerModel(hf.TimesformerConfig(num_frames=4, **SMALL, **PIXELS))),
    "vivit": video(
        lambda: hf.VivitModel(hf.VivitConfig(num_frames=4, tubelet_size=[2, 8, 8], image_size=32, **SMALL)),
        hf.VivitImageProcessor,
    ),
    "whisper": audio(whisper, lambda: hf.WhisperFeatureExtractor(feature_size=16)),
    "wav2vec2": audio(
        lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config(**SMALL, **WAVES)), lambda: hf.Wav2Vec2FeatureExtractor()
    ),
    "hubert": audio(
        lambda: hf.HubertModel(hf.HubertConfig(**SMALL, **WAVES)), lambda: hf.Wav2Vec2FeatureExtractor()
    ),
    "ast": audio(
        lambda: hf.ASTModel(hf.ASTConfig(num_mel_bins=32, max_length=64, **SMALL)),
        lambda: hf.ASTFeatureExtractor(num_mel_bins=32, max_length=64),
    ),
    "wav2vec2-bert": audio(
        lambda: hf.Wav2Vec2BertModel(hf.Wav2Vec2BertConfig(feature_projection_input_dim=160, **SMALL)),
        lambda: hf.SeamlessM4TFeatureExtractor(),
    ),
}
