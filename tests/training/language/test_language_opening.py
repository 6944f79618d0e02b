"""What a declaration of answers in words leaves open is filled in from the table."""

import pandas as pd
import pytest
import yaml

import polymodal as pm
from polymodal.training.declaration.source import read_request
from polymodal.training.language.language_opening import TUNING_EPOCHS
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.tables import house_rows, write_houses, write_table
from tests.support.talks import assistant, language, save_speaker, user, write_talks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two tables, a checkpoint, and conversations."""
    made = tmp_path_factory.mktemp("opening")
    write_houses(made, rows=30)
    rows = house_rows(made, 24, seed=1, empty=0.0)
    write_table(made / "captions.csv", [row | {"note": f"zyzzyva {row['note']}"} for row in rows])
    save_speaker(made / "lm")
    talks = [[user("flat?", image=row["photo"], audio=row["voice"]), assistant(row["kind"])] for row in rows]
    write_talks(made / "talks.jsonl", talks)
    return made


def opened(folder, source="houses.csv", *, settings=(), **more):
    return open_job(FitRequest(folder / source, settings=[*language(), *settings], **more))


def staged(folder, stages, **data):
    """A job of a declaration with these stages."""
    asked = {"prompt": "{note}", "answer": "{kind}"}
    declared = {"data": {"train": "houses.csv", **data}, "generation": asked, "stages": stages}
    (folder / "run.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return opened(folder, "run.yaml", settings=["train.epochs=5", "train.learning_rate=0.5"])


def test_columns_of_media_are_read_by_encoders_and_others_are_written_out(folder):
    job = opened(folder, prompt="{photo} {voice} {note} {bedrooms} {district}", answer="{kind}")
    modalities = {name: entry.modality for name, entry in job.declaration.inputs.items()}
    assert modalities == {"photo": "image", "voice": "audio"}
    more = opened(folder, prompt="{note} {district} {photo}", answer="{kind}", inputs=["note", "district"])
    modalities = {name: entry.modality for name, entry in more.declaration.inputs.items()}
    assert modalities == {"note": "text", "district": "category", "photo": "image"}


def test_items_of_messages_are_inputs_by_their_kind(folder):
    job = opened(folder, "talks.jsonl", settings=["generation.messages=messages"])
    assert {name: entry.modality for name, entry in job.declaration.inputs.items()} == {
        "image": "image", "audio": "audio",
    }  # fmt: skip
    assert job.declaration.train.modality_dropout == 0  # what is asked may be about any of them
    assert opened(folder, prompt="{photo}", answer="{kind}").declaration.train.modality_dropout == 0.15


def test_a_model_that_knows_words_needs_few_epochs(folder):
    given = {"prompt": "{note}", "answer": "{kind}"}
    known = open_job(
        FitRequest(folder / "houses.csv", settings=[f"generation.language_model={folder / 'lm'}"], **given)
    )
    fresh = open_job(FitRequest(folder / "houses.csv", **given))
    assert known.declaration.train.epochs == TUNING_EPOCHS < fresh.declaration.train.epochs
    assert known.longest == known.context == 256 and fresh.context == 2048
    assert known.declaration.train.metric == "loss"


def test_each_stage_is_trained_as_it_says_and_else_as_all_are(folder):
    job = staged(
        folder, {"align": {"learn": ["language_model"], "train": {"epochs": 2, "seed": 7}}, "instruct": {}}
    )
    align, instruct = job.stages
    assert (align.train.epochs, align.train.seed, align.train.learning_rate) == (2, 7, 0.5)
    assert (instruct.train.epochs, instruct.train.seed, instruct.train.learning_rate) == (5, 0, 0.5)
    assert [stage.name for stage in job.stages] == ["align", "instruct"]
    assert list(opened(folder, prompt="{note}", answer="{kind}").declaration.stages) == ["train"]


def test_a_stage_has_rows_and_questions_of_its_own(folder):
    align = {"data": "captions.csv", "prompt": "{district}: describe", "answer": "{note}"}
    job = staged(folder, {"align": align, "instruct": {}})
    first, second = job.stages
    assert first.splits["train"].name.endswith("captions.csv") and len(first.splits["train"]) == 20
    assert second.splits == job.splits
    row = next(iter(first.splits["train"].rows()))
    asked, said = first.reader.read(row)
    assert asked.text == f"{row['district']}: describe" and said.text == row["note"]
    assert second.reader.read(row)[0].text == row["note"]
    only = staged(folder, {"align": {"answer": "{district}"}, "instruct": {}})
    assert only.stages[0].splits == only.splits


def test_files_of_validation_and_test_rows_are_not_those_of_a_stage_with_its_own(folder):
    frame = pd.read_csv(folder / "houses.csv")
    frame.head(9).to_csv(folder / "val.csv", index=False)
    align = {"data": "captions.csv"}
    job = staged(folder, {"align": align, "instruct": {}}, validation="val.csv", test="val.csv")
    assert {name: len(part) for name, part in job.splits.items()} == {"train": 30, "validation": 9, "test": 9}
    parts = {name: len(part) for name, part in job.stages[0].splits.items()}
    assert parts == {"train": 22, "validation": 2, "test": 0}


def test_the_tokenizer_learns_from_the_training_rows_of_all_stages_and_no_others(folder):
    rows = [{"note": "quokka quokka" if number < 4 else "a garden", "kind": "flat",
             "split": "test" if number < 4 else "train"} for number in range(24)]  # fmt: skip
    rows += [{"note": "a garden", "kind": "flat", "split": "val"}] * 2
    write_table(folder / "held.csv", rows)
    job = opened(
        folder, "held.csv", prompt="{note}", answer="{kind}", settings=["generation.vocabulary=2000"]
    )
    tokens = job.processor.tokenizer.get_vocab()
    assert "flat" in tokens and not any("quokka" in token for token in tokens)
    job = staged(folder, {"align": {"data": "captions.csv", "learn": ["language_model"]}, "instruct": {}})
    assert any("zyz" in token for token in job.processor.tokenizer.get_vocab())


def test_rows_at_fault_in_a_stage_of_its_own_are_listed_too(folder):
    lines = (folder / "captions.csv").read_text().splitlines()
    (folder / "broken.csv").write_text("\n".join([*lines[:6], "too,few", *lines[6:]]))
    with pytest.raises(pm.DataError, match="row 6"):
        staged(folder, {"align": {"data": "broken.csv"}, "instruct": {}})
    job = staged(folder, {"align": {"data": "broken.csv"}, "instruct": {}}, on_error="skip")
    assert [problem.row for problem in job.rejected] == [6]


def asks_for_words(source, settings=()):
    request = FitRequest(source, settings=settings)
    return read_request(request).answers_in_words(request)


def test_whether_words_are_asked_for(folder):
    assert asks_for_words(folder / "houses.csv", ["generation.prompt={note}"])
    assert not asks_for_words(folder / "houses.csv", ["train.epochs=1"])
    (folder / "words.yaml").write_text("generation: {prompt: '{note}', answer: '{kind}'}\n")
    assert asks_for_words(folder / "words.yaml")


def test_a_frame_is_a_source_as_a_file_is(folder):
    frame = pd.read_csv(folder / "houses.csv")
    job = open_job(FitRequest(frame, prompt="{note}", answer="{kind}", settings=language()))
    assert len(job.splits["train"]) == 24 and job.declaration.data.train is None
