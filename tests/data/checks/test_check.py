"""The check before the first step: what it refuses, what it warns of, what it tells."""

import json
from functools import partial

import pandas as pd
import pytest

from polymodal.config.parsing import parse
from polymodal.data.checks.check import check
from polymodal.data.media import MediaError
from polymodal.data.schema.schema import complete
from polymodal.data.tables.table import read_table
from tests.support.houses import ROWS, SPLITS, check_houses, make_houses


@pytest.fixture
def columns(tmp_path):
    return make_houses(tmp_path)


@pytest.fixture
def run(tmp_path, columns):
    """Write the columns as they are by then, and check a declaration of them."""
    return partial(check_houses, tmp_path, columns)


def lines(problems):
    return [str(problem) for problem in problems]


def column(report, name):
    return next(entry for entry in report.columns if entry.column == name)


# what it tells


def test_good_data_has_no_problems_and_no_warnings(run):
    report = run()
    assert report.ok and not report.warnings and report.rows == {"train": 28, "validation": 6, "test": 6}


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("photo", "10×8 to 10×9 pixels"),
        ("voice", "0.1–0.49 s at 8000 Hz"),
        ("city", "2 categories, rarest 'Rome'"),
        ("note", "4.0 words a cell, at most 4"),
        ("kind", "2 classes, rarest 'flat' 20 rows"),
    ],
)
def test_each_column_is_described(run, name, detail):
    assert column(run(), name).detail.startswith(detail)


def test_numbers_are_described_by_their_range(run, columns):
    columns["rooms"] = [-3.5, 12] * 20
    assert column(run(), "rooms").detail == "−3.5 … 12, 2 distinct"


def test_each_column_has_its_role(run):
    report = run({"data": {"group": "note"}}, inputs=["photo", "rooms"])
    roles = {entry.column: (entry.role, entry.modality) for entry in report.columns}
    assert roles == {
        "photo": ("input", "image"),
        "voice": ("left out", "audio"),
        "rooms": ("input", "number"),
        "city": ("left out", "category"),
        "note": ("group", None),
        "kind": ("target", "classification"),
        "price": ("left out", "number"),
    }


def test_the_share_of_empty_cells_is_over_all_splits(run, columns):
    columns["note"][30:] = [None] * 10
    assert column(run(), "note").empty == 0.25


def test_the_report_is_plain_json(run, columns):
    columns["rooms"][3] = "ten"
    report = json.loads(json.dumps(run().to_json()))
    assert report["ok"] is False and report["problems"][0]["row"] == 4 and len(report["columns"]) == 7


# media


