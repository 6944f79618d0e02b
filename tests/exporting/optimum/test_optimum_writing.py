"""``polymodal export RUN --to optimum``: what onnxruntime and numpy alone answer over its files."""

import json
import re
import shutil

import numpy as np
import pytest

import polymodal as pm
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.runs.answering import answer_turns
from polymodal.utils.checksums import write_whole_sums
from polymodal.verification.optimum_path import answered, read_settings
from tests.support.command import polymodal
from tests.support.counting_export import change
from tests.support.llava_runs import SMALL, TALKS, language_model, save_tower
from tests.support.tables import house_rows, write_table

SETTINGS = [
    "train.epochs=2", "train.batch_size=8", "train.patience=0", "train.learning_rate=1e-2",
    "generation.vocabulary=300", "stages.instruct.lora={rank: 2}", "inputs.photo.freeze=true",
]  # fmt: skip
FILES = {
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    "onnx", "optimum.json", "README.md", "checksums.json",
}  # fmt: skip


def the_runs_own(run, turns):
    """What the run answers, greedily."""
    return answer_turns(run.model, run.processor, turns, {"do_sample": False})


def encoded(run, talks):
    return [run.processor.encode(run.conversation(messages), reply=True) for messages in talks]


def program_of(folder):
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    return code.replace("this folder", str(folder))


def save_words(folder, layers):
    """Write a language model of so many layers with its tokenizer; the setting that names it."""
    words = train_language_tokenizer(
        ["bright balcony lift garden flat house quiet street third floor"] * 3, 300
    )
    language_model("llama", len(words), **SMALL | {"num_hidden_layers": layers}).save_pretrained(folder)
    words.save_pretrained(folder)
    return f"generation.language_model={folder}"


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A fitted run that reads text alone, and its export."""
    folder = tmp_path_factory.mktemp("texts")
    table = write_table(folder / "houses.csv", house_rows(folder, 16))
    own = ["train.epochs=1", "train.batch_size=8", "train.patience=0", save_words(folder / "llama", layers=1)]
    run = pm.fit(table, prompt="{note}", answer="{kind}", output=folder / "run", settings=own)
    pm.export(run, to="optimum", output=folder / "out")
    return run, folder / "out"


@pytest.mark.parametrize(
    "questions", [["What is it?"], ["Is there a lift?", "a red circle on a green square"]]
)
def test_text_alone_is_one_file_that_answers_as_the_run(texts, questions):
    run, folder = texts
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in (folder / "onnx").iterdir()] == ["model.onnx"]
    turns = encoded(run, [[{"role": "user", "content": question}] for question in questions])
    assert answered(run.processor, ExportedWords(folder), turns, read_settings(folder)) == the_runs_own(
        run, turns
    )


def test_kept_rows_of_text_alone_are_answered_alike(texts):
    folder = texts[1].parent
    result = polymodal("verify", "run", "--paths", "exports", "--export", "out", "--json", folder=folder)
    assert result.status == 0, result.err
    (found,) = [each for each in result.json["paths"] if each["path"] == "export out"]
    assert found["verdict"] == "equal" and found["rows"] == result.json["samples"] > 1


def test_an_export_that_answers_at_more_length_than_its_run_is_refused(texts, tmp_path):
    shutil.copytree(texts[1], tmp_path / "out")
    change(tmp_path / "out" / "generation_config.json", max_new_tokens=10**12)
    change(tmp_path / "out" / "optimum.json", context=None)
    write_whole_sums(tmp_path / "out")
    options = ["--paths", "exports", "--export", tmp_path / "out"]
    result = polymodal("verify", "run", *options, folder=texts[1].parent)
    assert result.status == 1
    own = read_settings(texts[1]).max_new_tokens
    reason = f"max_new_tokens is 1,000,000,000,000, and that of its run {own}. Export again"
    assert reason in result.out.splitlines()[-1], result.out


def test_its_card_holds_a_program_that_answers(texts, capsys):
    run, folder = texts
    exec(program_of(folder), {})
    expected = run.chat([{"role": "user", "content": "What is it?"}], sample=False)
    assert capsys.readouterr().out.strip() == expected and expected


def test_a_file_that_changed_is_named(texts, tmp_path):
    shutil.copytree(texts[1], tmp_path / "out")
    (tmp_path / "out/tokenizer.json").write_text("{}")
    with pytest.raises(pm.PolymodalError, match=r"tokenizer\.json is not as it was written"):
        ExportedWords(tmp_path / "out")


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A fitted run about pictures read by SigLIP, with adapters in Llama, and its export by the command."""
    folder = tmp_path_factory.mktemp("houses")
    table = write_table(folder / "houses.csv", house_rows(folder, 24))
    tower = f"inputs.photo.encoder={save_tower(folder / 'siglip', 'siglip')}"
    own = [*SETTINGS, tower, save_words(folder / "llama", layers=2)]
    pm.fit(table, prompt="Look: {photo} {note}", answer="{kind}", output=folder / "run", settings=own)
    result = polymodal("export", "run", "--to", "optimum", "-o", "out", "--json", folder=folder)
    assert result.status == 0, result.err
    assert result.json["inputs"] == {"image": "photo"}
    return folder


@pytest.mark.slow
def test_kept_rows_are_answered_alike(houses):
    result = polymodal("verify", "run", "--paths", "exports", "--export", "out", "--json", folder=houses)
    assert result.status == 0, result.err
    (found,) = [each for each in result.json["paths"] if each["path"] == "export out"]
    assert found["verdict"] == "equal" and found["rows"] == result.json["samples"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("talks", [TALKS[:1], TALKS[1:], TALKS], ids=["one", "two", "three"])
def test_pictures_and_texts_of_several_lengths_are_answered_alike(houses, talks):
    run = pm.load(houses / "run")
    turns = encoded(run, talks)
    found = answered(run.processor, ExportedWords(houses / "out"), turns, read_settings(houses / "out"))
    assert found == the_runs_own(run, turns)


@pytest.mark.slow
def test_the_files_are_those_that_transformers_js_reads_of_llava(houses):
    folder = houses / "out"
    assert {path.name for path in folder.iterdir()} == FILES | {"preprocessor_config.json"}
    assert {path.name for path in (folder / "onnx").iterdir()} == {
        "embed_tokens.onnx", "vision_encoder.onnx", "decoder_model_merged.onnx"
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    token = json.loads((folder / "optimum.json").read_text())["inputs"][0]["placeholder_id"]
    assert config["model_type"] == "llava" and config["image_token_index"] == token
    assert config["text_config"]["num_key_value_heads"] == SMALL["num_key_value_heads"]
    assert str(houses) not in "".join(path.read_text() for path in folder.glob("*.json"))


@pytest.mark.slow
def test_the_program_of_its_card_answers_about_a_picture(houses, capsys):
    run, folder = pm.load(houses / "run"), houses / "out"
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    kept = run.processor.readers["photo"].read(pixels, None)
    code = re.sub(r"np\.zeros\(\(1, 3, \d+, \d+\), np\.float32\)", "PIXELS", program_of(folder), count=1)
    exec(code, {"PIXELS": kept[None]})
    content = [{"type": "image", "image": pixels}, {"type": "text", "text": "\nWhat is it?"}]
    assert capsys.readouterr().out.strip() == run.chat([{"role": "user", "content": content}], sample=False)
