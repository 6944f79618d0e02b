"""Parts of the export to Optimum's layout that need no conversion: graphs in PyTorch, files, refusals."""

import ast
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import polymodal as pm
from polymodal.artifact.run_folder import EXPORTED_WORDS
from polymodal.config.generation import DecodingConfig
from polymodal.errors import RunError
from polymodal.exporting.decoding_settings import decoding_settings
from polymodal.exporting.export import check_kind
from polymodal.exporting.optimum import writing
from polymodal.exporting.optimum.card import card, prompt_of
from polymodal.exporting.optimum.comparing import _own_logits, check_same, items_of, made_turns
from polymodal.exporting.optimum.decoding import greedy
from polymodal.exporting.optimum.graphs import (
    DecoderGraph,
    EmbeddingGraph,
    ItemGraph,
    decoder_example,
    item_tensors,
    past_of,
    takes_positions,
)
from polymodal.exporting.optimum.layout import ItemEntry, Layout, encoder_files
from polymodal.exporting.optimum.writing import write_settings
from polymodal.runs.answering import reply_batch
from polymodal.runtime.manifest import InputEntry, SourceRun
from polymodal.verification.optimum_path import beyond_greedy
from tests.support.command import error
from tests.support.llava_runs import language_model
from tests.support.talking_runs import make_talking_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_talking_run(tmp_path_factory.mktemp("talking") / "run", kinds=["image", "audio"])


def layout_of(words, **more):
    return Layout(
        run=SourceRun(name="run", identity="0"), context=64, positions=takes_positions(words),
        past=[[each.shape[1], each.shape[3]] for each in past_of(words)], **({"inputs": []} | more),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["qwen3", "gpt2", "bloom"])
