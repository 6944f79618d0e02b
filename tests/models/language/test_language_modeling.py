"""What stands where: items and their placeholders, counted, matched, idle; how a model is run and loaded."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig, TextIteratorStreamer

from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.errors import RunError
from polymodal.models import PolymodalForConditionalGeneration, PolymodalLanguageConfig
from polymodal.models.encoders import AudioEncoder, Encoder, SequenceEncoder, TextEncoder
from tests.support.component_cases import BERT, CNN, ENCODER_CASES, collate
from tests.support.speakers import (
    CONNECTORS,
    ENCODERS,
    EOS,
    INPUT,
    LANGUAGE_MODELS,
    MISSING,
    PLACEHOLDER,
    Before,
    Speaker,
    assert_said,
    idle,
    items_of,
    make_speaker,
    make_tokenizer,
)


@pytest.fixture
def speak(language_models: dict[str, Any], encoders: dict[str, Before]) -> Any:
    """Makes a model of parts by their names."""

    def make(encoder: str = "audio", language_model: str = "llama", connector: str = "mlp") -> Speaker:
        before = encoders[encoder]
        return Speaker(make_speaker(before, language_models[language_model], connector), before.items)

    return make


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_items_are_counted_as_they_are_given(speak, encoder, connector):
    speaker = speak(encoder, connector=connector)
    values = items_of(speaker.rows)[INPUT]
    given = {name: value for name, value in values.items() if name != "row"}
    for learns in (True, False):
        speaker.model.train(learns)
        counted = speaker.model.count_tokens(INPUT, given)
        assert speaker.model.encoder(INPUT).training is learns
        assert [speaker.length(item) for item in speaker.items] == counted.tolist()
    with torch.no_grad():
        _, mask = speaker.model.connector(INPUT)(speaker.model.encoder(INPUT)(**values))
    assert torch.equal(counted, mask.sum(dim=1)) and (counted > 0).all()


def varying() -> dict[str, tuple[Encoder, str]]:
    """Encoders that in training read more or less of an item than there is, and whose items they read."""
    audio = {"rate": 2000, "seconds": 0.5, "bins": 16, "tokens": 8, **CNN}
    tokenizer = train_tokenizer([])
    return {
        "words left out": (TextEncoder(tokenizer=tokenizer, word_dropout=0.6, tokens=6, **BERT), "text"),
        "sound moved": (AudioEncoder(time_shift=0.9, **audio), "audio"),
        "sound stretched": (AudioEncoder(warp=0.5, masking=0.5, **audio), "audio"),
        "steps stretched": (
            SequenceEncoder(features=5, length=20, patch=2, tokens=6, warp=0.5, **BERT), "sequence",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("change", list(varying()))
def test_an_item_that_training_changes_takes_its_places_still(language_models, change):
    torch.manual_seed(0)
    encoder, modality = varying()[change]
    items = [ENCODER_CASES[modality].item() for _ in range(3)]
    speaker = Speaker(make_speaker(Before(encoder, items), language_models["llama"]), items)
    batch = speaker.batch()
    taken = torch.tensor([speaker.length(item) for item in items])
    speaker.model.train()
    for _ in range(5):  # counted without chance
        assert [speaker.length(item) for item in items] == taken.tolist()
    losses = set()
    for _ in range(20):
        inputs = {INPUT: {**batch["inputs"][INPUT], "taken": taken}}
        loss = speaker.model.train()(**{**batch, "inputs": inputs}).loss
        loss.backward()
        losses.add(loss.item())
    assert len(losses) > 3 and all(loss < float("inf") for loss in losses)


@pytest.mark.parametrize("connector", CONNECTORS)
def test_items_and_placeholders_that_do_not_match_are_refused(speak, connector):
    speaker = speak(connector=connector)
    batch = speaker.batch()
    ids, inputs = batch["input_ids"], batch["inputs"]
    wanted = int((ids == PLACEHOLDER).sum())
    one_more = ids.clone()
    one_more[1, 0] = PLACEHOLDER
    one_fewer = torch.where((ids == PLACEHOLDER).cumsum(dim=1) == 1, 9, ids)
    two_of_three = items_of([speaker.rows[3]])
    given = int(
        speaker.model.count_tokens(INPUT, {k: v for k, v in two_of_three[INPUT].items() if k != "row"}).sum()
    )
    for ids_given, inputs_given, places, vectors in (
        (one_more, inputs, wanted + 1, wanted),
        (one_fewer, inputs, int((one_fewer == PLACEHOLDER).sum()), wanted),
        (ids, two_of_three, wanted, given),
        (ids, {}, wanted, 0),
        (ids, None, wanted, 0),
        (torch.full((1, 4), 9), inputs, 0, wanted),
    ):
        message = f"'{INPUT}' has {places} placeholders, and its items give {vectors} vectors"
        with pytest.raises(ValueError, match=message):
            speaker.model.embed(ids_given, inputs_given)


def test_vectors_lie_in_their_placeholders_and_words_stay(speak):
    speaker = speak()
    batch = speaker.batch()
    model, ids = speaker.model, batch["input_ids"]
    embeds = model.embed(ids, batch["inputs"])
    words = (ids != PLACEHOLDER) & (ids != MISSING)
    assert torch.equal(embeds[words], model.get_input_embeddings()(ids)[words])
    lacking = embeds[ids == MISSING]
    assert len(lacking) == 2 and torch.equal(lacking, model.connector(INPUT).missing.expand(2, -1))
    start = 0
    for item in speaker.items:  # one after another, row by row
        values = {key: value[None] for key, value in item.items()}
        vectors, mask = model.connector(INPUT)(model.encoder(INPUT)(row=torch.arange(1), **values))
        place = embeds[ids == PLACEHOLDER][start : start + int(mask.sum())]
        torch.testing.assert_close(place, vectors[mask])
        start += len(place)


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_idle_item_changes_nothing_and_gives_every_weight_a_gradient(speak, encoder, connector):
    speaker = speak(encoder, connector=connector)
    model = speaker.model.eval()
    batch = speaker.batch([speaker.rows[1], speaker.rows[2]])
    without = model(**batch).loss
    found = model(**{**batch, "inputs": idle(speaker.items)}).loss
    assert torch.equal(found, without)
    found.backward()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        if not name.startswith("language_model."):
            assert weight.grad.any() == name.endswith(".missing"), name


def test_a_batch_in_which_nothing_is_learned_gives_nothing_to_learn(speak):
    speaker = speak()
    batch = speaker.batch()
    output = speaker.model(**{**batch, "labels": torch.full_like(batch["labels"], -100)})
    assert output.loss == 0 and output.logits.shape[1] == 0
    output.loss.backward()
    gradients = [weight.grad for weight in speaker.model.parameters() if weight.requires_grad]
    assert all(gradient is None or not gradient.any() for gradient in gradients)
    assert not speaker.model.connector(INPUT).missing.grad.any()


@pytest.mark.parametrize("language_model", LANGUAGE_MODELS)
def test_every_row_is_answered_as_it_is_alone(speak, language_model):
    speaker = speak("sequence", language_model)
    for options in ({}, {"num_beams": 2}, {"num_beams": 3, "num_return_sequences": 1, "length_penalty": 2.0}):
        together = speaker.answers(max_new_tokens=8, **options)
        for place, row in enumerate(speaker.rows):
            assert_said(together[place], speaker.answers([row], max_new_tokens=8, **options)[0])
    assert torch.equal(speaker.answers(max_new_tokens=8, use_cache=False), speaker.answers(max_new_tokens=8))


def test_drawn_answers_hang_on_the_seed(speak):
    speaker = speak()

    def draw(seed: int) -> list[list[int]]:
        torch.manual_seed(seed)
        return speaker.answers(do_sample=True, temperature=3.0, max_new_tokens=8).tolist()

    assert draw(0) == draw(0) != draw(1)


def test_an_answer_is_streamed(speak):
    speaker, tokenizer = speak(), make_tokenizer()
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, timeout=10)
    said = speaker.answers(speaker.rows[:1], max_new_tokens=8, streamer=streamer)[0]
    assert "".join(streamer) == tokenizer.decode(said)


def two_inputs(language_model: Any) -> tuple[PolymodalForConditionalGeneration, dict[str, Any]]:
    """A model whose first and last input share an encoder, each with a connector of its own; and a batch."""
    torch.manual_seed(0)
    number, steps = ENCODER_CASES["number"].make(), ENCODER_CASES["sequence"].make()
    model = PolymodalForConditionalGeneration.from_parts(
        {"b": number, "a": steps, "values": number},
        copy.deepcopy(language_model),
        {"b": (30, 33), "a": (31, 34), "values": (32, 35)},
        {"a": CONNECTORS["resampler"], "values": CONNECTORS["resampler"]},
    )
    make, hear = ENCODER_CASES["number"].item, ENCODER_CASES["sequence"].item
    rows = [{"a": [hear(), hear()], "b": [make()]}, {"values": [make()], "b": [make(), make()]}]
    ids = [[31] * 3 + [5, 30, 7] + [31] * 3 + [8, 35], [30, 34, 6, 32, 32, 32, 9, 10, 30, 11, EOS]]
    return model.eval(), {"input_ids": torch.tensor(ids), "inputs": collate(rows)["inputs"]}


def test_inputs_may_share_an_encoder_and_stand_in_any_order(language_models, tmp_path):
    model, batch = two_inputs(language_models["llama"])
    model.save_pretrained(tmp_path)
    loaded = PolymodalForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.input_names == ["b", "a", "values"] and len(loaded.encoders) == 2
    with torch.no_grad():
        expected = model(**batch).logits
        assert torch.equal(loaded(**batch).logits, expected)
        swapped = dict(reversed(batch["inputs"].items()))
        assert torch.equal(model(**{**batch, "inputs": swapped}).logits, expected)
    vectors = model.embed(batch["input_ids"], batch["inputs"])
    number = {"value": batch["inputs"]["b"]["value"][:1], "row": torch.arange(1)}
    first, _ = model.connector("b")(model.encoder("b")(**number))
    torch.testing.assert_close(vectors[0, 4], first[0, 0])
    assert torch.equal(vectors[0, -1], model.connector("values").missing)
    assert torch.equal(vectors[1, 1], model.connector("a").missing)


@pytest.mark.parametrize("language_model", LANGUAGE_MODELS)
def test_auto_classes_load_what_was_saved(speak, tmp_path, language_model):
    speaker = speak("image", language_model)
    speaker.model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, PolymodalLanguageConfig) and config.input_names == [INPUT]
    assert config.text_config.model_type == language_model
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert isinstance(loaded, PolymodalForConditionalGeneration) and not loaded.training
    assert torch.equal(Speaker(loaded, speaker.items).logits(), speaker.logits())
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"config.json", "generation_config.json", "model.safetensors"}


def test_the_first_and_last_layer_of_a_loaded_model_are_tied_where_they_were(speak, tmp_path):
    for name, is_tied in (("llama", False), ("qwen3", True), ("gpt2", True)):
        speaker = speak(language_model=name)
        speaker.model.save_pretrained(tmp_path / name)
        loaded = PolymodalForConditionalGeneration.from_pretrained(tmp_path / name)
        first, last = loaded.get_input_embeddings(), loaded.get_output_embeddings()
        assert (first.weight is last.weight) is is_tied
        losses = [Speaker(model, speaker.items).train(steps=2) for model in (copy.deepcopy(loaded), loaded)]
        assert losses[0][0] > losses[0][-1] and (first.weight is last.weight) is is_tied


@pytest.mark.parametrize("language_model", LANGUAGE_MODELS)
@pytest.mark.parametrize("encoder", ["siglip", "wav2vec2", "bert", "image"])
def test_gradient_checkpointing_changes_nothing(speak, encoder, language_model):
    speaker = speak(encoder, language_model)

    def gradients(checkpoints: bool) -> dict[str, Tensor]:
        model = copy.deepcopy(speaker.model).train()
        if checkpoints:
            model.activation_checkpointing_enable()
            assert model.language_model.is_activation_checkpointing
        torch.manual_seed(0)  # of dropout
        loss = model(**speaker.batch()).loss
        loss.backward()
        named = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
        return {"loss": loss.detach(), **named}

    expected, found = gradients(False), gradients(True)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_half_precision_says_nearly_the_same(speak, tmp_path, encoder, connector):
    speaker = speak(encoder, connector=connector)
    expected = speaker.model.eval()(**speaker.batch()).loss.item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = speaker.model(**speaker.batch()).loss
        assert speaker.answers().shape[0] == len(speaker.rows)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=0.02)
    assert all(w.grad.isfinite().all() for w in speaker.model.parameters() if w.requires_grad)

    speaker.model.save_pretrained(tmp_path)
    half = PolymodalForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    speaker = Speaker(half, speaker.items)
    loss = half(**speaker.batch()).loss
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=0.05)
    assert speaker.answers().shape[0] == len(speaker.rows)


@pytest.mark.parametrize(
    "where", ["cpu", "auto", {"": "cpu"}, {"encoders": "cpu", "connectors": "cpu", "language_model": "cpu"}]
)
def test_a_device_map_is_passed_through(speak, tmp_path, where):
    speaker = speak("image")
    speaker.model.save_pretrained(tmp_path)
    loaded = PolymodalForConditionalGeneration.from_pretrained(tmp_path, device_map=where)
    assert torch.equal(Speaker(loaded, speaker.items).logits(), speaker.logits())
    assert torch.equal(Speaker(loaded, speaker.items).answers(), speaker.answers())


def test_the_kind_of_attention_is_chosen_when_loading(speak, tmp_path):
    speaker = speak()
    speaker.model.save_pretrained(tmp_path)
    for kind in ("eager", "sdpa"):
        loaded = PolymodalForConditionalGeneration.from_pretrained(tmp_path, attn_implementation=kind)
        assert loaded.language_model.config._attn_implementation == kind
        found = Speaker(loaded, speaker.items).logits()
        torch.testing.assert_close(found, speaker.logits(), atol=2e-5, rtol=1e-4)


def test_how_a_language_model_wants_to_be_decoded_is_kept(encoders, language_models, tmp_path):
    language_model = copy.deepcopy(language_models["llama"])
    settings = {"eos_token_id": [EOS, 7], "do_sample": True, "top_k": 1, "repetition_penalty": 1.5}
    language_model.generation_config = GenerationConfig(pad_token_id=0, **settings)
    before = encoders["number"]
    speaker = Speaker(make_speaker(before, language_model), before.items)
    speaker.model.save_pretrained(tmp_path)
    loaded = Speaker(PolymodalForConditionalGeneration.from_pretrained(tmp_path), before.items)
    for name, value in settings.items():
        assert getattr(loaded.model.generation_config, name) == value
    plain = Speaker(make_speaker(before, language_models["llama"]), before.items)
    said = speaker.answers(max_new_tokens=8)
    assert torch.equal(loaded.answers(max_new_tokens=8), said)
    assert not torch.equal(plain.answers(max_new_tokens=8), said)
    loaded.model.generation_config.max_new_tokens = 2
    assert loaded.model.generate(**loaded.batch(left=True)).shape[1] <= 2
    given = GenerationConfig(max_new_tokens=8)  # what it leaves open stays as it was
    asked = loaded.batch(left=True)
    assert torch.equal(loaded.model.generate(**asked, generation_config=given), said)


def test_a_folder_that_lacks_weights_is_refused(speak, tmp_path):
    speak().model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["connectors.0.linear_2.bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"lacks the weights connectors\.0\.linear_2\.bias: it was not saved"):
        PolymodalForConditionalGeneration.from_pretrained(tmp_path)


def test_a_folder_of_a_newer_version_is_refused(speak, tmp_path):
    speak().model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format": 99, "polymodal_version": "9.1"}))
    with pytest.raises(RunError, match=r"written by polymodal 9\.1 in format 99"):
        PolymodalForConditionalGeneration.from_pretrained(tmp_path)
