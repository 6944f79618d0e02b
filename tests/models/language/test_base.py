"""Language models: from scratch, from checkpoints, with an adapter folded in; and mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from torch import Tensor

from polymodal.config import LanguageModelConfig
from polymodal.errors import ConfigError
from polymodal.models import PolymodalForConditionalGeneration
from polymodal.models.language.base import SMALL, build_language_model
from tests.support.checkpoints import CHECKPOINTS
from tests.support.speakers import (
    EOS,
    LANGUAGE_MODELS,
    LLAMA,
    PAD,
    VOCABULARY,
    WORDS_OF,
    Speaker,
    make_speaker,
    make_tokenizer,
    read_language_model,
    save_language_model,
)

TINY = {key: value for key, value in LLAMA.items() if key != "max_position_embeddings"}
IDS = torch.arange(2, 16).view(2, 7)
LAYERS = {"llama": ["q_proj", "down_proj"], "qwen3": ["k_proj", "gate_proj"], "gpt2": ["c_attn", "c_fc"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each kind, by its name."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in LANGUAGE_MODELS:
        save_language_model(name, folder / name)
    return folder


def build(**settings: Any) -> hf.PreTrainedModel:
    return build_language_model(LanguageModelConfig(**settings), make_tokenizer(), VOCABULARY)


def logits_of(model: Any) -> Tensor:
    """Of the words that were there before placeholders were added."""
    with torch.no_grad():
        return model.eval()(IDS).logits[..., :VOCABULARY]


def test_the_default_is_small_and_speaks_as_its_tokenizer():
    model = build()
    assert model.config.model_type == "qwen3" and model.training
    assert {name: getattr(model.config, name) for name in SMALL} == SMALL
    assert model.get_input_embeddings().num_embeddings == VOCABULARY + 2 == model.config.vocab_size
    assert (model.config.eos_token_id, model.config.pad_token_id) == (EOS, PAD)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_sizes_take_the_place_of_defaults():
    assert build(num_hidden_layers=1, hidden_size=64).config.hidden_size == 64
    model = build(type="gpt2", n_embd=16, n_layer=1, n_head=2, n_positions=50, attention="eager")
    assert model.config.n_positions == 50 and len(model.transformer.h) == 1
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_size": 8}, r"the model type 'qwen3' has no size 'hiden_size'\. Did you mean 'hidden_size'"),
        ({"hidden_size": "wide"}, r"the model type 'qwen3' refuses .*expected int, got str"),
        ({"type": "gpt2", "n_embd": 16, "n_head": 3}, r"the model type 'gpt2' refuses .*must be divisible"),
        ({"type": "qwn3"}, r"there is no causal language model of the type 'qwn3'\. Did you mean 'qwen3'"),
        ({"type": "vit"}, r"there is no causal language model of the type 'vit'"),
        ({"type": "bert", **TINY}, r"the model type 'bert' has no size 'num_key_value_heads'"),
        (
            {"type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            r"the model type 'bert' reads what comes after a word too\. Take a causal one, such as qwen3",
        ),
        ({"vocab_size": 99}, r"'vocab_size' of a language model from scratch is its tokenizer's\. Leave it"),
    ],
)
def test_a_model_from_scratch_that_cannot_be_is_refused(settings, message):
    assert_refused(message, lambda: build(**settings))


def assert_refused(message: str, make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_checkpoint_grows_by_the_placeholders_and_says_what_it_said(folder, name):
    reference = hf.AutoModelForCausalLM.from_pretrained(folder / name)
    model = read_language_model(folder / name)
    assert model.get_input_embeddings().num_embeddings == VOCABULARY + 2 == model.config.vocab_size
    torch.testing.assert_close(logits_of(model), logits_of(reference), atol=1e-5, rtol=1e-5)
    known = reference.get_input_embeddings().weight
    assert torch.equal(model.get_input_embeddings().weight[:VOCABULARY], known)
    assert all(weight.requires_grad and weight.data_ptr() % 64 == 0 for weight in model.parameters())


def test_spare_rows_of_a_checkpoint_stay(folder, tmp_path):
    model = LANGUAGE_MODELS["llama"]()
    model.resize_token_embeddings(64)
    model.save_pretrained(tmp_path)
    assert read_language_model(tmp_path).get_input_embeddings().num_embeddings == 64


def test_a_checkpoint_in_half_precision_is_read_in_full(tmp_path):
    LANGUAGE_MODELS["llama"]().half().save_pretrained(tmp_path)
    assert {weight.dtype for weight in read_language_model(tmp_path).parameters()} == {torch.float32}


def test_a_checkpoint_that_cannot_be_is_refused(folder, tmp_path):
    many = make_tokenizer(words=90)
    named = LanguageModelConfig(checkpoint=str(folder / "llama"))
    message = r"knows 42 tokens, its tokenizer 92: they are of different models\. Give the folder of both"
    assert_refused(message, lambda: build_language_model(named, many, 92))
    assert_refused(
        r"is a checkpoint: it has its own sizes, 'hidden_size' cannot be set",
        lambda: read_language_model(folder / "llama", hidden_size=8),
    )
    assert_refused(r"there is no such folder", lambda: read_language_model(folder / "nowhere"))
    CHECKPOINTS["siglip"].save(tmp_path / "siglip")
    assert_refused(r"is no readable checkpoint", lambda: read_language_model(tmp_path / "siglip"))
    CHECKPOINTS["bert"].save(tmp_path / "bert")
    assert_refused(
        r"is of no language model: it lacks the weights cls\.predictions\.bias",
        lambda: read_language_model(tmp_path / "bert"),
    )
    hf.BertLMHeadModel(
        hf.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(tmp_path / "both ways")
    assert_refused(r"both ways' reads what comes after", lambda: read_language_model(tmp_path / "both ways"))


def adapt(base: Path, folder: Path, kind: Any = None, **options: Any) -> peft.PeftModel:
    """A PEFT adapter of ``base`` with random weights, saved as PEFT saves it."""
    torch.manual_seed(5)
    model = hf.AutoModelForCausalLM.from_pretrained(base)
    defaults = {"r": 2, "init_lora_weights": False, "task_type": "CAUSAL_LM"}
    adapted = peft.get_peft_model(model, kind or peft.LoraConfig(**(defaults | options)))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "modules_to_save" in name:
                weight += 0.1 * torch.randn_like(weight)
    adapted.save_pretrained(folder)
    return adapted


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_an_adapter_is_folded_in_exactly(folder, tmp_path, name, dora):
    adapted = adapt(folder / name, tmp_path, target_modules=LAYERS[name], use_dora=dora)
    model = read_language_model(folder / name, adapter=str(tmp_path))
    expected = logits_of(adapted)
    assert not torch.allclose(expected, logits_of(read_language_model(folder / name)), atol=0.1)
    torch.testing.assert_close(logits_of(model), expected, atol=2e-5, rtol=1e-5)
    merged = adapted.merge_and_unload().state_dict()
    found = model.state_dict()
    assert found.keys() == merged.keys()
    for key, value in merged.items():
        assert torch.equal(found[key][: len(value)], value), key
    assert type(model) is type(LANGUAGE_MODELS[name]()) and model.training is False
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2"])
def test_an_adapters_own_last_layer_is_saved_with_the_whole(folder, tmp_path, name, encoders):
    saved = ["lm_head"]
    adapted = adapt(folder / name, tmp_path / "a", target_modules=LAYERS[name], modules_to_save=saved)
    model = read_language_model(folder / name, adapter=str(tmp_path / "a"))
    torch.testing.assert_close(logits_of(model), logits_of(adapted), atol=2e-5, rtol=1e-5)
    before = encoders["number"]
    speaker = Speaker(make_speaker(before, model), before.items)
    speaker.model.save_pretrained(tmp_path / "whole")
    loaded = PolymodalForConditionalGeneration.from_pretrained(tmp_path / "whole")
    assert torch.equal(Speaker(loaded, before.items).logits(), speaker.logits())


def other_llama(folder: Path, **sizes: Any) -> Path:
    hf.LlamaForCausalLM(hf.LlamaConfig(**(LLAMA | WORDS_OF | sizes))).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ({"hidden_size": 32}, r"size mismatch"),
        ({"num_hidden_layers": 3}, r"layers\.2\..*lora_A.* is in one of them only"),
        ({"num_hidden_layers": 1}, r"layers\.1\..*lora_A.* is in one of them only"),
    ],
    ids=["wider", "deeper", "shallower"],
)
def test_an_adapter_of_another_base_is_refused(folder, tmp_path, sizes, found):
    base = other_llama(tmp_path / "other", **sizes)
    adapt(base, tmp_path / "a", target_modules=LAYERS["llama"])
    message = rf"adapter '.*a' is not of '.*llama', but of '.*other'.*{found}"
    assert_refused(message, lambda: read_language_model(folder / "llama", adapter=str(tmp_path / "a")))


def test_an_adapter_of_another_architecture_is_refused(folder, tmp_path):
    adapt(folder / "llama", tmp_path / "a", target_modules=LAYERS["llama"])
    message = r"adapter '.*a' is not of '.*gpt2', but of '.*llama' \(Target modules .* not found"
    assert_refused(message, lambda: read_language_model(folder / "gpt2", adapter=str(tmp_path / "a")))


def test_a_folder_that_is_no_adapter_is_refused(folder, tmp_path):
    def read(name: str) -> Any:
        return read_language_model(folder / "llama", adapter=str(tmp_path / name))

    lacks = r"adapter '.*': there is no adapter_config\.json, expected a folder of PEFT's"
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        assert_refused(lacks, lambda name=name: read(name))
    adapt(folder / "llama", tmp_path / "a", target_modules=LAYERS["llama"])
    config = tmp_path / "a" / "adapter_config.json"
    settings = json.loads(config.read_text())
    config.write_text("{")
    assert_refused(r"adapter '.*a': its adapter_config\.json cannot be read", lambda: read("a"))
    config.write_text(json.dumps(settings))
    (tmp_path / "a" / "adapter_model.safetensors").rename(tmp_path / "weights")
    assert_refused(r"adapter '.*a': there is no adapter_model\.safetensors", lambda: read("a"))
    prompt = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    adapt(folder / "llama", tmp_path / "p", prompt)
    assert_refused(r"adapter '.*p' is of the kind PROMPT_TUNING, which goes beside no", lambda: read("p"))
