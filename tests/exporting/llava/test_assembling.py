"""A model as LLaVA: the same logits and answers, by Transformers' own classes."""

import json

import pytest
import torch
from safetensors.torch import load_file

import polymodal as pm
from polymodal.data.chat.messages import Media, Message
from polymodal.exporting.llava import to_llava
from polymodal.runs.answering import reply_batch
from tests.support.llava_runs import NAME, TALKS, Made, asked, read_by, save_tower

PAIRS = [
    ("clip", "llama", -2, False), ("clip", "qwen3", -1, True), ("siglip", "qwen3", -2, False),
    ("siglip", "llama", 1, True),
]  # fmt: skip


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towers")
    return {kind: save_tower(folder / kind, kind) for kind in ("clip", "siglip")}


@torch.no_grad()
def assert_equal(made, llava, processor, talks=TALKS, near=1e-5):
    own, theirs = made.batch(talks), read_by(processor, talks)
    assert torch.equal(theirs["input_ids"], own["input_ids"])
    assert torch.equal(theirs["attention_mask"], own["attention_mask"])
    if "pixel_values" in theirs:
        assert torch.equal(theirs["pixel_values"], own["inputs"][NAME]["pixel_values"])
    expected, found = made.model(**own).logits, llava(**theirs).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, rtol=0, atol=near)
    said = made.model.generate(**own, max_new_tokens=12)
    answers = llava.generate(**theirs, max_new_tokens=12)[:, own["input_ids"].shape[1] :]
    assert torch.equal(answers, said) and said.shape[1] > 1


@pytest.mark.parametrize("tower, words, layer, tied", PAIRS)
def test_it_says_what_the_model_says(towers, tmp_path, tower, words, layer, tied):
    made = Made(towers[tower], words, layer=layer, tied=tied)
    assert_equal(made, *made.exported(tmp_path))


@pytest.mark.parametrize("kind", ["mistral", "qwen2", "gemma3_text", "phi3", "olmo2"])
def test_other_language_models_whose_weights_have_llavas_names(towers, tmp_path, kind):
    made = Made(towers["clip"], kind, tied=True)
    assert_equal(made, *made.exported(tmp_path))


@pytest.mark.parametrize("dora", [False, True])
def test_adapters_are_folded_and_the_model_stays_as_it_is(towers, tmp_path, dora):
    made = Made(towers["siglip"], "qwen3", lora={"rank": 2, "dora": dora})
    made.model.adapt({"rank": 2, "dora": dora})
    for name, weight in made.model.named_parameters():
        if "lora_" in name:
            weight.data = 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name)))
    made.model.double()  # in which the sum of weight and adapter is rounded away from what is compared
    own = made.batch(TALKS)
    before = {name: weight.clone() for name, weight in made.model.state_dict().items()}
    with torch.no_grad():
        said = made.model(**own).logits
    assert_equal(made, *made.exported(tmp_path), near=1e-9)
    after = made.model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert made.model.config.lora["rank"] == 2 and made.model.encoder(NAME).lora["rank"] == 2
    with torch.no_grad():
        assert torch.equal(made.model(**own).logits, said)
    folded = set(load_file(tmp_path / "model.safetensors"))
    assert not any("lora" in name or "base_layer" in name for name in folded)


@pytest.mark.parametrize("tied", [False, True])
@torch.no_grad()
def test_a_missing_picture_is_a_token_with_what_was_learned_for_it(towers, tmp_path, tied):
    made = Made(towers["clip"], "llama", tied=tied)
    llava, processor = made.exported(tmp_path)
    lacking = (Message("user", (Media(NAME, None), "\nWhat is it?")),)
    own = reply_batch(made.processor, [made.processor.encode(lacking, reply=True)])
    assert NAME not in own["inputs"]
    written = read_by(processor, [asked(f"<|no {NAME}|>\nWhat is it?")])
    assert torch.equal(written["input_ids"], own["input_ids"])
    torch.testing.assert_close(llava(**written).logits, made.model(**own).logits, rtol=0, atol=1e-5)


def test_the_files_are_those_of_llava_on_the_hub(towers, tmp_path):
    """Names as in llava-hf/llava-1.5-7b-hf; what vLLM needs to find the language model."""
    Made(towers["siglip"], "qwen3", layer=2, tied=True).exported(tmp_path / "siglip")
    weights = load_file(tmp_path / "siglip/model.safetensors")
    parts = {name.split(".layers.")[0] for name in weights if ".layers." in name}
    assert parts == {"language_model.model", "vision_tower.vision_model.encoder"}
    assert "language_model.lm_head.weight" in weights and not any(".head." in name for name in weights)
    config = json.loads((tmp_path / "siglip/config.json").read_text())
    assert config["text_config"]["architectures"] == ["Qwen3ForCausalLM"]
    assert not config["tie_word_embeddings"] and not config["text_config"]["tie_word_embeddings"]
    assert config["vision_config"]["vision_use_head"] is False
    assert (config["vision_feature_layer"], config["vision_feature_select_strategy"]) == (2, "full")
    Made(towers["clip"], "llama").exported(tmp_path / "clip")
    config = json.loads((tmp_path / "clip/config.json").read_text())
    assert (config["vision_feature_layer"], config["vision_feature_select_strategy"]) == (-2, "default")
    assert config["image_seq_length"] == 16 and config["image_token_index"] == 307
    assert str(tmp_path) not in json.dumps(config) and towers["clip"] not in json.dumps(config)


def test_the_models_own_configuration_stays_as_it_is(towers):
    made = Made(towers["siglip"], "llama", tied=True)
    parts = [made.model.config, made.model.language_model.config, made.model.encoder(NAME).backbone.config]
    before = [part.to_dict() for part in parts]
    chosen = [part._attn_implementation for part in parts]
    template, side = made.tokenizer.chat_template, made.tokenizer.padding_side
    to_llava(made.model, made.tokenizer, made.part, made.placeholder)
    assert [part.to_dict() for part in parts] == before
    assert [part._attn_implementation for part in parts] == chosen
    assert (made.tokenizer.chat_template, made.tokenizer.padding_side) == (template, side)
    table = made.model.language_model.get_input_embeddings().weight
    assert table is made.model.language_model.get_output_embeddings().weight


def test_a_placeholder_of_another_tokenizer_is_refused(towers):
    made = Made(towers["clip"], "llama")
    with pytest.raises(pm.RunError, match=r"<\|image\|> at another place"):
        to_llava(made.model, made.tokenizer, made.part, "<|image|>")
