"""Bad input through the command line: one clear line each that says where, what and the cure."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.support.command import error, errors, polymodal, settings
from tests.support.tables import house_rows, write_table


def table_with(folder, column, cells):
    """``bad.csv``: the houses with other cells in ``column``, by row from 1."""
    frame = pd.read_csv(folder / "houses.csv", dtype=str)
    for row, cell in cells.items():
        frame.loc[row - 1, column] = cell
    frame.to_csv(folder / "bad.csv", index=False)
    return "bad.csv"


@pytest.mark.parametrize("command", ["check", "fit"])
def test_a_file_that_is_missing(folder, command):
    said = error(folder, command, "house.csv", "-t", "kind")
    assert said == f"house.csv: there is no such file. Did you mean 'houses.csv'? Looked in {folder}."


def test_a_path_that_is_a_folder(folder):
    said = error(folder, "fit", ".", "-t", "kind")
    assert said.startswith(".: the path is a folder, expected a table") and "Did you mean houses.csv?" in said


def test_ragged_rows(folder):
    lines = (folder / "houses.csv").read_text().splitlines()
    lines[3] += ",more"
    lines[7] = "a,b"
    (folder / "bad.csv").write_text("\n".join(lines))
    cure = "Put a cell that holds ',' in double quotes."
    assert errors(folder, "fit", "bad.csv", "-t", "kind") == [
        f"bad.csv, row 3: found 9 cells, expected 8 as in the first line. {cure}",
        f"bad.csv, row 7: found 2 cells, expected 8 as in the first line. {cure}",
    ]


def test_another_encoding(folder):
    text = (folder / "houses.csv").read_text().replace("garden", "jardín")
    (folder / "bad.csv").write_bytes(text.encode("latin-1"))
    said = error(folder, "fit", "bad.csv", "-t", "kind")
    assert re.match(r"bad.csv, row \d+: byte 0xED in line \d+ is not UTF-8, expected UTF-8 text. Save", said)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("bedrooms", "photo", 1), "'photo': columns 2 and 5 have the same name"),
        (lambda text: text.replace("bedrooms", "", 1), "column 5 has no name. Name it in the first line"),
        (lambda text: text.splitlines()[0] + "\n", "no rows, expected rows to read"),
        (lambda text: "", "the file is empty, expected column names and rows"),
    ],
)
def test_a_table_that_is_none(folder, change, message):
    (folder / "bad.csv").write_text(change((folder / "houses.csv").read_text()))
    said = error(folder, "fit", "bad.csv", "-t", "kind")
    assert said.startswith("bad.csv") and message in said


def test_a_target_that_is_unknown(folder):
    said = error(folder, "fit", "houses.csv", "-t", "prize")
    assert said.startswith("houses.csv: no column 'prize'. Did you mean 'price'? There are: id, photo,")
    assert "no target: name the column to learn" in error(folder, "fit", "houses.csv")
    assert "both an input and a target" in error(folder, "fit", "houses.csv", "-t", "kind", "-i", "kind,note")


def test_a_target_that_is_empty(folder):
    table_with(folder, "kind", dict.fromkeys(range(1, 41), None))
    said = error(folder, "fit", "bad.csv", "-t", "kind", "-o", "other")
    assert said.startswith(
        "bad.csv, column 'kind': all 32 training cells are empty, expected answers to learn"
    )


def test_a_target_of_one_class(folder):
    table_with(folder, "kind", dict.fromkeys(range(1, 41), "flat"))
    said = error(folder, "fit", "bad.csv", "-t", "kind", "-o", "other")
    assert said.startswith(
        "bad.csv, column 'kind': every training row is 'flat', expected two classes or more"
    )


def test_a_number_to_learn_with_text_in_it(folder):
    table_with(folder, "price", {7: "about two", 9: "1,2,3"})
    cures = ["Correct the cell or leave it empty, or set the target's task to classification.",
             "Write it as the others are, nothing between thousands."]  # fmt: skip
    assert errors(folder, "fit", "bad.csv", "-t", "price", "-o", "other") == [
        f"bad.csv, row 7, column 'price': 'about two', expected a number. {cures[0]}",
        f"bad.csv, row 9, column 'price': '1,2,3', expected a number. {cures[1]}",
    ]


def test_a_picture_is_no_target(folder):
    assert "which no target answers" in error(folder, "fit", "houses.csv", "-t", "photo", "-o", "other")


def test_media_that_cannot_be_read_are_all_named(folder):
    bad = folder / "bad"
    bad.mkdir()
    png, wav = (folder / "photos/5.png").read_bytes(), (folder / "sounds/5.wav").read_bytes()
    Image.open(folder / "photos/5.png").resize((64, 64)).save(bad / "whole.jpg")
    (bad / "cut.jpg").write_bytes((bad / "whole.jpg").read_bytes()[:-200])
    (bad / "cut.png").write_bytes(png[: len(png) // 2])
    (bad / "page.png").write_text("<html>404</html>")
    (bad / "nothing.wav").write_bytes(b"")
    (bad / "cut.wav").write_bytes(wav[:-100])
    table_with(
        folder, "photo", {4: "bad/cut.jpg", 5: "bad/cut.png", 6: "bad/page.png", 7: "bad", 8: "bad/no.png"}
    )
    shutil.copy(folder / "bad.csv", folder / "houses.csv")
    table_with(folder, "voice", {9: "bad/nothing.wav", 10: "bad/cut.wav", 11: "bad/whole.jpg"})
    said = sorted(errors(folder, "fit", "bad.csv", "-t", "kind", "-i", "photo,voice,note", "-o", "other"),
                  key=lambda line: int(line.split("row ")[1].split(",")[0]))  # fmt: skip
    expected = [
        "bad.csv, row 4, column 'photo': bad/cut.jpg cannot be decoded",
        "bad.csv, row 5, column 'photo': bad/cut.png cannot be decoded (image file is truncated)",
        "bad.csv, row 6, column 'photo': bad/page.png cannot be decoded (no known picture format)",
        "bad.csv, row 7, column 'photo': bad is a folder, expected a file",
        "bad.csv, row 8, column 'photo': bad/no.png does not exist. Relative paths start from the table's",
        "bad.csv, row 9, column 'voice': bad/nothing.wav: the file is empty",
        "bad.csv, row 10, column 'voice': bad/cut.wav is cut short",
        "bad.csv, row 11, column 'voice': bad/whole.jpg",
    ]
    assert len(said) == len(expected)
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(start) and (", expected " in line or ". " in line), line


def test_a_picture_column_from_the_wrong_folder_is_refused_in_one_line(folder):
    (folder / "photos").rename(folder / "pictures")
    said = error(folder, "fit", "houses.csv", "-t", "kind", "-o", "other")
    assert said.startswith(
        "houses.csv, column 'photo': none of its 36 files is there; the first, '0.png', was "
    )


def columns(folder, table, *options):
    result = polymodal("check", table, "--json", *options, folder=folder)
    return {column["column"]: column for column in result.json["columns"]}, result.json


def test_a_picture_column_that_is_nearly_empty_stays_one(folder):
    table_with(folder, "photo", dict.fromkeys(range(3, 41), None))
    found, report = columns(folder, "bad.csv", "-t", "kind")
    assert found["photo"]["role"] == "input" and found["photo"]["modality"] == "image"
    assert found["photo"]["empty"] == 0.95 and any(
        "'photo'" in str(w) or w["column"] == "photo" for w in report["warnings"]
    )


def test_a_sound_column_is_heard(folder):
    assert columns(folder, "houses.csv", "-t", "kind")[0]["voice"]["modality"] == "audio"


def test_names_and_capitals_are_read_as_text(folder):
    rows = house_rows(folder, 60)
    names = [
        "New Amber",
        "Olmo",
        "San Pietro",
        "Quill",
        "Port Vane",
        "Ashby",
        "Lund",
        "Oak Hill",
        "Terra",
        "Vico",
    ]
    for number, row in enumerate(rows):
        row |= {
            "name": f"{names[number % 10]} {number}",
            "capital": names[number % 10] + "bcdefg"[number // 10],
        }
    write_table(folder / "bad.csv", rows)
    found, _ = columns(folder, "bad.csv", "-t", "kind")
    for name in ("name", "capital"):
        assert found[name]["role"] == "input" and found[name]["modality"] == "text"


@pytest.mark.slow
def test_a_category_seen_a_few_times_keeps_its_own_vector(folder):
    """The rare ones cost ten times the price: merged with the others they would be far off."""
    rows = house_rows(folder, 80, empty=0)
    for number, row in enumerate(rows):
        row["district"] = ("rare", "usual", "common", "plain")[0 if number % 16 == 0 else 1 + number % 3]
        row["price"] = 1_000_000 if row["district"] == "rare" else 100_000 + number
    write_table(folder / "bad.csv", rows)
    result = polymodal("fit", "bad.csv", "-t", "price", "-i", "district", "-o", "other",
                       *settings(train__epochs=60, train__learning_rate=0.02), folder=folder)  # fmt: skip
    assert result.status == 0, result.err
    (folder / "ask.jsonl").write_text('{"district": "rare"}\n{"district": "usual"}\n')
    polymodal("predict", "other", "ask.jsonl", "-o", "a.parquet", folder=folder)
    rare, usual = pd.read_parquet(folder / "a.parquet")["price"]
    assert rare == pytest.approx(1_000_000, rel=0.3) and usual == pytest.approx(100_000, abs=100_000)


def test_the_metric_asked_for_is_the_one_that_selects(folder):
    result = polymodal("fit", "houses.csv", "-t", "kind", "-i", "note", "-o", "other", "--json",
                       *settings(train__metric="macro_f1", train__epochs=5), folder=folder)  # fmt: skip
    history = json.loads((folder / "other/metrics.json").read_text())["history"]
    scores = [entry["eval_kind.macro_f1"] for entry in history if "eval_kind.macro_f1" in entry]
    assert result.json["validation"]["kind.macro_f1"] == max(scores)


def test_a_word_in_a_number_column_when_predicting(folder):
    table_with(folder, "bedrooms", {5: "three", 9: "many"})
    expected = "expected a number. Write the number alone, or leave it empty"
    assert errors(folder, "predict", "run", "bad.csv", "-o", "a.parquet") == [
        f"bad.csv, row 5, column 'bedrooms': 'three', {expected}",
        f"bad.csv, row 9, column 'bedrooms': 'many', {expected}",
    ]
    assert not (folder / "a.parquet").exists()


def test_a_missing_column_when_predicting_is_answered(folder):
    pd.read_csv(folder / "houses.csv").drop(columns=["bedrooms", "photo"]).to_csv(
        folder / "few.csv", index=False
    )
    assert polymodal("predict", "run", "few.csv", "-o", "a.parquet", folder=folder).status == 0
    assert len(pd.read_parquet(folder / "a.parquet")) == 40


def test_a_table_with_none_of_the_inputs(folder):
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    said = error(folder, "predict", "run", "bad.csv", "-o", "a.parquet")
    assert said.startswith("bad.csv: none of the model's inputs among the columns a, b, expected one or more")


def test_answers_that_cannot_be_measured(folder):
    table_with(folder, "kind", {2: "castle"})
    assert "row 2, column 'kind': the class 'castle', expected one that training saw" in error(
        folder, "evaluate", "run", "bad.csv"
    )
    pd.read_csv(folder / "houses.csv").drop(columns="price").to_csv(folder / "bad.csv", index=False)
    assert "bad.csv: no column 'price' to measure against" in error(folder, "evaluate", "run", "bad.csv")
    pd.read_csv(folder / "houses.csv").assign(price=np.nan, kind=None).to_csv(folder / "bad.csv", index=False)
    assert error(folder, "evaluate", "run", "bad.csv").startswith("bad.csv: every target cell is empty")


def test_numbers_below_zero_are_named_where_their_logarithm_is_learnt(folder):
    table_with(folder, "price", {3: "-1", 9: "-1"})
    ask = ["check", "bad.csv", "-t", "price", "-i", "note,bedrooms", "--json"]
    assert not [w for w in polymodal(*ask, folder=folder).json["warnings"] if "below 0" in str(w)]
    logarithm = ["--set", "targets.price={task: regression, transform: log}"]
    found = polymodal(*ask, *logarithm, folder=folder).json["warnings"]
    told = " ".join(str(warning) for warning in found if "below 0" in str(warning))
    assert "price" in told and "below 0" in told and "Leave such cells empty" in told
