"""Runs that answer in words: any input, any source of rows, saved and loaded, each row by itself."""

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.artifact.integrity import CHECKSUMS
from polymodal.errors import RunError
from tests.support.clips import write_moves
from tests.support.killing import weights
from tests.support.tables import house_rows, write_houses
from tests.support.talks import language, save_speaker


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A table with a column of every modality."""
    folder = tmp_path_factory.mktemp("every")
    rows = house_rows(folder, 24)
    clips = pd.read_csv(write_moves(folder, rows=24))["clip"]
    chance = np.random.default_rng(0)
    for number, row in enumerate(rows):
        row["clip"] = clips[number] if isinstance(clips[number], str) else None
        row["steps"] = chance.normal(size=(3 + number % 4, 2)).tolist() if number % 5 else None
    frame = pd.DataFrame(rows)
    frame.to_json(folder / "houses.jsonl", orient="records", lines=True)
    return folder


SMALL = {
    "photo": {"size": 16}, "voice": {"seconds": 0.1}, "clip": {"size": 16, "frames": 2}, "steps": {},
    "note": {"connector": "{type: resampler, queries: 2, heads: 2}"}, "bedrooms": {}, "district": {},
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_any_input_may_stand_in_a_prompt_and_is_loaded_as_it_was_saved(houses, tmp_path, name):
    settings = language(**{f"inputs__{name}__{key}": value for key, value in SMALL[name].items()})
    prompt = f"{{{name}}} flat or house?"
    run = pm.fit(houses / "houses.jsonl", inputs=[name], prompt=prompt, answer="{kind}", settings=settings,
                 output=tmp_path / "run")  # fmt: skip
    assert list(run.model.config.input_names) == [name] and "kind" in run.generate(houses / "houses.jsonl")
    said = run.generate(houses / "houses.jsonl", max_new_tokens=6)
    loaded = pm.load(tmp_path / "run")
    assert loaded.generate(houses / "houses.jsonl", max_new_tokens=6).equals(said)
    loaded.save(tmp_path / "again")
    kept, again = weights(tmp_path / "run"), weights(tmp_path / "again")
    assert kept.keys() == again.keys() and all(torch.equal(kept[key], again[key]) for key in kept)
    assert pm.load(tmp_path / "again").generate(houses / "houses.jsonl", max_new_tokens=6).equals(said)
    shown = pd.read_parquet(tmp_path / "run/predictions.parquet")["prompt"]
    assert shown.str.contains(f"<|{name}|>×", regex=False).any()
    assert (
        shown.str.contains("×2 ") | shown.str.contains("<|no note|>", regex=False)
    ).all() or name != "note"


def test_rows_come_from_whatever_holds_them(spoken, spoken_houses):
    table = spoken_houses / "houses.csv"
    expected = spoken.generate(table)["kind"].tolist()
    frame = pd.read_csv(table)
    frame["photo"] = [str(spoken_houses / path) if isinstance(path, str) else None for path in frame["photo"]]
    raw = [{"photo": Path(row["photo"]).read_bytes() if row["photo"] else None, "note": row["note"]}
           for row in frame.replace({np.nan: None}).to_dict("records")]  # fmt: skip
    for source in (frame, datasets.Dataset.from_pandas(frame), raw, raw[:3]):
        assert spoken.generate(source)["kind"].tolist() == expected[: len(source)]
    assert spoken.predict(frame).equals(spoken.generate(frame))


def test_no_other_row_changes_an_answer(spoken, spoken_houses):
    table = spoken_houses / "houses.csv"
    together = spoken.generate(table, max_new_tokens=12)
    assert spoken.generate(table, batch_size=1, max_new_tokens=12).equals(together)
    assert spoken.generate(table, batch_size=5, max_new_tokens=12).equals(together)
    beams = spoken.generate(table, beams=3, max_new_tokens=6)
    assert spoken.generate(table, beams=3, max_new_tokens=6, batch_size=1).equals(beams)
    parts = pd.concat(list(spoken.predict_batches(table, batch_size=9)), ignore_index=True)
    assert parts.equals(spoken.generate(table))


def test_several_items_in_a_cell_are_several_in_the_prompt(spoken, spoken_houses):
    photos = [str(spoken_houses / f"photos/{number}.png") for number in range(3)]
    turns = []
    for cell in (photos, photos[:1], photos[0], [], None):
        rows = spoken.rows(pm.data.tables.table.read_table([{"photo": cell, "note": "a garden"}]))
        assert not rows.prepare()
        turns.append(rows[0])
    there, missing = spoken.processor.placeholders["photo"]
    counts = [[turn.encoded.ids.tolist().count(token) for token in (there, missing)] for turn in turns]
    assert counts == [[3, 0], [1, 0], [1, 0], [0, 1], [0, 1]]
    assert len(spoken.generate([{"photo": photos, "note": "a garden"}])) == 1


def test_how_it_is_decoded_may_be_said(spoken, spoken_houses):
    rows = [{"photo": None, "note": "a garden"}] * 4
    short, long = (spoken.generate(rows, max_new_tokens=n, min_new_tokens=n)["kind"][0] for n in (1, 9))
    assert len(short) < len(long)
    torch.manual_seed(0)
    drawn = spoken.generate(rows, sample=True, temperature=50.0, max_new_tokens=9)["kind"]
    assert drawn.nunique() > 1
    surest = spoken.generate(rows, sample=True, top_p=1e-6, max_new_tokens=9)["kind"]
    assert surest.tolist() == spoken.generate(rows, max_new_tokens=9)["kind"].tolist()
    for options, said in (
        ({"beems": 3}, "no option 'beems' of generating. Did you mean 'beams'?"),
        ({"beams": 0}, "'beams' is 0; input should be greater than or equal to 1"),
        ({"temperature": "hot"}, "'temperature' is 'hot'; input should be a valid number"),
    ):
        with pytest.raises(pm.ConfigError, match=said.replace("?", r"\?")):
            spoken.generate(rows, **options)
    with pytest.raises(pm.RunError, match="on_error is 'never', expected refuse or skip"):
        spoken.generate(rows, on_error="never")


def test_metrics_that_are_declared_are_measured(tmp_path):
    write_houses(tmp_path, rows=20)
    settings = language(generation__metrics="[wer, chrf, exact_match]", generation__system="Be brief.")
    run = pm.fit(tmp_path / "houses.csv", prompt="{note}", answer="{kind}, {bedrooms} rooms",
                 settings=settings, output=tmp_path / "run")  # fmt: skip
    assert set(run.evaluate(tmp_path / "houses.csv")["output"]) == {"wer", "chrf", "exact_match"}
    assert run.column == "output"
    shown = pd.read_parquet(tmp_path / "run/predictions.parquet")["prompt"]
    assert shown.str.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n").all()


@pytest.mark.parametrize("kind", ["gpt2", "qwen3"])
def test_an_answer_ends_where_the_context_does(tmp_path, kind):
    """GPT-2 knows no place beyond its context at all, and would fail there."""
    write_houses(tmp_path, rows=16, empty=0.0)
    model = save_speaker(tmp_path / "lm", kind, n_positions=64, max_position_embeddings=64)
    settings = [
        f"generation.language_model={model}",
        "train.epochs=1",
        "generation.decoding.max_new_tokens=40",
    ]
    run = pm.fit(tmp_path / "houses.csv", prompt="{note}", answer="{kind}", settings=settings,
                 output=tmp_path / "run")  # fmt: skip
    run.model.generation_config.eos_token_id = None  # it never comes to an end by itself
    rows = [{"note": "x" * length} for length in (1, 44, 45, 46, 47)]
    lengths = run.readable(pm.data.tables.table.read_table(rows)).lengths
    assert lengths.max() == 63 and run.context == 64  # one more token fits
    said = run.generate(rows)
    assert said.equals(run.generate(rows, batch_size=1))
    with pytest.raises(pm.DataError, match=r"rows, row 2: 64 tokens, expected at most 63\. Shorten it\."):
        run.generate([rows[0], {"note": "x" * 48}])
    with pytest.raises(
        pm.PolymodalError, match="a conversation of 64 tokens, and the language model's context"
    ):
        run.chat([{"role": "user", "content": "x" * 48}])
    assert run.chat([{"role": "user", "content": "x" * 47}]) == said["kind"][4]
    assert "".join(run.chat([{"role": "user", "content": "x" * 46}], stream=True)).strip() == said["kind"][3]


def test_folders_that_hold_no_whole_run_are_refused(spoken, tmp_path):
    with pytest.raises(pm.RunError, match="no such run folder"):
        pm.load(tmp_path / "none")
    for lost, said in (
        ("model.safetensors", "not a complete run, model.safetensors missing"),
        ("tokenizer.json", "tokenizer"),
    ):
        spoken.save(tmp_path / lost)
        (tmp_path / lost / lost).unlink()
        (tmp_path / lost / CHECKSUMS).unlink()
        with pytest.raises(pm.PolymodalError, match=said):
            pm.load(tmp_path / lost)
    spoken.save(tmp_path / "mixed")
    declared = (tmp_path / "mixed/run.yaml").read_text().split("generation:")[0]
    (tmp_path / "mixed/run.yaml").write_text(declared)
    (tmp_path / "mixed" / CHECKSUMS).unlink()
    with pytest.raises(pm.RunError, match=r"config\.json and the other files are of different runs"):
        pm.load(tmp_path / "mixed")


HOSTILE = {
    "a type that is not there": ("config.json", ["text_config", "dtype"], "evil", "cannot be read"),
    "no heads": ("config.json", ["text_config", "num_attention_heads"], 0, "cannot be read"),
    "a million layers": ("config.json", ["text_config", "num_hidden_layers"], 10**6, "cannot be read"),
    "an encoder that is not there": ("config.json", ["encoders"], [], "cannot be read"),
    "a token's number": ("tokenizer.json", ["model", "vocab", "zz"], 2**31, "has the number"),
    "a long prefix": (
        "tokenizer.json", ["normalizer"], {"type": "Prepend", "prepend": "x" * 10**5}, "100,000 long"
    ),
    "texts that grow": (
        "tokenizer.json", ["normalizer"],
        {"type": "Sequence",
         "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}] * 9},
        "1,000,000,000 long",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_stranger_changed_in_a_run_is_one_line(spoken_houses, tmp_path, name):
    file, place, value, expected = HOSTILE[name]
    run = tmp_path / "run"
    shutil.copytree(spoken_houses / "run", run)
    (run / "checksums.json").unlink()
    content = json.loads((run / file).read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (run / file).write_text(json.dumps(content))
    with pytest.raises(RunError, match=expected):
        pm.load(run)


@pytest.mark.parametrize(
    ("file", "key", "value", "expected"),
    [
        ("generation_config.json", "eos_token_id", "x", "generation_config.json: the model cannot generate"),
        ("generation_config.json", "repetition_penalty", 0, "strictly positive"),
        ("generation_config.json", "penalty_alpha", 0.6, "generation_config.json: .*Contrastive"),
        ("generation_config.json", "stop_strings", ["a"], "generation_config.json: .*stop strings"),
        (
            "tokenizer.json", "pre_tokenizer",
            {"type": "Split", "pattern": {"Regex": "(a*)*b"}, "behavior": "Isolated", "invert": False},
            "tokenizer.json: cannot be used on a text",
        ),
        (
            "tokenizer.json", "model",
            {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": {"a": 0},
             "max_input_chars_per_word": 100},
            "tokenizer.json: cannot be used on a text",
        ),
    ],
)  # fmt: skip
def test_what_fails_in_use_is_one_line(spoken_houses, tmp_path, file, key, value, expected):
    run = tmp_path / "run"
    shutil.copytree(spoken_houses / "run", run)
    (run / "checksums.json").unlink()
    content = json.loads((run / file).read_text())
    content[key] = value
    (run / file).write_text(json.dumps(content))
    row = {"note": "a" * 40 + " b", "district": "a", "photo": None}
    with pytest.raises(RunError, match=expected) as raised:
        loaded = pm.load(run)
        loaded.generate([row])
    assert "\n" not in str(raised.value)
    if file == "generation_config.json":
        asked = [{"role": "user", "content": "hello"}]
        with pytest.raises(RunError, match=r"generation_config\.json"):
            list(loaded.chat(asked, stream=True))


def test_a_run_without_its_chat_template_is_one_line(spoken_houses, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(spoken_houses / "run", run)
    (run / "checksums.json").unlink()
    (run / "chat_template.jinja").unlink()
    with pytest.raises(RunError, match="no chat template"):
        pm.load(run)
