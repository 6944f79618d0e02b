"""Answers in words through the command line: check, fit, predict, evaluate and chat on small real files."""

import io
import json
import re
import signal
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest
import yaml

import polymodal as pm
from tests.support.command import polymodal
from tests.support.tables import house_rows, write_houses, write_table
from tests.support.talks import assistant, language_options, user, write_talks

PHOTO = ["--set", "inputs.photo.size=16"]
ASK = ["--prompt", "{photo} {note}: flat or house?", "--answer", "{kind}", *PHOTO]
NOTE = ["--prompt", "in short: {note}", "--answer", "{kind}"]


@pytest.fixture(scope="module")
def houses(spoken_houses):
    return spoken_houses


def fit(folder, *words, **more):
    """The object that ``fit … --json`` prints."""
    result = polymodal("fit", *words, "-o", "run", "--json", *language_options(**more), folder=folder)
    assert result.status == 0, result.err
    return result.json


def results(folder):
    return json.loads((folder / "run/metrics.json").read_text())


def test_a_fit_writes_a_run_and_says_what_to_do_with_it(houses):
    run = houses / "run"
    assert {path.name for path in run.iterdir()} == {
        "README.md", "chat_template.jinja", "config.json", "generation_config.json", "metrics.json",
        "checksums.json", "model.safetensors", "predictions.parquet", "processor_config.json", "run.yaml",
        "report.html", "report.json", "samples",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    found = results(houses)
    assert set(found["test"]["kind"]) == {"exact_match", "vqa_accuracy"} and set(found["without"]) == {
        "photo"
    }
    assert found["validation"]["loss"] > 0 and found["rows"] == {"train": 32, "validation": 4, "test": 4}
    assert set(found["present"]) == {"photo", "text alone"}
    assert sum(part["rows"] for part in found["present"].values()) == 4
    assert "library_name: polymodal" in (run / "README.md").read_text()
    declared = yaml.safe_load((run / "run.yaml").read_text())
    assert declared["inputs"]["photo"]["modality"] == "image" and not declared["targets"]
    printed = (houses / "printed.txt").read_text()
    for words in ("exact match", "everything", "all but photo", "rows with photo (3)",
                  "rows of text alone (1)", "polymodal chat run", "polymodal predict run"):  # fmt: skip
        assert words in printed


def test_the_answers_to_the_test_rows_stand_beside_what_was_asked(houses):
    said = pd.read_parquet(houses / "run/predictions.parquet")
    assert list(said) == ["row", "prompt", "answer", "output", "present", "output_without_photo"]
    table = pd.read_csv(houses / "houses.csv").iloc[said["row"] - 1]
    assert said["answer"].tolist() == table["kind"].tolist()
    for prompt, photo, note in zip(said["prompt"], table["photo"], table["note"].fillna(""), strict=True):
        assert f"{note}: flat or house?" in prompt and prompt.endswith("assistant\n")
        assert ("<|photo|>×1" in prompt) == (photo == photo) != ("<|no photo|>" in prompt)
    blind = pm.load(houses / "run").generate(table.assign(photo=None))
    assert blind["kind"].tolist() == said["output_without_photo"].tolist()


def test_answers_are_the_same_in_every_way_of_asking(houses):
    result = polymodal("predict", "run", "houses.csv", "-o", "said.parquet", folder=houses)
    assert result.status == 0 and "40 rows answered" in result.out
    said = pd.read_parquet(houses / "said.parquet")["kind"]
    again = polymodal("predict", "run", "houses.csv", "-o", "again.parquet", "--batch-size", "7", "--json",
                      folder=houses).json  # fmt: skip
    assert again == {
        "output": "again.parquet",
        "rows": 40,
        "warnings": [],
        "missing": {"photo": 4},
        "unseen": {},
    }
    assert pd.read_parquet(houses / "again.parquet")["kind"].equals(said)
    measured = polymodal("evaluate", "run", "houses.csv", "--json", folder=houses).json["kind"]
    truth = pd.read_csv(houses / "houses.csv")["kind"]
    assert 0 < measured["exact_match"] == pytest.approx((said == truth).mean())
    assert "exact_match" in polymodal("evaluate", "run", "houses.csv", folder=houses).out
    tested = pd.read_parquet(houses / "run/predictions.parquet").set_index("row")["output"]
    assert said[tested.index - 1].tolist() == tested.tolist()


def test_a_split_of_the_table_is_measured_as_the_fit_split_it(houses):
    for split, measured in {"test": results(houses)["test"]["kind"],
                            "validation": results(houses)["validation"]}.items():  # fmt: skip
        found = polymodal("evaluate", "run", "houses.csv", "--split", split, "--json", folder=houses).json
        assert found["kind"] == {name: measured[name] for name in found["kind"]}


def test_what_evaluate_would_not_heed_is_misuse(houses):
    for option in (["--retrieval"], ["--as", "photo=other"]):
        result = polymodal("evaluate", "run", "houses.csv", *option, folder=houses)
        assert result.status == 2 and "this run answers in words" in result.err


def test_a_talk_answers_attaches_and_goes_on_after_mistakes(houses, monkeypatch):
    lines = ["flat or house?", "/image photos/0.png", "and this?", "/image nowhere.png", "/video a.mp4",
             "/dance", "/image", "", "/image 'photos/1.png'", "/reset", "and now?", "/quit",
             "more"]  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    result = polymodal("chat", "run", "--max-new-tokens", "3", folder=houses)
    assert result.status == 0
    banner = (
        r"run: \w+, [\d,]+ parameters, /image PATH attaches a file, /help lists all commands, /quit ends\."
    )
    assert re.fullmatch(banner, result.err.splitlines()[0])
    told = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert [line for line in result.err.splitlines() if line not in told] == [
        result.err.splitlines()[0],
        "photos/0.png goes with your next message", "photos/1.png goes with your next message",
    ]  # fmt: skip
    found = (
        "nowhere.png does not exist",
        "reads no video. There are: image",
        "no /dance",
        "/image takes the",
    )
    assert len(told) == 4 and all(words in line for words, line in zip(found, told, strict=True))
    run = pm.load(houses / "run")
    first, photo = [{"role": "user", "content": "flat or house?"}], str(houses / "photos/0.png")
    said = run.chat(first, max_new_tokens=3)
    asked = [*first, {"role": "assistant", "content": said or "…"}, user("and this?", image=photo)]
    fresh = run.chat([{"role": "user", "content": "and now?"}], max_new_tokens=3)
    assert result.out.split("\n") == [said, run.chat(asked, max_new_tokens=3), fresh, ""]


@pytest.mark.slow
def test_ctrl_c_stops_an_answer_and_the_talk_goes_on(houses, tmp_path):
    run = pm.load(houses / "run")
    run.model.generation_config.eos_token_id = None  # its answers never end by themselves
    run.save(tmp_path / "run")
    command = [sys.executable, "-m", "polymodal", "chat", str(tmp_path / "run"), "--max-new-tokens", "2000",
               "--sample", "--temperature", "50"]  # fmt: skip
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    # Tests that a script runs in the background hand on that SIGINT is to be ignored.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, **pipes, text=True, bufsize=1, preexec_fn=heard) as talk:
        talk.stdin.write("flat?\n")
        assert talk.stdout.read(1)  # it has begun to speak
        talk.send_signal(signal.SIGINT)
        said, told = talk.communicate("/dance\n/quit\n", timeout=60)
    assert talk.returncode == 0 and "Traceback" not in told
    assert " (stopped)" in told and "error: there is no /dance" in told
    assert said.endswith("\n") and len(said) < 2000


def test_several_beams_and_draws_talk_too(houses, monkeypatch):
    asked = [{"role": "user", "content": "flat?"}]
    for more, options in ((["--beams", "2"], {"beams": 2}), (["--sample", "--temperature", "0.01"], {})):
        monkeypatch.setattr(sys, "stdin", io.StringIO("flat?\n"))
        result = polymodal("chat", "run", "--max-new-tokens", "4", *more, folder=houses)
        assert result.status == 0, result.err
        assert result.out == pm.load(houses / "run").chat(asked, max_new_tokens=4, **options) + "\n"


def test_text_alone_is_the_same_job(tmp_path):
    write_houses(tmp_path)
    ask = ["--prompt", "in short: {note}", "--answer", "{kind}, {bedrooms}"]
    found = fit(tmp_path, "houses.csv", *ask, generation__pack=256, generation__max_length=128)
    assert found["without"] == {} and found["present"] == {} and set(found["test"]) == {"output"}
    assert found["run"] == "run" and "history" not in found
    answers = pm.load(tmp_path / "run").generate([{"note": "quiet street, 3 rooms"}, {"note": None}])
    assert list(answers) == ["output", "missing"] and len(answers) == 2


def test_validation_and_test_rows_may_stand_in_files_of_their_own(tmp_path):
    for name, rows in (("train.csv", 20), ("val.csv", 6), ("held.csv", 8)):
        write_houses(tmp_path, name, rows, seed=rows, empty=0.0)
    declared = {"data": {"train": "train.csv", "validation": "val.csv", "test": "held.csv"},
                "generation": {"prompt": "{photo}", "answer": "{kind}"},
                "inputs": {"photo": {"modality": "image", "size": 16}}}  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(declared))
    found = fit(tmp_path, "run.yaml")
    assert found["rows"] == {"train": 20, "validation": 6, "test": 8}
    said = pd.read_parquet(tmp_path / "run/predictions.parquet")
    assert said["answer"].tolist() == pd.read_csv(tmp_path / "held.csv")["kind"].tolist()


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
    found = fit(tmp_path, "run.yaml", data__test=0.3)
    assert set(found["without"]) == {"image", "audio", "all"}
    assert set(found["present"]) == {"image, audio", "text alone"} and set(found["test"]) == {"output"}
    said = pd.read_parquet(tmp_path / "run/predictions.parquet").set_index("row")
    run = pm.load(tmp_path / "run")
    for row, line in said.iterrows():
        assert run.chat(talks[row - 1][:-1], root=tmp_path) == line["output"]
        assert line["prompt"].count("<|audio|>") == (row <= 12) and line["prompt"].endswith("assistant\n")
    assert polymodal("evaluate", "run", "talks.jsonl", "--split", "test", "--json",
                     folder=tmp_path).json == found["test"]  # fmt: skip


