"""Adapters and partly frozen encoders: over every kind of checkpoint, saved, loaded, merged, refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from polymodal import ConfigError, PolymodalProcessor, merge_lora
from polymodal.models import PolymodalForPrediction, PolymodalModel
from polymodal.models.encoders import NumberEncoder, TextEncoder
from polymodal.models.encoders.backbone import fixed_weights
from polymodal.models.encoders.tuning import layers_of
from polymodal.models.fusion import FeatureFusion
from polymodal.models.heads import Classifier
from tests.support.checkpoints import CHECKPOINTS, SMALL, WAVES
from tests.support.slow import mostly_slow

LINEAR = [name for name in CHECKPOINTS if name != "resnet"]
KINDS = ("bert", "t5", "clip, text", "siglip", "whisper", "wav2vec2-bert", "videomae")
"""One of each kind of layers, among those that take long together."""


class Fed:
    """A model around a checkpoint's encoder, shared by two inputs, and a batch of two rows."""

    def __init__(self, name: str, folder: Path, **options: Any) -> None:
        checkpoint = CHECKPOINTS[name]
        torch.manual_seed(0)
        checkpoint.save(folder)
        self.encoder: Any = checkpoint.encoder(folder, tokens=8, **options)
        self.model: Any = PolymodalModel.from_parts(
            {"first": self.encoder, "second": self.encoder, "b": NumberEncoder(features=1)},
            FeatureFusion("concat", width=16),
            {"mood": Classifier(2)},
        )
        first, second = checkpoint.cells
        rows = [{"first": first, "b": 1.0, "mood": 0}, {"first": second, "second": first, "mood": 1}]
        self.processor = PolymodalProcessor.for_model(self.model)
        self.batch = self.processor(rows)

    def logits(self, model: Any = None) -> Tensor:
        with torch.no_grad():
            return (model or self.model).eval()(**self.batch).logits["mood"]

    def train(self, steps: int = 3) -> None:
        self.model.train()
        optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-2)
        for _ in range(steps):
            self.model(**self.batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def weights(module: Any) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", mostly_slow(LINEAR, KINDS))
def test_adapters_start_as_nothing_learn_alone_and_are_saved(tmp_path, name):
    fed = Fed(name, tmp_path / "checkpoint", lora={"rank": 2, "dropout": 0.1})
    with torch.no_grad():
        for key, value in fed.encoder.backbone.named_parameters():
            if "lora_B" in key:
                assert not value.any()
    before = weights(fed.encoder)
    fed.model.train()
    fed.model(**fed.batch).loss.backward()
    for key, parameter in fed.encoder.named_parameters():
        assert parameter.requires_grad == (".lora_" in key), key
        assert parameter.requires_grad == (parameter.grad is not None), key
    fed.train()
    for key, value in fed.encoder.state_dict().items():
        assert torch.equal(value, before[key]) != (".lora_" in key), key

    fed.model.save_pretrained(tmp_path / "ours")
    shutil.rmtree(tmp_path / "checkpoint")
    files = {path.suffix for path in (tmp_path / "ours").iterdir()}
    assert files == {".json", ".safetensors"}
    loaded = PolymodalForPrediction.from_pretrained(tmp_path / "ours")
    assert fixed_weights(loaded) == fixed_weights(fed.model)
    assert (
        loaded.model.encoders[0].lora
        == fed.encoder.lora
        == {"rank": 2, "alpha": 16.0, "dropout": 0.1, "targets": None, "dora": False}
    )
    assert torch.equal(fed.logits(loaded), fed.logits())


@pytest.mark.parametrize("name", ["bert", "t5", "siglip", "wav2vec2-bert", "whisper"])
def test_merged_adapters_answer_the_same(tmp_path, name):
    fed = Fed(name, tmp_path / "checkpoint", lora=True)
    untouched = Fed(name, tmp_path / "plain")
    fed.train()
    expected = fed.logits()
    assert not torch.allclose(expected, fed.logits(untouched.model))
    assert merge_lora(fed.model) is fed.model
    assert fed.encoder.lora is None and not [n for n, _ in fed.model.named_modules() if "lora" in n]
    torch.testing.assert_close(fed.logits(), expected, atol=1e-5, rtol=1e-5)
    assert fixed_weights(fed.encoder) == fixed_weights(untouched.encoder)
    fed.model.save_pretrained(tmp_path / "ours")
    loaded = PolymodalForPrediction.from_pretrained(tmp_path / "ours")
    assert torch.equal(fed.logits(loaded), fed.logits())
    assert fixed_weights(loaded) == fixed_weights(untouched.model)
    assert weights(loaded).keys() == weights(untouched.model).keys()


def test_adapters_go_where_they_are_told(tmp_path):
    fed = Fed("bert", tmp_path, lora={"rank": 3, "alpha": 6, "targets": ["query", "attention.output.dense"]})
    adapted = {
        n.rpartition(".lora_A")[0] for n, _ in fed.encoder.backbone.named_parameters() if "lora_A" in n
    }
    ends = ("attention.self.query", "attention.output.dense")
    assert adapted == {f"encoder.layer.{layer}.{end}" for layer in (0, 1) for end in ends}
    layer = fed.encoder.backbone.encoder.layer[0].attention.self.query
    assert layer.lora_A["default"].weight.shape == (3, 16) and layer.scaling["default"] == 2


@pytest.mark.parametrize("name", mostly_slow(CHECKPOINTS, KINDS))
def test_only_the_last_layers_learn_made_or_loaded(tmp_path, name):
    fed = Fed(name, tmp_path / "checkpoint", unfreeze_last=1)
    fixed = fixed_weights(fed.model)
    fed.model.save_pretrained(tmp_path / "ours")
    expected = fed.logits()
    fed.model = PolymodalForPrediction.from_pretrained(tmp_path / "ours")
    fed.encoder = fed.model.model.encoders[0]
    assert torch.equal(fed.logits(), expected) and fixed_weights(fed.model) == fixed
    before = weights(fed.encoder)
    layers, after = layers_of(fed.encoder.backbone)
    assert layers
    learning = {id(p) for module in [layers[-1], *after] for p in module.parameters()}
    plain = Fed(name, tmp_path / "plain").encoder
    never = fixed_weights(plain)
    for key, parameter in fed.encoder.backbone.named_parameters():
        learns = id(parameter) in learning and f"backbone.{key}" not in never
        assert parameter.requires_grad == learns, key
    fed.train()
    assert not any(module.training for layer in layers[:-1] for module in layer.modules())
    assert any(module.training for module in layers[-1].modules())
    changed = {key for key, value in fed.encoder.state_dict().items() if not torch.equal(value, before[key])}
    fixed = set(fixed_weights(fed.encoder))
    assert changed and not changed & fixed


def test_a_last_norm_learns_with_the_last_layer(tmp_path):
    for name, norm in {"vit": "layernorm", "t5": "final_layer_norm", "whisper": "layer_norm"}.items():
        fed = Fed(name, tmp_path / name, unfreeze_last=1)
        assert getattr(fed.encoder.backbone, norm).weight.requires_grad
    sizes = SMALL | WAVES | {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
    model = hf.Wav2Vec2Model(hf.Wav2Vec2Config(**sizes))
    layers, after = layers_of(model)
    assert layers == list(model.encoder.layers) and model.encoder.layer_norm in after


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"lora": True}, "a model of type 'resnet' has no linear layer that lora could adapt"),
        ("bert", {"lora": {"targets": ["quary"]}}, "no linear layer 'quary' for lora. Did you mean 'query'?"),
        ("bert", {"lora": {"rnk": 8}}, "lora has no option 'rnk'. Did you mean 'rank'?"),
        ("bert", {"unfreeze_last": 3}, "'unfreeze_last' is 3, but this model of type 'bert' has 2 layers"),
        ("bert", {"freeze": True, "lora": True}, "'freeze' and 'lora' exclude each other"),
        ("bert", {"freeze": True, "unfreeze_last": 1}, "'freeze' and 'unfreeze_last' exclude each other"),
        ("bert", {"lora": {}, "unfreeze_last": 1}, "'lora' and 'unfreeze_last' exclude each other"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, name, options, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        Fed(name, tmp_path, **options)


def test_adapters_in_the_last_layers_alone(tmp_path):
    CHECKPOINTS["bert"].save(tmp_path)
    encoder = TextEncoder(tmp_path, lora={"rank": 2, "last": 1})
    learns = [name for name, weight in encoder.backbone.named_parameters() if weight.requires_grad]
    assert learns and all("layer.1." in name and "lora" in name for name in learns)
    assert encoder.settings()["lora"]["last"] == 1
    with pytest.raises(ConfigError, match=r"'lora\.last' is 3, but this model of type 'bert' has 2 layers"):
        TextEncoder(tmp_path, lora={"last": 3})
