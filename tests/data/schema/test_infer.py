"""Guessing what a column holds and how a target is answered."""

import os
from pathlib import Path

import pandas as pd
import pytest

from polymodal.data.schema.schema import Guess, guess_modality, guess_target
from polymodal.data.tables.table import read_table
from polymodal.errors import ConfigError

DATA = Path(os.environ.get("POLYMODAL_DATA", Path(__file__).parents[4] / "shared" / "data"))
CAPITALS = ["Oslo", "San José", "Port Louis", "Lima", "Quito", "Rome", "Bern", "Riga", "Cairo", "Accra"]


def table(tmp_path, columns, name="table.csv"):
    pd.DataFrame(columns).to_csv(tmp_path / name, index=False)
    return read_table(tmp_path / name, name=name)


def modality(tmp_path, cells):
    return guess_modality(table(tmp_path, {"x": cells, "other": range(len(cells))}), "x").modality


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg"])
def test_paths_of_pictures_are_pictures(tmp_path, suffix):
    assert modality(tmp_path, [f"photos/{number}{suffix}" for number in range(8)]) == "image"


def test_pictures_from_the_wrong_folder_stay_pictures(tmp_path):
    cells = ["nowhere/a.png", "nowhere/b.png"] * 50  # repeated as a category's values would be
    assert modality(tmp_path, cells) == "image"


def test_a_picture_column_mostly_empty_stays_a_picture(tmp_path):
    assert modality(tmp_path, ["a.png", "b.png", "c.png", "d.png", "e.png"] + [None] * 95) == "image"


def test_recordings_stay_recordings(tmp_path):
    assert modality(tmp_path, [f"voice/{number % 3}.wav" for number in range(60)]) == "audio"


def test_pictures_as_bytes_are_pictures():
    frame = pd.DataFrame({"x": [b"\x89PNG\r\n\x1a\n" + bytes([number]) for number in range(4)]})
    assert guess_modality(read_table(frame), "x").modality == "image"


def test_the_reason_gives_the_figures(tmp_path):
    guess = guess_modality(table(tmp_path, {"x": ["a.png", "b.png", "c.png", None]}), "x")
    assert guess.reason == "3 of 3 cells end in .png, 1 empty"


def test_clips_are_clips(tmp_path):
    guess = guess_modality(table(tmp_path, {"x": [f"{number}.mp4" for number in range(4)]}), "x")
    assert guess.modality == "video" and guess.is_read and guess.reason == "4 of 4 cells end in .mp4"


def test_feature_sequences_are_sequences(tmp_path):
    guess = guess_modality(table(tmp_path, {"x": [f"{number}.npy" for number in range(4)]}), "x")
    assert guess.modality == "sequence" and guess.is_read and guess.reason == "4 of 4 cells end in .npy"


@pytest.mark.parametrize(
    "cells",
    [
        ["[0.5, 1.5]", "[2.0, 3.5]", "[1]"],
        ["[[1, 2], [3, 4]]", "[[5, 6]]", "[[7, 8]]"],
        [str(list(range(number, number + 9))) for number in range(4)],
        [[1, 2], [2, 3], [3, 4]],
    ],
    ids=["fractions", "steps", "many", "no text"],
)
def test_lists_that_hold_measurements_are_sequences(tmp_path, cells):
    if isinstance(cells[0], str):
        assert modality(tmp_path, cells) == "sequence"
    else:
        assert guess_modality(read_table(pd.DataFrame({"x": cells})), "x").modality == "sequence"


def test_a_few_whole_numbers_that_are_written_as_a_list_are_text(tmp_path):
    cells = ["[1, 2]", "[7]", "[2, 4, 9]", None, "[1]", "[3, 5]"]
    assert modality(tmp_path, cells) == "text"
    assert modality(tmp_path, ["[0, 4]", "[4, 8]", "[8, 12]"] * 10) == "category"
    with pytest.raises(ConfigError, match="lists of numbers, 1 empty, which no target answers"):
        guess_target(table(tmp_path, {"x": cells}), "x")


@pytest.mark.parametrize(
    "cells", [CAPITALS, [f"Ada {name} No{number}" for number, name in enumerate(CAPITALS)]]
)
def test_names_of_one_or_two_words_are_text(tmp_path, cells):
    assert modality(tmp_path, cells) == "text"


def test_lists_are_text(tmp_path):
    cells = ["Dutch|Papiamento", "English", "French|Arabic", "English", "Swahili|English", "Thai"]
    assert modality(tmp_path, cells) == "text"


def test_questions_asked_again_and_again_are_text(tmp_path):
    assert modality(tmp_path, ["what is the blue shape?", "is there a red circle?"] * 300) == "text"


def test_words_that_repeat_are_a_category(tmp_path):
    assert modality(tmp_path, ["Africa", "South America", "Asia"] * 10) == "category"


