"""What answers in words refuse: each mistake is one clear line before anything is trained, and status 1."""

import io
import json
import sys

import pandas as pd
import pytest
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import polymodal as pm
from tests.support.command import error, errors, polymodal
from tests.support.tables import house_rows, write_houses, write_table
from tests.support.talks import assistant, language_options, save_speaker, user, write_talks

PHOTO = ["--set", "inputs.photo.size=16"]
ASK = ["--prompt", "{photo} {note}: flat or house?", "--answer", "{kind}", *PHOTO]
NOTE = ["--prompt", "{note}", "--answer", "{kind}"]
STAGE = "--set=stages.align."


def setting(name, value):
    return ["--set", f"{name}={value}"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A table, checkpoints of language models that lack something, and an adapter."""
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder, rows=20)
    save_speaker(folder / "whole")
    save_speaker(folder / "no-template", template=None)
    save_speaker(folder / "small", vocabulary=200)
    save_speaker(folder / "wide", hidden_size=32)
    save_speaker(folder / "llama", "llama")
    save_speaker(folder / "endless")
    tokenizer = AutoTokenizer.from_pretrained(folder / "endless")
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder / "endless")
    wide = AutoModelForCausalLM.from_pretrained(folder / "wide")
    get_peft_model(wide, LoraConfig(target_modules=["q_proj"], r=2)).save_pretrained(folder / "adapter")
    (folder / "no.jinja").write_text("{{ raise_exception('none of these') }}")
    return folder


def refused(folder, *words, source="houses.csv"):
    """The lines of a fit that must not begin."""
    told = errors(folder, "fit", source, "-o", "no", "--json", *words)
    assert not (folder / "no").exists()
    return told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "{foto}", "--answer", "{kind}"], "generation.prompt: there is no column 'foto'."),
        (["--prompt", "{note}", "--answer", "{kindd}"], "generation.answer: there is no column 'kindd'. Did"),
        (["--prompt", "{note", "--answer", "{kind}"], "generation.prompt: '{note' cannot be read"),
        (["--prompt", "{} {note}", "--answer", "{kind}"], "braces without the name of a column"),
        (["--prompt", "say", "--answer", "{kind}"], "generation.prompt: 'say' names no column"),
        (["--prompt", "{note}", "--answer", "yes"], "generation.answer: 'yes' names no column"),
        (["--prompt", "{note}", "--answer", "{photo}", "--inputs", "photo"], "'photo' is an input. Answers"),
        (["--prompt", "{note}"], "give 'prompt' and 'answer'"),
        (["--answer", "{note}"], "give 'prompt' and 'answer'"),
        ([*ASK, "--target", "price"], "'target' does not go with answers in words"),
        ([*ASK, "--from", "whole"], "whole: is no run of polymodal"),
        ([*ASK, "--labels", "5"], "'data.labels' chooses rows by their target"),
        ([*ASK, *setting("targets.price.task", "regression")], "'generation' and 'targets' exclude each"),
        ([*ASK, *setting("objectives", "[contrastive]")], "'generation' and 'objectives' exclude each other"),
        ([*ASK, *setting("generation", "words")], "'generation' is 'words', expected a section"),
        ([*NOTE, *setting("generation.messages", "note")], "'messages' excludes 'prompt' and 'answer'"),
        ([*ASK, *setting("generation.metrics", "[blue]")], "no metric of words named 'blue'. Did you"),
        ([*ASK, *setting("generation.too_long", "cut")], "'generation.too_long' is 'cut'"),
        ([*ASK, *setting("generation.chat_template", "chatlm")], "no template 'chatlm' (No such file"),
        ([*ASK, *setting("generation.chat_template", "no.jinja")], "cannot write messages of user"),
        ([*ASK, *setting("generation.decoding.beams", 0)], "'generation.decoding.beams' is 0"),
        ([*ASK, *setting("train.metric", "accuracy")], "'accuracy' measures a target, and there is none"),
        ([*ASK, "--inputs", "foto"], "no column 'foto'. Did you mean 'photo'?"),
        ([*ASK, "--inputs", "voice"], "'voice' (audio) stands in no conversation and would not be read"),
        ([*NOTE, *PHOTO], "'photo' (image) stands in no conversation and would not be read"),
        ([*ASK, *setting("inputs.photo.connector", "mpl")], "no connector named 'mpl'. Did you mean 'mlp'?"),
        (
            [*ASK, *setting("inputs.photo.connector", "{type: resampler, qeries: 2}")],
            "the connector 'resampler' has no option 'qeries'. Its options are queries, layers, heads",
        ),
        ([*ASK, *setting("inputs.photo.connector", "{type: mlp, queries: 2}")], "It has none"),
        ([*ASK, *setting("inputs.photo.connector", "{type: resampler, queries: 0}")], "queries is 0"),
        ([*ASK, *setting("inputs.photo.connector.layer", -2)], "type 'resnet' has stages of several widths"),
        (
            [*ASK, *setting("inputs.photo.encoder", "vit"), *setting("inputs.photo.connector.layer", 99)],
            "'layer' is 99, and a model of type 'vit' has ",
        ),
        ([*ASK, f"{STAGE}learn=[conectors]"], "'stages.align.learn.0' is 'conectors'"),
        ([*ASK, f"{STAGE}learn=[connectors]", f"{STAGE}lora=true"], "'lora' adapts the language model"),
        ([*ASK, f"{STAGE}data=nowhere.csv"], "nowhere.csv: there is no such file"),
        ([*ASK, f"{STAGE}answer='{{kinds}}'"], "no column 'kinds' for stages.align.answer. Did you"),
        ([*ASK, f"{STAGE}prompt='{{foto}}'"], "no column 'foto' for stages.align.prompt. Did you"),
        ([*ASK, f"{STAGE}prompt=so"], "stages.align.prompt: 'so' names no column"),
        ([*ASK, f"{STAGE}train.epocs=1"], "stages.align: unknown key 'train.epocs'. Did you mean 'epochs'?"),
        ([*ASK, f"{STAGE}train.epochs=0"], "stages.align: 'train.epochs' is 0; input should be greater"),
        ([*ASK, f"{STAGE}train.metric=f1"], "stages.align: train.metric: there is no metric 'f1'"),
        ([*NOTE, f"{STAGE}learn=[connectors]"], "stages.align: only connectors learn, and there is no input"),
        ([*NOTE, *setting("data.validation", "none.csv")], "none.csv: there is no such file"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be(houses, words, said):
    (line,) = refused(houses, *language_options(), *words)
    assert said in line


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nowhere/at-all", "the checkpoint 'nowhere/at-all' is neither a local folder nor"),
        ("./nowhere", "the checkpoint './nowhere': there is no such folder"),
        ("{hiden_size: 3}", "has no size 'hiden_size'. Did you mean 'hidden_size'?"),
        ("{type: qwn3}", "no causal language model of the type 'qwn3'. Did you mean 'qwen3'?"),
        ("{type: bert, hidden_size: 24}", "the model type 'bert' reads what comes after a word too"),
        ("{checkpoint: ./whole, hidden_size: 3}", "it has its own sizes, 'hidden_size' cannot be set"),
        ("{checkpoint: ./whole, type: qwen3}", "give either 'checkpoint' (pretrained) or 'type'"),
        ("{vocab_size: 3}", "'vocab_size' of a language model from scratch is its tokenizer's"),
        ("{adapter: ./adapter}", "'adapter' is of a checkpoint: give the one that it was trained on"),
        (
            "./no-template",
            "./no-template: the tokenizer has no chat template. Set generation.chat_template: ",
        ),
        ("./endless", "./endless: the tokenizer has no token that ends a text (eos_token). Set eos_token"),
        ("./small", "the language model './small' knows 200 tokens, its tokenizer 2"),
        ("{checkpoint: ./whole, adapter: ./adapter}", "adapter './adapter' is not of './whole', but of '"),
        ("{checkpoint: ./llama, adapter: ./adapter}", "adapter './adapter' is not of './llama'"),
        ("{checkpoint: ./whole, adapter: ./whole}", "adapter './whole': there is no adapter_config.json"),
        ("{checkpoint: ./whole, adapter: ./none}", "adapter './none': there is no adapter_config.json"),
    ],
)
def test_a_language_model_that_cannot_be(houses, model, said):
    (line,) = refused(houses, *NOTE, *setting("generation.language_model", model))
    assert said in line


def test_a_tokenizer_without_template_and_padding_is_given_both_and_a_note(houses, tmp_path):
    model = setting("generation.language_model", houses / "no-template")
    chatml = setting("generation.chat_template", "chatml")
    words = [*NOTE, *model, *chatml, *setting("train.epochs", 1)]
    result = polymodal("fit", houses / "houses.csv", *words, "-o", tmp_path / "run", "--json")
    assert result.status == 0, result.err
    assert any(
        "no token for padding; rows are padded with <|im_end|>" in line for line in result.json["notes"]
    )
    assert pm.load(tmp_path / "run").processor.tokenizer.pad_token == "<|im_end|>"


def test_options_that_do_not_go_with_a_prompt(houses):
    for option in (["--search", "2"], ["--fusions", "all"]):
        result = polymodal("fit", "houses.csv", *NOTE, *option, "-o", "no", folder=houses)
        assert (
            result.status == 2
            and f"Invalid value for {option[0]}: it does not go with --prompt" in result.err
        )
    for words in ([], ["--prompt", "{note}"], ["--target", "kind"]):
        for command in (["fit", "-o", "no"], ["check"]):
            result = polymodal(*command, "houses.csv", "--task", "generation", *words, folder=houses)
            assert result.status == 2 and "--task: it needs --prompt and --answer, or a decl" in result.err


@pytest.mark.parametrize(
    ("name", "limit"), [("pack", 24), ("max_length", 24), ("language_model.max_position_embeddings", 24)]
)
def test_rows_that_are_too_long_are_refused_or_left_out(tmp_path, name, limit):
    rows = house_rows(tmp_path, 24, empty=0.0)
    for number, row in enumerate(rows):
        row["note"] = "a quiet street by the sea, and a garden" if number in (3, 17) else "few"
    write_table(tmp_path / "houses.csv", rows)
    ask = ["--prompt", "{note}", "--answer", "{kind}", "--set", f"generation.{name}={limit}"]
    told = refused(tmp_path, *ask, *language_options())
    assert [line.split(": ")[0] for line in told] == ["houses.csv, row 4", "houses.csv, row 18"]
    assert all("tokens, expected at most 2" in line and "or set generation.too_long: leave_out" in line
               for line in told)  # fmt: skip
    assert (f"raise generation.{name}" in told[0]) is ("." not in name)
    ask += language_options(generation__too_long="leave_out")
    left = polymodal("fit", "houses.csv", *ask, "-o", "run", "--json", folder=tmp_path)
    assert left.status == 0, left.err
    assert left.json["notes"] == ["2 rows left out, listed in rejected.csv"]
    assert pd.read_csv(tmp_path / "run/rejected.csv")["row"].tolist() == [4, 18]
    assert left.json["tokens"]["longest"] <= limit


def test_a_row_of_many_items_says_how_many_of_its_tokens_are_theirs(houses):
    long = language_options(generation__max_length=20, inputs__photo__size=256, inputs__photo__tokens=16)
    told = refused(houses, "--prompt", "{photo}", "--answer", "{kind}", *long)
    assert (
        "tokens, 16 of them of items, expected at most 20. Shorten it, lower inputs.<name>.tokens" in told[0]
    )


def test_pack_below_the_length_of_a_row(houses):
    pack = [*setting("generation.pack", 16), *setting("generation.max_length", 64)]
    (line,) = refused(houses, *NOTE, *language_options(), *pack)
    assert "'pack' is 16, and a row may have 'max_length' 64 tokens" in line


def test_answers_that_are_all_empty(tmp_path):
    write_table(tmp_path / "houses.csv", [row | {"kind": " "} for row in house_rows(tmp_path, 12)])
    assert refused(tmp_path, *NOTE, *language_options()) == [
        "houses.csv: no rows are left that give a loss for train, expected one or more",
        "houses.csv: no rows are left that give a loss for validation, expected one or more",
    ]


IMAGE = {"type": "image"}
BAD_TALKS = {
    "a part without a file": ([user("what?") | {"content": [IMAGE]}, assistant("a flat")], {},
                              "message 1, part 1: a picture without a file"),
    "a file that is not there": ([user("what?", image="none.png"), assistant("a flat")], {},
                                 "none.png does not exist"),
    "no picture": ([user("what?", image="talks.jsonl"), assistant("a flat")], {}, "talks.jsonl"),
    "an address": ([user("what?", image="https://a.b/c.png"), assistant("a flat")], {}, "address on the net"),
    "more parts than items": ([user("?") | {"content": [IMAGE, IMAGE]}, assistant("a flat")],
                              {"images": ["photos/0.png"]}, "column 'images' holds 1"),
    "more items than parts": ([user("?") | {"content": [IMAGE]}, assistant("a flat")],
                              {"images": ["photos/0.png", "photos/1.png"]}, "and 2 items in column 'images'"),
    "a part of another kind": ([user("?") | {"content": [{"type": "smell"}]}, assistant("a flat")], {},
                               "a part of type 'smell'"),
    "an unknown role": ([{"role": "usr", "content": "?"}, assistant("a flat")], {}, "has role 'usr'"),
    "two questions": ([user("?"), user("?"), assistant("a flat")], {}, "messages 1 and 2 are both the"),
    "no message": ([], {}, "no messages"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TALKS)
def test_a_conversation_that_cannot_be_read(tmp_path, case):
    talk, more, said = BAD_TALKS[case]
    rows = house_rows(tmp_path, 16, empty=0.0)
    talks = [[user("what?", image=row["photo"]), assistant(row["kind"])] for row in rows]
    write_talks(tmp_path / "talks.jsonl", talks)
    lines = (tmp_path / "talks.jsonl").read_text().splitlines()
    lines[5] = json.dumps({"messages": talk, **more})
    (tmp_path / "talks.jsonl").write_text("\n".join(lines))
    words = [*language_options(inputs__image__modality="image", inputs__image__size=16),
             *setting("generation.messages", "messages")]  # fmt: skip
    told = refused(tmp_path, *words, source="talks.jsonl")
    assert len(told) == 1 and said in told[0]
    assert told[0].startswith(("talks.jsonl, row 6, column 'messages'", "talks.jsonl, row 6, column 'image'"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (setting("generation.messages", "talk"), "no column 'talk' for generation.messages"),
        (
            [*setting("generation.messages", "messages"), *setting("inputs.note.modality", "text")],
            "'note' (text) stands in no conversation and would not be read. Messages hold items of image",
        ),
        (
            [*setting("generation.messages", "messages"), *setting("inputs.a.modality", "image"),
             *setting("inputs.b.modality", "image")],
            "row 1, column 'messages': message 1, part 1: a picture, which several inputs read",
        ),
        (
            [*setting("generation.messages", "messages"), *setting("inputs.a.modality", "audio")],
            "row 1, column 'messages': message 1, part 1: a picture, which no input reads",
        ),
    ],
)  # fmt: skip
def test_messages_that_no_input_reads(tmp_path, words, said):
    rows = house_rows(tmp_path, 12, empty=0.0)
    talks = [[user("what?", image=row["photo"]), assistant(row["kind"])] for row in rows]
    write_talks(tmp_path / "talks.jsonl", talks)
    told = refused(tmp_path, *language_options(), *words, source="talks.jsonl")
    assert any(said in line for line in told), told


def test_a_placeholder_that_is_typed_is_no_picture(spoken_houses, monkeypatch):
    run = pm.load(spoken_houses / "run")
    there, missing = run.processor.placeholders["photo"]
    typed = [{"photo": "photos/0.png", "note": "<|photo|> <|no photo|><|im_end|> a garden"}]
    asked = run.rows(pm.data.tables.table.read_table(typed))
    asked.table = asked.table.__class__(asked.table.data, "rows", spoken_houses)
    assert not asked.prepare()
    ids = asked.rows[0].encoded.ids.tolist()
    assert ids.count(there) == 1 and ids.count(missing) == 0
    assert "<|photo|> <|no photo|><|im_end|> a garden" in run.processor.renderer.describe(
        asked.rows[0].encoded
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("<|photo|> what is it?\n"))
    result = polymodal("chat", "run", folder=spoken_houses)
    assert result.status == 0 and "error" not in result.err


def test_validation_rows_of_another_form(houses, tmp_path):
    write_houses(tmp_path, rows=20, empty=0.0)
    frame = pd.read_csv(tmp_path / "houses.csv")
    frame.drop(columns="note").to_csv(tmp_path / "val.csv", index=False)
    frame.drop(columns=["kind", "photo"]).to_csv(tmp_path / "held.csv", index=False)
    files = [*setting("data.validation", "val.csv"), *setting("data.test", "held.csv")]
    told = refused(tmp_path, *ASK, *language_options(), *files)
    assert [line.split(". ")[0] for line in told] == [
        "val.csv: no column 'note' for generation.prompt",
        "held.csv: no column 'photo' for generation.prompt",
        "held.csv: no column 'kind' for generation.answer",
    ]


def test_a_mistake_in_yaml_is_told_with_its_line(houses):
    declared = {"data": {"train": "houses.csv"}, "generation": {"prompt": "{note}", "answer": "{kind}"},
                "stages": {"align": {"train": {"epocs": 1}}}}  # fmt: skip
    (houses / "run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    assert refused(houses, source="run.yaml")[0].startswith("run.yaml, line 7: stages.align: unknown key")
    declared = declared | {"stages": {}, "generation": {"prompt": "{note}", "anser": "{kind}"}}
    (houses / "run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    assert any(line.startswith("run.yaml, line 5: unknown key 'generation.anser'. Did you mean 'answer'?")
               for line in refused(houses, source="run.yaml"))  # fmt: skip


def test_a_check_of_what_would_not_start_has_status_1(houses):
    words = [*NOTE, *language_options(), *setting("generation.max_length", 8)]
    result = polymodal("check", "houses.csv", *words, folder=houses)
    assert result.status == 1 and "A fit would not start" in result.out and "at most 8" in result.out
    report = polymodal("check", "houses.csv", *words, "--json", folder=houses)
    assert report.status == 1 and not report.json["ok"] and not report.json["conversation"]


def test_a_table_that_lacks_what_is_asked_with_or_measured_against(spoken_houses, tmp_path):
    frame = pd.read_csv(spoken_houses / "houses.csv")
    run = spoken_houses / "run"
    for name, changed in {
        "note": frame.drop(columns="note"), "kind": frame.drop(columns="kind"),
        "empty": frame.assign(kind=None), "blind": frame.drop(columns="photo"),
        "broken": frame.assign(photo=["none.png", *frame["photo"][1:]]),
        "long": frame.assign(note=["long " * 2000, *frame["note"][1:]]),
    }.items():  # fmt: skip
        changed.to_csv(spoken_houses / f"{name}.csv", index=False)

    def told(command, table, *more):
        return error(spoken_houses, command, run, f"{table}.csv", *more)

    for command in (["predict", "note", "-o", "said.parquet"], ["evaluate", "note"]):
        assert "note.csv: no column 'note' among id, photo, voice" in told(*command)
    assert "kind.csv: no column 'kind' to measure against" in told("evaluate", "kind")
    assert told("evaluate", "empty") == "empty.csv: no row has an answer, expected rows with answers"
    for command in (["predict", "broken", "-o", "said.parquet"], ["evaluate", "broken"]):
        assert told(*command).startswith("broken.csv, row 1, column 'photo': none.png does not exist. ")
    for command in (["predict", "long", "-o", "said.parquet"], ["evaluate", "long"]):
        assert "long.csv, row 1: " in told(*command) and "expected at most 2047" in told(*command)
    assert "no probability of a class" in told("predict", "houses", "-o", "said.parquet", "--probabilities")
    answered = polymodal("predict", run, "blind.csv", "-o", tmp_path / "said.parquet", folder=spoken_houses)
    assert answered.status == 0  # an input may be missing as a whole


def test_a_talk_that_grows_beyond_the_context_goes_on_anew(spoken_houses, monkeypatch):
    lines = ["x " * 3000, "flat?", "/reset", "flat?"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    result = polymodal("chat", "run", "--max-new-tokens", "2", folder=spoken_houses)
    assert result.status == 0 and result.out.count("\n") == 2
    assert "error: a conversation of 6015 tokens, and the language model's context is 2048." in result.err


def test_idle_options_of_a_talk(spoken_houses):
    result = polymodal("chat", "run", "--top-p", "0.5", folder=spoken_houses)
    assert result.status == 2 and "Invalid value for --top-p: it goes with --sample" in result.err


def test_runs_of_one_kind_refuse_what_only_the_other_can(spoken_houses, fitted_houses, tmp_path):
    run, classes = spoken_houses / "run", fitted_houses / "run"
    for command in (["explain", run, "houses.csv"], ["index", run, "houses.csv", "-o", tmp_path / "x"],
                    ["compare", run, classes], ["fit", "houses.csv", "-t", "kind", "--from", run],
                    ["pretrain", "houses.csv", "--from", run]):  # fmt: skip
        assert "answers in words, and can do no such thing" in error(spoken_houses, *command), command
    for option in ("--retrieval", "--zero-shot=kind", "--linear-probe=kind"):
        result = polymodal("evaluate", run, "houses.csv", option, folder=spoken_houses)
        assert result.status == 2 and "this run answers in words" in result.err
    for option in (["--retrain"], ["--noise-rows", "4"]):
        result = polymodal("report", run, *option, folder=spoken_houses)
        assert result.status == 2 and "this run answers in words" in result.err
    assert "'photo' is read by an encoder from scratch" in error(
        tmp_path, "export", run, "--to", "llava", "-o", "x"
    )
    assert "answers no words, but 'kind', 'price'" in error(fitted_houses, "chat", "run")
    assert "no such run folder" in error(tmp_path, "chat", "nowhere")
    opened, words = pm.load(classes), pm.load(run)
    for ask in (opened.generate, opened.chat):
        with pytest.raises(pm.RunError, match="answers no words"):
            ask([{"role": "user", "content": "flat?"}])
    for ask in (words.encode, words.explain, words.retrieval):
        with pytest.raises(pm.RunError, match="answers in words, and can do no such thing"):
            ask("houses.csv")
