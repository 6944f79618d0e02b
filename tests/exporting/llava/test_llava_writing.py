"""``polymodal export RUN --to llava``: a folder that needs no polymodal, and one line where it cannot be."""

import json
import re

import pytest
import transformers as hf

import polymodal as pm
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from tests.support.command import error, polymodal
from tests.support.llava_runs import SMALL, language_model, save_tower
from tests.support.tables import house_rows, tiny, write_table

GENERATING = {"prompt": "Look: {photo} {note}", "answer": "{kind}"}
TINY = ["train.epochs=2", "train.batch_size=8", "train.patience=0", "train.learning_rate=1e-2"]
SCRATCH = [
    *TINY, "inputs.photo.size=16", "generation.vocabulary=300",
    f"generation.language_model={json.dumps({'type': 'qwen3'} | SMALL)}",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with ``run``, tuned by adapters, which answers in words about photos; ``scratch``, whose
    encoder is from scratch; ``fit``, which classifies."""
    folder = tmp_path_factory.mktemp("runs")
    table = write_table(folder / "houses.csv", house_rows(folder, 24))
    words = train_language_tokenizer(
        ["bright balcony lift garden flat house quiet street third floor"] * 3, 300
    )
    language_model("llama", len(words)).save_pretrained(folder / "llama")
    words.save_pretrained(folder / "llama")
    given = [
        f"inputs.photo.encoder={save_tower(folder / 'siglip', 'siglip')}", "inputs.photo.freeze=true",
        "inputs.photo.connector={type: mlp, layer: -2}", f"generation.language_model={folder / 'llama'}",
        "generation.system=Be brief.", "stages.instruct.lora={rank: 2}", "generation.decoding.beams=2",
    ]  # fmt: skip
    pm.fit(table, **GENERATING, output=folder / "run", settings=[*TINY, *given])
    pm.fit(table, **GENERATING, output=folder / "scratch", settings=SCRATCH)
    pm.fit(table, target="kind", inputs=["note"], output=folder / "fit", settings=tiny())
    return folder


@pytest.fixture(scope="module")
def exported(runs):
    result = polymodal("export", "run", "--to", "llava", "-o", "llava", "--json", folder=runs)
    assert result.status == 0, result.err
    assert result.json == {"output": "llava", "to": "llava", "inputs": {"image": "photo"}, "left_out": []}
    return runs / "llava"


def test_the_cards_own_lines_say_what_the_run_says(runs, exported, monkeypatch, capsys):
    card = (exported / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    (runs / "a.png").write_bytes((runs / "photos/3.png").read_bytes())
    monkeypatch.chdir(runs)
    names: dict = {}
    exec(code.replace("this folder", str(exported)), names)
    content = [{"type": "image", "path": str(runs / "a.png")}, {"type": "text", "text": "What is it?"}]
    said = pm.load(runs / "run").chat(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    )
    assert said and capsys.readouterr().out.strip() == said
    asked = names["processor"].decode(names["prompt"]["input_ids"][0])
    assert "<|photo|> What is it?" in asked and "Be brief." in asked


def test_its_files_hold_no_adapters_and_how_to_decode(runs, exported):
    names = {path.name for path in exported.iterdir()}
    assert names == {
        "config.json", "model.safetensors", "generation_config.json", "processor_config.json", "README.md",
        "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    }  # fmt: skip
    model, found = hf.LlavaForConditionalGeneration.from_pretrained(exported, output_loading_info=True)
    assert not any(found.values()), found
    own = pm.load(runs / "run").model.generation_config
    settings = model.generation_config
    assert settings.num_beams == 2 and settings.max_new_tokens == own.max_new_tokens > 0
    assert settings.eos_token_id == own.eos_token_id and settings.suppress_tokens == own.suppress_tokens
    assert str(runs) not in "".join((exported / name).read_text() for name in names if name.endswith(".json"))


def test_it_says_what_it_wrote_and_how_to_use_it(runs):
    result = polymodal("export", "run", "--to", "llava", "-i", "photo", "-o", "said", folder=runs)
    said = (
        "photo (image) exported to said. Use it:\n  LlavaForConditionalGeneration.from_pretrained('said')\n"
    )
    assert (result.status, result.out, result.err) == (0, said, "")
    assert error(runs, "export", "run", "--to", "llava", "-o", "said").startswith("said: is not empty")


REFUSED = [
    (["fit"], "fit: does not answer in words, and llava does nothing else. Fit one that does: polymodal fit"),
    (["scratch"], "scratch: 'photo' is read by an encoder from scratch, and LLaVA has CLIP's and SigLIP's"),
    (["run", "-i", "foto"], "run: there is no input 'foto'. Did you mean 'photo'?"),
    (["absent"], "absent: no such run folder"),
]


@pytest.mark.parametrize("given, said", REFUSED, ids=lambda value: str(value)[:20])
def test_what_it_refuses_before_anything_is_written(runs, given, said):
    assert error(runs, "export", *given, "--to", "llava", "-o", "out").startswith(said)
    assert not (runs / "out").exists()


def test_words_are_nothing_for_sentence_transformers(runs):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    line = error(runs, "export", "run", "--to", "sentence-transformers", "-o", "out")
    assert line.startswith(
        "run: answers in words, which sentence-transformers does not hold. polymodal export"
    )


def test_a_run_that_is_loaded_stays_as_it_is(runs):
    run = pm.load(runs / "run")
    run.model.generation_config.update(do_sample=True, temperature=0.6, top_k=20)  # as chat models have
    asked = [{"role": "user", "content": [{"type": "image", "path": str(runs / "photos/1.png")}]}]
    before, settings = run.chat(asked), run.model.config.to_dict()
    made = pm.export(run, to="llava", output=runs / "of_a_run")
    assert made.inputs == {"image": "photo"} and made.left_out == []
    assert "top_k" not in json.loads((runs / "of_a_run/generation_config.json").read_text())
    assert run.model.config.to_dict() == settings and settings["lora"]["rank"] == 2
    assert run.chat(asked) == before