@pytest.mark.parametrize("cells", [[True, False, True], ["yes", "no", None], ["True", "False", "True"]])
def test_truth_values_are_a_category(tmp_path, cells):
    assert modality(tmp_path, cells) == "category"


def test_numbers_with_a_stray_word_are_numbers(tmp_path):
    assert modality(tmp_path, [0.5 * number for number in range(19)] + ["ten"]) == "number"


def test_numbers_with_many_words_for_nothing_are_numbers(tmp_path):
    assert modality(tmp_path, [0.5, 1.5, 2.5, "n/a", "null"] * 4) == "number"


def test_words_with_a_few_numbers_are_no_numbers(tmp_path):
    assert modality(tmp_path, [*CAPITALS, 1, 2, 3]) == "text"


@pytest.mark.parametrize("cells", [["x"] * 8, [None] * 8, list(range(1, 9)), [5, 3, 4, 7, 6, 8]])
def test_columns_that_say_nothing_are_left_out(tmp_path, cells):
    assert modality(tmp_path, cells) is None


def test_one_value_here_and_there_is_not_left_out(tmp_path):
    assert modality(tmp_path, ["balcony", None, None, None, "balcony"] * 4) == "category"


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["cat", "dog", "cat", "dog"], "classification"),
        ([True, False, True, True], "classification"),
        ([3, 7, 3, 7, 7], "classification"),
        ([1.5, 2.5, 1.5, 2.5], "regression"),
        (list(range(100)), "regression"),
        ([1, 2, 3], "regression"),
        ([0.25 * number for number in range(19)] + ["unknown"], "regression"),
        (["1", "2", "x", "y"] * 5, "classification"),
        ([value for value in range(9) for _ in range(400 >> value)], "regression"),  # visits to a doctor
        ([value for value in range(1, 9) for _ in range(400 >> value)], "classification"),  # not from 0
        ([value for value in range(9) for _ in range(409 >> value)] + [8] * 9, "classification"),
        ([value for value in range(10) for _ in range(20 + value % 3)], "classification"),  # digits
        ([*[0, 2, 3, 5, 6] * 30, *[1, 4, 7] * 2, 8, 8, 8], "classification"),  # codes, some of them rare
        ([0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 0, 1, 3, 5, 6, 7], "classification"),
    ],
)
def test_the_task_follows_from_the_cells(tmp_path, cells, task):
    assert guess_target(table(tmp_path, {"y": cells}), "y").task == task


def test_a_task_that_was_given_stays(tmp_path):
    assert guess_target(table(tmp_path, {"y": [1, 0, 1, 0]}), "y", "regression").task == "regression"


def test_pictures_are_no_target(tmp_path):
    with pytest.raises(ConfigError, match="no target answers"):
        guess_target(table(tmp_path, {"y": ["a.png", "b.png"]}), "y")


@pytest.fixture(
    params=[
        "countries/countries.csv",
        "easy_vqa/easy_vqa.csv",
        "av_digits/digits.csv",
        "emoji_captions/emoji.csv",
    ]
)
def real(request):
    path = DATA / request.param
    if not path.exists():
        pytest.skip(f"{path} is not here; set POLYMODAL_DATA")
    return read_table(path)


EXPECTED = {
    "countries.csv": {
        "text": ["name", "official_name", "capital", "languages", "currencies", "name_de"],
        "category": ["region", "subregion", "independent", "un_member"],
        "number": ["lat", "lng", "n_borders", "area_km2"],
        "image": ["image"],
        "None": ["cca2", "cca3"],
    },
    "easy_vqa.csv": {"text": ["question"], "category": ["answer"], "image": ["image"]},
    "digits.csv": {"image": ["image", "image_degraded"], "audio": ["audio"], "number": ["label"]},
    "emoji.csv": {
        "image": ["image", "image_fxemoji"],
        "text": ["emoji", "label_en", "tags_en", "label_ja", "label_vi"],
        "category": ["group", "subgroup"],
        "number": ["version"],
        "None": ["hexcode"],
    },
}
TASKS = {
    "region": "classification",
    "landlocked": "classification",
    "area_km2": "regression",
    "answer": "classification",
    "label": "classification",
    "group": "classification",
}


def test_real_tables_are_guessed_rightly(real):
    expected = next(entry for name, entry in EXPECTED.items() if real.name.endswith(name))
    guesses: dict[str, list] = {}
    for columns in expected.values():
        for column in columns:
            guess: Guess = guess_modality(real, column)
            guesses.setdefault(str(guess.modality), []).append(column)
    assert guesses == expected


def test_real_targets_are_guessed_rightly(real):
    tasks = {column: guess_target(real, column).task for column in TASKS if column in real.columns}
    assert tasks == {column: TASKS[column] for column in tasks}