@torch.no_grad()
def test_the_language_models_graph_continues_from_keys_and_values(kind):
    words = language_model(kind, 60).eval()
    layout = layout_of(words)
    example = decoder_example(words, layout, past_of(words))
    whole = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 13, 14]])
    graph = DecoderGraph(words, layout)
    assert example.names == layout.takes and len(example.tensors) == len(layout.takes)
    past = [torch.zeros(2, heads, 0, width) for heads, width in layout.past]
    for start, end in ((0, 3), (3, 5)):
        positions = [torch.arange(start, end).expand(2, -1)] if layout.positions else []
        logits, *past = graph([whole[:, start:end], torch.ones(2, end, dtype=torch.long), *positions, *past])
    torch.testing.assert_close(logits, words(input_ids=whole).logits[:, 3:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_graphs_of_items_and_ids_give_the_models_own_embeddings(run):
    turns = made_turns(run.processor)
    batch = reply_batch(run.processor, turns)
    ids = batch["input_ids"]
    missing = {each["missing"]: run.model.connector(each["name"]).missing for each in run.model.config.inputs}
    (embeds,) = EmbeddingGraph(run.model.get_input_embeddings(), missing)([ids])
    for name, tensors in items_of(run.processor, turns).items():
        entry = item_tensors(name, run.processor.readers[name])
        graph = ItemGraph(run.model.encoder(name), run.model.connector(name), entry)
        vectors, mask = graph([torch.from_numpy(tensors[each.name]) for each in entry.tensors])
        embeds[ids == run.processor.placeholders[name][0]] = vectors[mask]
    expected = run.model.embed(ids, batch["inputs"])
    torch.testing.assert_close(embeds, expected, atol=1e-5, rtol=1e-5)


def test_a_language_model_of_other_states_is_refused():
    config = AutoConfig.for_model("mamba", vocab_size=60, hidden_size=16, num_hidden_layers=2, state_size=4)
    with pytest.raises(RunError, match="type 'mamba' keeps other states than keys and values"):
        past_of(AutoModelForCausalLM.from_config(config).eval())


def test_what_is_no_run_of_words_or_one_input_alone_is_refused(run, tmp_path):
    with pytest.raises(RunError, match=r"optimum holds all inputs of a run\. Leave out inputs="):
        pm.export(run, to="optimum", inputs=["image"], output=tmp_path / "out")
    with pytest.raises(pm.ConfigError, match=r"no rows=, which is for onnx\. Leave it out"):
        pm.export(run, to="optimum", rows="t.csv", output=tmp_path / "out")
    with pytest.raises(
        RunError, match=r"answers in words, which onnx does not hold\. pm\.export\(run, to='optimum'"
    ):
        check_kind(run, "onnx")
    assert not (tmp_path / "out").exists()


def test_encoders_have_the_names_that_transformers_js_knows():
    names = encoder_files(["image", "audio", "image", "point cloud"])
    assert names == [
        "vision_encoder.onnx",
        "audio_encoder.onnx",
        "vision_encoder_2.onnx",
        "item_encoder.onnx",
    ]


def test_settings_and_tokenizer_are_the_runs_own(run, tmp_path):
    write_settings(run, run.model.language_model, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": "What is it?"}]
    given = {"tokenize": False, "add_generation_prompt": True}
    text = tokenizer.apply_chat_template(messages, **given)
    assert (
        text == run.processor.tokenizer.apply_chat_template(messages, **given)
        and tokenizer.padding_side == "left"
    )
    template = json.loads((tmp_path / "tokenizer_config.json").read_text())["chat_template"]
    assert template == (tmp_path / "chat_template.jinja").read_text()
    assert run.processor.tokenizer.padding_side == "right"
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    assert settings["eos_token_id"] == run.model.generation_config.eos_token_id
    assert settings["max_new_tokens"] == 12 and beyond_greedy(settings) is None
    assert AutoConfig.from_pretrained(tmp_path).architectures == ["Qwen3ForCausalLM"]


@pytest.fixture
def sampling():
    """What checkpoints of chat models have, and more that greedy decoding does not use."""
    return {
        "do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.1, "typical_p": 0.5,
        "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "length_penalty": 0.5, "early_stopping": True,
        "output_scores": True,
    }  # fmt: skip


def test_settings_of_sampling_are_left_out_of_what_decodes_greedily(sampling, tmp_path):
    run = make_talking_run(tmp_path / "run", kinds=[])
    run.model.generation_config.update(**sampling)
    write_settings(run, run.model.language_model, tmp_path)
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    assert settings.keys().isdisjoint(sampling.keys() - {"do_sample"}) and not settings.get("do_sample")
    assert settings["max_new_tokens"] == 12 and run.model.generation_config.top_k == 20


def test_settings_that_sample_or_have_beams_are_kept(sampling, tmp_path):
    run = make_talking_run(tmp_path / "run", kinds=[])
    run.model.generation_config.update(**sampling)
    run.generation.decoding = DecodingConfig(sample=True, temperature=0.7, beams=2)
    settings = decoding_settings(run)
    assert (settings.temperature, settings.top_k, settings.length_penalty) == (0.7, 20, 0.5)


def test_settings_that_cannot_be_written_are_refused_before_a_conversion(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "convert", lambda *given: pytest.fail("was converted"))
    monkeypatch.setattr(writing, "identity_of", lambda folder: "0")
    run = make_talking_run(tmp_path / "run", kinds=[])
    run.model.generation_config.pad_token_id = -1
    with pytest.raises(RunError, match=r"generation_config.json: Transformers refuses it .*pad_token_id"):
        writing.write(run, tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


class Shown:
    """An export of graphs that take and give nothing."""

    def __init__(self, folder, *entries):
        self.folder, self.layout = folder, layout_of(language_model("qwen3", 60), inputs=list(entries))

    def sessions(self):
        session = SimpleNamespace(get_inputs=list, get_outputs=list)
        return {entry.file: session for entry in self.layout.inputs} | {self.layout.decoder: session}


def test_names_in_a_card_are_no_code(run, tmp_path):
    name = "photo'\nimport os; os.abort()\n#\"|`"
    entry = ItemEntry(
        input=InputEntry(name=name, tensors=[]), modality="image\nos.abort()", file="vision_encoder.onnx",
        features="features", placeholder=f"<|{name}|>", placeholder_id=1, missing=f"<|no {name}|>",
        missing_id=2, settings={"a|`": 1},
    )  # fmt: skip
    text = card(run, Shown(tmp_path, entry))
    assert not [line for line in text.splitlines() if line.startswith(("import os;", "os.abort"))]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)}
    assert "os.abort" not in calls and "prompt.replace" in calls
    assert any(isinstance(n, ast.Constant) and n.value == f"<|{name}|>" for n in ast.walk(ast.parse(code)))
    (row,) = [
        line for line in text.splitlines() if "vision_encoder" in line and "photo" in line and "|" in line[:1]
    ]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_a_card_claims_transformers_js_for_weights_in_one_file_alone(tmp_path):
    run = make_talking_run(tmp_path / "run", kinds=[])
    (tmp_path / "onnx").mkdir()
    text = card(run, Shown(tmp_path))
    assert "and `pipeline` of transformers.js" in text and "library_name: transformers.js" in text
    (tmp_path / "onnx/model.onnx.data").write_bytes(b"")
    text = card(run, Shown(tmp_path))
    assert "`ORTModelForCausalLM` of `optimum-onnx` loads this folder." in text
    assert "pipeline` of" not in text and "library_name: onnx" in text


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_the_prompt_of_a_card_has_the_runs_system_message(system, tmp_path):
    run = make_talking_run(tmp_path / "run", kinds=[], system=system)
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": "What is it?"})
    expected = run.processor.tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    assert prompt_of(run, []) == expected


def test_a_layout_is_read_back_and_a_bad_one_refused(tmp_path):
    layout = layout_of(language_model("qwen3", 60))
    layout.write(tmp_path)
    assert Layout.read(tmp_path) == layout and layout.decoder == "model.onnx"
    for change, reason in (
        ({"format": 9, "polymodal": "9.9"}, "is of polymodal 9.9"),
        ({"past": 3}, "no readable"),
    ):
        (tmp_path / EXPORTED_WORDS).write_text(json.dumps(layout.to_dict() | change))
        with pytest.raises(RunError, match=reason):
            Layout.read(tmp_path)
    (tmp_path / EXPORTED_WORDS).unlink()
    with pytest.raises(RunError, match="no export to optimum"):
        Layout.read(tmp_path)


def test_a_command_on_runs_names_an_export_as_one(tmp_path):
    layout_of(language_model("qwen3", 60)).write(tmp_path)
    line = error(tmp_path.parent, "serve", tmp_path.name)
    assert line.startswith(f"{tmp_path.name}: is an export to optimum, expected a run. Name the run; ")


class Counting:
    """Prompts after which each row counts on from a number; the end is 9."""

    def __init__(self, *numbers):
        self.mask, self.logits = np.ones((len(numbers), 1)), np.eye(10)[list(numbers)]

    def add(self, tokens):
        self.logits = np.eye(10)[(tokens + 1).clip(max=9)] + np.eye(10)[3] * 5


def test_each_row_ends_by_itself_and_suppressed_tokens_are_passed_over():
    assert greedy(Counting(7, 5), 4, [9], 0, [3]).tolist() == [[7, 8, 9, 0], [5, 6, 7, 8]]
    assert greedy(Counting(7, 5), 2, [9], 0).tolist() == [[7, 3], [5, 3]]


def test_decoding_that_is_not_greedy_is_named():
    plain = {
        "max_new_tokens": 8,
        "do_sample": True,
        "temperature": 0.7,
        "num_beams": 1,
        "eos_token_id": [2],
        "repetition_penalty": 1.0,
    }
    assert beyond_greedy(plain) is None
    assert "no max_new_tokens" in (beyond_greedy({}) or "")
    assert "num_beams is 2" in (beyond_greedy(plain | {"num_beams": 2}) or "")


@pytest.mark.parametrize(
    "name", ["no_repeat_ngram_size", "min_new_tokens", "min_length", "encoder_no_repeat_ngram_size"]
)
def test_a_number_is_neutral_for_its_own_settings_alone(name):
    plain = {"max_new_tokens": 8, "repetition_penalty": 1.0, "guidance_scale": 1, "early_stopping": False}
    assert beyond_greedy(plain | {name: 0}) is None
    assert f"{name} is 1" in (beyond_greedy(plain | {name: 1}) or "")
    for token in (0, 1):
        assert "forced_eos_token_id is" in (beyond_greedy(plain | {"forced_eos_token_id": token}) or "")
    assert "repetition_penalty is 0" in (beyond_greedy(plain | {"repetition_penalty": 0}) or "")


class Replayed:
    """Stands in for an export: gives these logits, step by step."""

    def __init__(self, steps):
        self._steps = iter(steps)
        self.logits = next(self._steps)

    def begin(self, ids, mask, items):
        return self

    def add(self, tokens):
        self.logits = next(self._steps)


@pytest.mark.parametrize("judge", [True, False])
def test_logits_that_are_no_numbers_are_refused_at_any_step(run, judge):
    own = list(_own_logits(run, reply_batch(run.processor, made_turns(run.processor))))
    assert check_same(run, Replayed(own), judge=judge).endswith("0.0e+00")
    wrong = [*own[:2], np.full_like(own[2], np.nan), own[3]]
    with pytest.raises(RunError, match="its logits are not those of the run"):
        check_same(run, Replayed(wrong), judge=judge)
