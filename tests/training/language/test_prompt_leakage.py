"""Rows of validation and test that ask what training asks are told; those that share a part of it are not."""

import pytest

from polymodal.training.language.language_check import check_language
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.tables import house_rows, write_table
from tests.support.talks import assistant, language, user, write_talks


@pytest.fixture
def warned(tmp_path):
    """What is warned of in a table whose row 20 tests and whose row 19 validates, the others train."""

    def warned(change, prompt, **more):
        rows = house_rows(tmp_path, 20, empty=0.0)
        for number, row in enumerate(rows):
            row["split"] = {18: "val", 19: "test"}.get(number, "train")
            row["note"] = f"{number} {row['note']}"
            change(number, row)
        write_table(tmp_path / "houses.csv", rows)
        given = language(inputs__photo__size=16, **more) if "photo" in prompt else language(**more)
        job = open_job(FitRequest(tmp_path / "houses.csv", prompt=prompt, answer="{kind}", settings=given))
        report = check_language(job, quiet=True)
        assert report.ok
        return [(warning.row, warning.found) for warning in report.warnings]

    return warned


def equal(**cells):
    """Rows 5 and 20 hold the same in these columns."""
    return lambda number, row: row.update(cells if number in (4, 19) else {})


MESSAGES = [(20, "1 of 1 test rows have the prompt of a training row, this one of row 5")]


def test_equal_texts(warned):
    assert warned(equal(note="a garden"), "{note}") == MESSAGES
    assert warned(equal(note="a garden"), "{note} {district}") in (MESSAGES, [])
    assert warned(equal(note="a garden"), "{note} {id}") == []


def test_equal_items(warned):
    assert warned(equal(photo="photos/19.png"), "{photo} which?") == MESSAGES
    assert warned(equal(photo="photos/1.png"), "{photo} {note}") == []
    assert warned(equal(photo="photos/1.png", note="a garden"), "{photo} {note}") == MESSAGES


def test_rows_that_ask_by_nothing_are_no_repetition(warned):
    assert warned(equal(photo=None), "{photo} which?") == []
    assert warned(equal(photo=None, note="a garden"), "{photo} {note}") == MESSAGES


def test_rows_of_any_stage(warned):
    stage = {"stages__align__prompt": "'{id}'", "stages__all__learn": "[language_model]"}
    assert warned(equal(id="a"), "{note}", **stage) == []
    assert warned(lambda number, row: row.update(id=row["note"] if number != 4 else "19 b",
                                                 note="19 b" if number == 19 else row["note"]),
                  "{note}", **stage) == MESSAGES  # fmt: skip


def test_the_last_question_of_a_conversation_in_the_light_of_those_before(tmp_path):
    rows = house_rows(tmp_path, 20, empty=0.0)
    talks = [[user("flat?", image=row["photo"]), assistant(row["kind"]), user("sure?"), assistant("yes")]
             for row in rows]  # fmt: skip
    talks[19][0], talks[19][1] = talks[4][0], talks[4][1]
    write_talks(tmp_path / "talks.jsonl", talks)
    lines = (tmp_path / "talks.jsonl").read_text().splitlines()
    parts = ["train"] * 18 + ["val", "test"]
    lines = [f'{line[:-1]}, "split": "{part}"}}' for line, part in zip(lines, parts, strict=True)]
    (tmp_path / "talks.jsonl").write_text("\n".join(lines))
    given = language(generation__messages="messages", inputs__image__modality="image", inputs__image__size=16)
    report = check_language(open_job(FitRequest(tmp_path / "talks.jsonl", settings=given)), quiet=True)
    assert [(warning.row, warning.found) for warning in report.warnings] == MESSAGES