def test_a_truncated_picture_is_refused_with_its_row(run, tmp_path):
    data = (tmp_path / "35.png").read_bytes()
    (tmp_path / "35.png").write_bytes(data[: len(data) // 2])
    (problem,) = run().problems
    assert (problem.file, problem.row, problem.column) == ("houses.csv", 36, "photo")
    assert "35.png" in problem.found and problem.cure


def test_an_empty_recording_is_refused_with_its_row(run, tmp_path):
    (tmp_path / "2.wav").write_bytes(b"")
    (problem,) = run().problems
    assert (problem.row, problem.column) == (3, "voice") and "empty" in problem.found


def test_every_unreadable_file_is_listed(run, tmp_path):
    for row in (1, 30):
        (tmp_path / f"{row}.png").write_bytes(b"no picture")
    (tmp_path / "7.wav").unlink()
    assert sorted((entry.column, entry.row) for entry in run().problems) == [
        ("photo", 2),
        ("photo", 31),
        ("voice", 8),
    ]


def test_pictures_from_the_wrong_folder_are_refused_in_one_line(run, columns, tmp_path):
    columns["photo"] = [f"nowhere/{row}.png" for row in range(ROWS)]
    (problem,) = run().problems
    assert (
        problem.found.startswith("none of its 40 files is there")
        and str(tmp_path / "nowhere") in problem.found
    )
    assert problem.column == "photo" and problem.row is None


def test_many_missing_files_are_one_line(run, tmp_path):
    for row in range(5, 30):
        (tmp_path / f"{row}.wav").unlink()
    (problem,) = run().problems
    assert (
        problem.found.startswith("25 of its 40 files are not there; the first, '5.wav'") and problem.row == 6
    )


def test_each_file_is_decoded_once_and_refused_in_every_row(run, columns):
    columns["photo"] = ["0.png", "1.png"] * 20
    decoded = []

    def decode(name, config, item, root):
        decoded.append(item)
        if item == "1.png":
            raise MediaError(found="1.png is torn")

    report = run(decode=decode, inputs=["photo"])
    assert sorted(decoded) == ["0.png", "1.png"]
    assert [problem.row for problem in report.problems] == list(range(2, 41, 2))


def test_empty_cells_are_not_opened(run, columns):
    columns["photo"][3:9] = [None] * 6
    assert run().ok


def test_pictures_as_bytes_are_opened(tmp_path, columns):
    cells = [(tmp_path / path).read_bytes() for path in columns["photo"]]
    cells[4] = cells[4][:50]
    table = read_table(pd.DataFrame({"photo": cells, "kind": columns["kind"]}))
    values, guesses = complete({}, table, targets=["kind"])
    splits = {split: table.select(list(rows)) for split, rows in SPLITS.items()}
    assert [problem.row for problem in check(splits, parse(values), guesses).problems] == [5]


def test_progress_wraps_every_cell(run):
    seen = []

    def progress(jobs, label, total):
        seen.append((label, total))
        return jobs

    run(progress=progress)
    assert seen == [("reading 'photo'", 40), ("reading 'voice'", 40)]


# columns


def test_a_word_among_numbers_is_refused_with_its_row(run, columns):
    columns["rooms"][31] = "ten"
    (line,) = lines(run().problems)
    assert line.startswith("houses.csv, row 32, column 'rooms': 'ten', expected a number. ")


def test_a_separator_that_the_other_numbers_lack_has_its_own_cure(run, columns):
    columns["rooms"][1] = "12,00"
    assert run().problems[0].cure == "Write it as the others are, nothing between thousands."


def test_an_input_empty_in_training_is_refused(run, columns):
    columns["note"][:28] = [None] * 28
    (line,) = lines(run().problems)
    assert line.startswith("houses.csv, column 'note': all 28 training cells are empty")


def test_an_input_mostly_empty_is_warned_of(run, columns):
    columns["note"][1:28] = [None] * 27
    report = run()
    assert report.ok and "27 of 28 training cells are empty" in report.warnings[0].found


def test_a_declared_column_that_is_missing_is_named(run, tmp_path, columns):
    table = read_table(pd.DataFrame(columns))
    declaration = parse(
        {"inputs": {"roms": {"modality": "number"}}, "targets": {"kind": {"task": "classification"}}}
    )
    report = check(dict.fromkeys(SPLITS, table), declaration, [])
    assert str(report.problems[0]).startswith("DataFrame: no column 'roms'. Did you mean 'rooms'?")


def test_categories_never_trained_on_are_warned_of(run, columns):
    columns["city"][33] = "Lima"
    assert "categories that training never saw: 'Lima' (1 of 6 validation rows)" in run().warnings[0].found


# targets


def test_an_empty_target_is_refused(run, columns):
    columns["kind"] = [None] * ROWS
    assert "column 'kind': all 28 training cells are empty" in lines(run().problems)[0]


def test_a_target_of_one_class_is_refused(run, columns):
    columns["kind"] = ["flat"] * ROWS
    assert "every training row is 'flat', expected two classes or more" in lines(run().problems)[0]


def test_text_in_a_number_to_learn_is_refused_in_every_row(run, columns):
    columns["price"][5] = columns["price"][38] = "unknown"
    report = run(target="price")
    assert [(problem.row, problem.column) for problem in report.problems] == [(6, "price"), (39, "price")]


def test_empty_cells_of_a_target_are_fine(run, columns):
    columns["price"][3] = None
    columns["kind"][4] = None
    assert run(target="price").ok and run().ok


def test_too_few_rows_to_train_on_are_refused(run):
    report = run(rows={"train": [0], "validation": [1], "test": []})
    assert "1 rows to train on, expected two or more" in lines(report.problems)[0]


@pytest.mark.parametrize("rows", [{"train": range(40)}, {"train": range(40), "validation": []}])
def test_no_rows_for_validation_are_refused(run, rows):
    assert "no rows for validation" in lines(run(rows=rows).problems)[0]


def test_no_rows_to_train_on_are_refused(run):
    assert "0 rows to train on" in lines(run(rows={"train": [], "validation": [1]}).problems)[0]


def test_classes_never_trained_on_are_warned_of(run, columns):
    columns["kind"][35] = columns["kind"][36] = "castle"
    report = run()
    assert "classes that training never saw: 'castle' (2 of 6 test rows)" in report.problems[0].found


def test_rare_classes_are_warned_of(run, columns):
    columns["kind"][0] = "castle"
    assert "1 of 3 classes have fewer than 5 training rows: 'castle'" in run().warnings[0].found


def test_a_target_without_answers_in_validation_is_refused(run, columns):
    columns["kind"][28:34] = [None] * 6
    assert run().problems[0].found == "no validation row has an answer"
