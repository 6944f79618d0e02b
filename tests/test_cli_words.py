"""Answers in words through the command line: fit, predict, evaluate, chat, and what each refuses."""

import io
import json
import sys

import pandas as pd
import pytest
import yaml

import polymodal as pm
from tests.command import error, errors, polymodal
from tests.tables import house_rows, write_houses
from tests.talks import assistant, language, language_options, user, write_talks

PHOTO = ["--set", "inputs.photo.size=16"]
ASK = ["--prompt", "{photo} {note}: flat or house?", "--answer", "{kind}"]


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A table, and ``run``: fitted to answer in words."""
    folder = tmp_path_factory.mktemp("words")
    write_houses(folder)
    result = polymodal("fit", "houses.csv", "--task", "generation", *ASK, "-o", "run", *language_options(),
                       *PHOTO, folder=folder)  # fmt: skip
    assert result.status == 0, result.err
    (folder / "printed.txt").write_text(result.out)
    return folder


def test_a_fit_writes_a_run_and_says_what_to_do_with_it(houses):
    run = houses / "run"
    results = json.loads((run / "metrics.json").read_text())
    assert set(results["test"]["kind"]) == {"exact_match", "vqa_accuracy"}
    assert set(results["without"]) == {"photo"} and results["validation"]["loss"] > 0
    said = pd.read_parquet(run / "predictions.parquet")
    assert list(said) == ["row", "prompt", "answer", "output", "present", "output_without_photo"]
    assert said["prompt"].str.contains("flat or house?", regex=False).all() and len(said) == 4
    assert not (run / "checkpoints").exists() and "library_name: polymodal" in (run / "README.md").read_text()
    printed = (houses / "printed.txt").read_text()
    assert "all but photo" in printed and "chat run" in printed and "exact match" in printed
    declared = yaml.safe_load((run / "run.yaml").read_text())
    assert declared["inputs"]["photo"]["modality"] == "image" and not declared["targets"]


def test_answers_are_the_same_in_every_way_of_asking(houses):
    result = polymodal("predict", "run", "houses.csv", "-o", "said.parquet", folder=houses)
    assert result.status == 0 and "40 rows answered" in result.out
    said = pd.read_parquet(houses / "said.parquet")["kind"]
    run = pm.load(houses / "run")
    assert run.generate(houses / "houses.csv", batch_size=3)["kind"].tolist() == said.tolist()
    measured = polymodal("evaluate", "run", "houses.csv", "--json", folder=houses).json["kind"]
    truth = pd.read_csv(houses / "houses.csv")["kind"]
    assert measured["exact_match"] == pytest.approx((said == truth).mean())
    tested = polymodal("evaluate", "run", "houses.csv", "--split", "test", "--json", folder=houses).json
    assert tested["kind"] == json.loads((houses / "run/metrics.json").read_text())["test"]["kind"]


def test_what_evaluate_would_not_heed_is_misuse(houses):
    for option in (["--on-error", "skip"], ["--retrieval"], ["--as", "photo=other"]):
        result = polymodal("evaluate", "run", "houses.csv", *option, folder=houses)
        assert result.status == 2 and "this run answers in words" in result.err


def test_a_talk_answers_attaches_and_goes_on_after_mistakes(houses, monkeypatch):
    lines = ["flat or house?", "/image photos/0.png", "and this?", "/image nowhere.png", "/video a.mp4",
             "/dance", "/reset", "and now?", "/quit", "never read"]  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    result = polymodal("chat", "run", "--max-new-tokens", "3", folder=houses)
    assert result.status == 0 and result.out.count("\n") >= 3
    told = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert "nowhere.png does not exist" in told[0] and "reads no video" in told[1] and "/dance" in told[2]
    assert len(told) == 3


def test_pieces_of_an_answer_are_the_answer_and_may_be_stopped(houses):
    run = pm.load(houses / "run")
    asked = [user("flat or house?", image=str(houses / "photos/0.png"))]
    whole = run.chat(asked, max_new_tokens=8)
    assert "".join(run.chat(asked, stream=True, max_new_tokens=8)).strip() == whole
    pieces = run.chat(asked, stream=True, max_new_tokens=2000, min_new_tokens=1900)
    next(pieces)
    pieces.close()


def test_text_alone_is_the_same_job(tmp_path):
    write_houses(tmp_path)
    packed = language_options(generation__pack=256, generation__max_length=128)
    result = polymodal("fit", "houses.csv", "--prompt", "in short: {note}", "--answer", "{kind}, {bedrooms}",
                       "-o", "run", "--json", *packed, folder=tmp_path)  # fmt: skip
    assert result.status == 0, result.err
    assert result.json["without"] == {} and set(result.json["test"]) == {"output"}


def test_conversations_of_several_turns_and_items(tmp_path):
    rows = house_rows(tmp_path, 24, empty=0.0)
    talks = [
        [user("flat or house?", image=row["photo"]), assistant(row["kind"]),
         user("and by its sound?", audio=row["voice"]), assistant(row["kind"])]
        for row in rows[:12]
    ]  # fmt: skip
    talks += [[{"role": "user", "content": row["note"]}, assistant(row["kind"])] for row in rows[12:]]
    write_talks(tmp_path / "talks.jsonl", talks)
    declared = {"data": {"train": "talks.jsonl"}, "generation": {"messages": "messages"},
                "inputs": {"image": {"modality": "image", "size": 16},
                           "audio": {"modality": "audio", "seconds": 0.1}}}  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(declared))
    result = polymodal("fit", "run.yaml", "-o", "run", "--json", *language_options(), folder=tmp_path)
    assert result.status == 0, result.err
    assert set(result.json["without"]) == {"image", "audio", "all"}
    run = pm.load(tmp_path / "run")
    answer = run.chat(talks[0][:3], root=tmp_path, max_new_tokens=3)
    assert isinstance(answer, str)
    checked = polymodal("check", "run.yaml", folder=tmp_path)
    assert "Tokens of a training row" in checked.out and "«" in checked.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "{foto}", "--answer", "{kind}"], "there is no column 'foto'. Did you mean 'photo'?"),
        (["--prompt", "{note", "--answer", "{kind}"], "cannot be read"),
        (["--prompt", "{note}", "--answer", "{photo}"], "'photo' is an input. Answers are words"),
        ([*ASK, "--set", "generation.metrics=[blue]"], "no metric of words named 'blue'"),
        (
            [*ASK, "--set", "inputs.photo.connector=mpl"],
            "no connector named 'mpl'. Did you mean 'mlp'?",
        ),
        ([*ASK, "--set", "generation.max_length=20"], "expected at most 20"),
        ([*ASK, "--set", "generation.language_model=nowhere/at-all"], "neither a local folder nor"),
        ([*ASK, "--set", "generation.language_model.hiden_size=3"], "has no size 'hiden_size'"),
        ([*ASK, "--target", "price"], "does not go with answers in words"),
        (["--prompt", "{note}"], "give 'prompt' and 'answer'"),
        ([*ASK, "--set", "generation.pack=16", "--set", "generation.max_length=64"], "'pack' is 16"),
        ([*ASK, "--set", "targets.price.task=regression"], "exclude each other"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(houses, words, said):
    told = errors(houses, "fit", "houses.csv", "-o", "no", *language_options(), *PHOTO, *words, "--json")
    assert any(said in line for line in told), told
    assert not (houses / "no/model.safetensors").exists()


def test_rows_without_an_answer_are_left_out_and_counted(tmp_path):
    rows = house_rows(tmp_path, 30, empty=0.0)
    for row in rows[:3]:
        row["kind"] = None
    pd.DataFrame(rows).to_csv(tmp_path / "houses.csv", index=False)
    run = pm.fit(tmp_path / "houses.csv", prompt="{note}", answer="{kind}", output=tmp_path / "run",
                 settings=language())  # fmt: skip
    warnings = json.loads((run.folder / "metrics.json").read_text())["warnings"]
    assert any("have no answer and give no loss" in line for line in warnings)


def test_runs_of_one_kind_refuse_what_only_the_other_can(houses, fitted_houses):
    for command in (["embed", "run", "houses.csv", "-o", "x.parquet"], ["report", "run"],
                    ["explain", "run", "houses.csv"], ["index", "run", "houses.csv", "-o", "x"]):  # fmt: skip
        assert "answers in words, and can do no such thing" in error(houses, *command)
    line = error(fitted_houses, "chat", "run")
    assert "answers no words, but 'kind', 'price'" in line
    with pytest.raises(pm.RunError, match="answers no words"):
        pm.load(fitted_houses / "run").generate("houses.csv")