def test_a_check_counts_tokens_and_shows_a_row_as_the_model_sees_it(houses):
    asked = ["--task", "generation", *ASK, *language_options()]
    checked = polymodal("check", "houses.csv", *asked, folder=houses)
    assert checked.status == 0 and "A fit would start." in checked.out
    assert "Tokens of a training row: 26 to 37, 33 in the middle, at most 2048 fit; 6." in checked.out
    row = pd.read_csv(houses / "houses.csv").iloc[0]
    shown = checked.out.split("Row 1 as the model sees it, what it learns in « »:\n")[1]
    assert shown.startswith(
        f"<|im_start|>user\n<|photo|>×1 {row['note']}: flat or house?<|im_end|>\n<|im_start|>assistant\n"
        f"«{row['kind']}<|im_end|>»\n"
    )
    roles = {"note": "prompt", "kind": "answer", "photo": "input", "price": "left out"}
    report = polymodal("check", "houses.csv", *ASK, *language_options(), "--json", folder=houses).json
    assert roles.items() <= {entry["column"]: entry["role"] for entry in report["columns"]}.items()
    assert report["conversation"]["tokens"]["longest"] == 37 and report["ok"]


def test_rows_that_cannot_be_read_are_left_out_where_that_is_asked(tmp_path):
    rows = house_rows(tmp_path, 30, empty=0.0)
    rows[4]["photo"], rows[7]["photo"] = "none.png", "houses.csv"
    write_table(tmp_path / "houses.csv", rows)
    skip = ["--on-error", "skip"]
    checked = polymodal("check", "houses.csv", *ASK, *skip, *language_options(), folder=tmp_path)
    assert checked.status == 0 and "A fit would start, without 2 rows." in checked.out
    found = fit(tmp_path, "houses.csv", *ASK, *skip)
    assert sum(found["rows"].values()) == 28 and found["notes"] == ["2 rows left out, listed in rejected.csv"]
    listed = pd.read_csv(tmp_path / "run/rejected.csv")
    assert listed[["row", "column"]].values.tolist() == [[5, "photo"], [8, "photo"]]
    result = polymodal("predict", "run", "houses.csv", *skip, "-o", "said.parquet", folder=tmp_path)
    assert result.status == 0 and "28 of 30 rows answered" in result.out
    said = pd.read_parquet(tmp_path / "said.parquet")
    assert said.index[said["kind"].isna()].tolist() == said.index[said["error"].notna()].tolist() == [4, 7]
    measured = polymodal("evaluate", "run", "houses.csv", *skip, "--json", folder=tmp_path)
    assert measured.err.count("left out: houses.csv, row ") == 2
    truth = pd.DataFrame(rows)["kind"][said["error"].isna()]
    assert measured.json["kind"]["exact_match"] == pytest.approx((said["kind"].dropna() == truth).mean())


def test_rows_without_an_answer_are_left_out_and_counted(tmp_path):
    rows = house_rows(tmp_path, 30, empty=0.0)
    for row in rows[:3]:
        row["kind"] = None
    write_table(tmp_path / "houses.csv", rows)
    found = fit(tmp_path, "houses.csv", *NOTE)
    told = [line for line in found["warnings"] if "rows have no answer and give no loss (such as row" in line]
    assert told and found["rows"]["train"] + found["rows"]["validation"] < 27 + 3


def test_a_run_is_fitted_again_from_what_it_declares(houses, tmp_path):
    again = polymodal("fit", "run/run.yaml", "-o", tmp_path / "again", "--json", folder=houses)
    assert again.status == 0, again.err
    first = results(houses)
    assert again.json["test"] == first["test"] and again.json["validation"] == first["validation"]
