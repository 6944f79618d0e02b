"""Low-rank adapters beside a language model: they learn alone, are saved, and are folded in."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from polymodal.errors import ConfigError
from polymodal.models import PolymodalForConditionalGeneration
from tests.support.speakers import (
    LANGUAGE_MODELS,
    Before,
    Speaker,
    make_speaker,
    read_language_model,
    save_language_model,
)

KINDS = [(name, dora) for dora in (False, True) for name in LANGUAGE_MODELS]


def make_adapted(name: str, encoders: dict[str, Before], folder: Path) -> Speaker:
    """A model whose weights are small, as fresh ones are, so that rounding is too."""
    language_model = read_language_model(save_language_model(name, folder, deviation=0.02))
    before = encoders["audio"]
    return Speaker(make_speaker(before, language_model), before.items)


@dataclass
class Adapted:
    """A model with adapters that took two steps, and its weights before them."""

    speaker: Speaker
    before: dict[str, Tensor]
    settings: dict[str, object]


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}-{'dora' if kind[1] else 'lora'}")
def adapted(
    request: pytest.FixtureRequest, encoders: dict[str, Before], tmp_path_factory: pytest.TempPathFactory
) -> Adapted:
    name, dora = request.param
    speaker = make_adapted(name, encoders, tmp_path_factory.mktemp(name))
    untouched = speaker.logits()
    speaker.model.adapt({"rank": 2, "dora": dora})
    torch.testing.assert_close(speaker.logits(), untouched, atol=1e-6, rtol=0)  # they add nothing as yet
    before = copy.deepcopy(speaker.model.state_dict())
    speaker.train(steps=2)
    settings = {"rank": 2, "alpha": 16.0, "dropout": 0.0, "targets": None, "dora": dora}
    return Adapted(speaker, before, settings)


def read(folder: Path, adapted: Adapted) -> Speaker:
    loaded, info = PolymodalForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return Speaker(loaded, adapted.speaker.items)


def learning(model: torch.nn.Module) -> list[str]:
    return [name for name, weight in model.named_parameters() if weight.requires_grad]


def test_adapters_alone_learn_of_the_language_model(adapted):
    model, now = adapted.speaker.model, adapted.speaker.model.state_dict()
    named = [name for name in learning(model) if name.startswith("language_model.")]
    assert named and all(".lora_" in name for name in named)
    assert any("lora_magnitude_vector" in name for name in named) is adapted.settings["dora"]
    for name, weight in now.items():
        changes = name in named or name.startswith(("encoders.", "connectors."))
        if changes and not name.endswith((".mel.window", ".mel.filters")):
            assert not torch.equal(weight, adapted.before[name]), name
        else:
            assert torch.equal(weight, adapted.before[name]), name


def test_what_is_saved_is_read_with_its_adapters_to_the_last_bit(adapted, tmp_path):
    adapted.speaker.model.save_pretrained(tmp_path)
    loaded = read(tmp_path, adapted)
    assert loaded.model.config.lora == adapted.speaker.model.config.lora == adapted.settings
    assert learning(loaded.model) == learning(adapted.speaker.model)
    assert torch.equal(loaded.logits(), adapted.speaker.logits())
    losses = [
        Speaker(model, loaded.items).train(steps=1) for model in (copy.deepcopy(loaded.model), loaded.model)
    ]
    assert losses[0][1] < losses[0][0]


def test_merged_adapters_say_the_same_and_are_gone(adapted, tmp_path):
    adapted.speaker.model.save_pretrained(tmp_path / "adapted")
    loaded, expected = read(tmp_path / "adapted", adapted), adapted.speaker.logits()
    before = copy.deepcopy(loaded.model.state_dict())
    assert loaded.model.merge() is loaded.model and loaded.model.config.lora is None
    torch.testing.assert_close(loaded.logits(), expected, atol=1e-6, rtol=0)
    weights = loaded.model.state_dict()
    assert not [name for name in weights if "lora" in name or "base_layer" in name]
    folded = [name for name in before if name.endswith("base_layer.weight")]
    for name in folded:
        assert not torch.allclose(weights[name.replace("base_layer.", "")], before[name], atol=1e-5), name
    assert folded and all(weight.requires_grad for weight in loaded.model.language_model.parameters())

    loaded.model.save_pretrained(tmp_path / "merged")
    again = read(tmp_path / "merged", adapted)
    assert again.model.state_dict().keys() == weights.keys()
    assert learning(again.model) == learning(loaded.model)
    assert torch.equal(again.logits(), loaded.logits())


def test_merging_nothing_changes_nothing(encoders, tmp_path):
    speaker = make_adapted("llama", encoders, tmp_path)
    expected = speaker.logits()
    assert torch.equal(Speaker(speaker.model.merge(), speaker.items).logits(), expected)


def test_new_adapters_fold_in_those_before_them(encoders, tmp_path):
    speaker = make_adapted("llama", encoders, tmp_path)
    speaker.model.adapt({"rank": 2})
    speaker.train(steps=2)
    expected = speaker.logits()
    speaker.model.adapt({"rank": 3, "targets": ["q_proj"]})
    torch.testing.assert_close(speaker.logits(), expected, atol=1e-6, rtol=0)
    adapters = [name for name in speaker.model.state_dict() if "lora_A" in name]
    assert len(adapters) == 2 and all(".q_proj." in name for name in adapters)
    assert {speaker.model.state_dict()[name].shape[0] for name in adapters} == {3}


def test_adapters_that_cannot_be_are_refused(encoders, tmp_path):
    model = make_adapted("gpt2", encoders, tmp_path).model
    with pytest.raises(ConfigError, match=r"a model of type 'gpt2' has no linear layer 'q_proj' for lora"):
        model.adapt({"targets": ["q_proj"]})
    with pytest.raises(ConfigError, match=r"lora has no option 'rnk'\. Did you mean 'rank'\?"):
        model.adapt({"rnk": 2})
    assert model.config.lora is None and all(w.requires_grad for w in model.language_model.parameters())
