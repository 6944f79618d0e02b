"""``Run.encode``: texts, pictures and rows in one list, in the manner of sentence-transformers."""

from __future__ import annotations

import base64

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import polymodal as pm
from tests.support.tables import write_sound


@pytest.fixture(scope="module")
def run(fitted_houses):
    return pm.load(fitted_houses / "run")


@pytest.fixture
def photo(fitted_houses):
    name = pd.read_csv(fitted_houses / "houses.csv")["photo"].dropna().iloc[0]
    return fitted_houses / name


def test_items_of_all_kinds_stand_in_one_list(run, photo):
    pixels = np.asarray(Image.open(photo))
    as_uri = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    items = [
        "a quiet garden", str(photo), photo, photo.read_bytes(), Image.open(photo), pixels, as_uri,
        {"bytes": photo.read_bytes(), "path": None}, {"photo": photo}, {"note": "a quiet garden"},
        {"bedrooms": 3},
    ]  # fmt: skip
    vectors = run.encode(items)
    assert vectors.shape == (len(items), run.width) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[2:9], np.tile(vectors[1], (7, 1)), atol=1e-6)
    np.testing.assert_allclose(vectors[9], vectors[0], atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01
    np.testing.assert_allclose(run.encode(items, batch_size=2), vectors, atol=1e-5)


def test_one_item_gives_one_vector(run, photo):
    assert run.encode("a quiet garden").shape == run.encode(Image.open(photo)).shape == (run.width,)
    np.testing.assert_allclose(run.encode({"note": "x"}), run.encode([{"note": "x"}])[0], atol=1e-6)
    assert run.encode([]).shape == (0, run.width)


def test_a_part_of_a_row_is_what_embed_gives_and_several_are_their_mean(run, fitted_houses):
    frame = pd.read_csv(fitted_houses / "houses.csv").dropna(subset=["photo", "note", "bedrooms"]).head(4)
    frame["photo"] = [str(fitted_houses / name) for name in frame["photo"]]
    each = {name: run.embed(frame, input=name) for name in ("photo", "note", "bedrooms")}
    for name, vectors in each.items():
        rows = [{name: cell} for cell in frame[name]]
        np.testing.assert_allclose(run.encode(rows, normalize=False), vectors, atol=1e-5)
    units = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in each.values()]
    mean = np.mean(units, axis=0)
    rows = frame.to_dict("records")  # targets among their keys, too
    np.testing.assert_allclose(run.encode(rows, normalize=False), mean, atol=1e-5)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(run.encode(rows), mean, atol=1e-5)
    without = [{**row, "bedrooms": None, "photo": np.nan} for row in rows]
    np.testing.assert_allclose(run.encode(without), units[1], atol=1e-5)


def test_every_inputs_vectors_come_in_one_pass(run, fitted_houses):
    table = fitted_houses / "houses.csv"
    batches = list(run.vectors_batches(table, batch_size=16))
    assert [len(batch.index) for _, batch in batches] == [16, 16, 8]
    for name in ("photo", "note", "bedrooms"):
        found = np.concatenate([vectors[name] for vectors, _ in batches])
        np.testing.assert_allclose(found, run.embed(table, input=name, batch_size=16), atol=1e-6)
    assert np.isnan(np.concatenate([vectors["photo"] for vectors, _ in batches])).any()


def test_whether_inputs_share_a_space_is_the_models_to_say(run, fitted_houses):
    assert not run.shares_space and run.width == 16
    other = pm.load(fitted_houses / "run")
    other.model.config.space = 8
    assert other.shares_space and other.width == 8


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("", "an empty item, expected a text, a file or a row"),
        (None, "an empty item"),
        (3.5, "float, expected a text, a path, bytes"),
        (b"what is this", "12 bytes, expected a text, a path"),
        (
            "a.wav",
            "a.wav is of modality audio, which no input reads, expected one of photo (image), note (text)",
        ),
        ({"fhoto": "a.png"}, "a row of fhoto, expected an input among its keys. Did you mean 'photo'?"),
        ({}, "a row of no key, expected an input among its keys. There are: photo, note"),
        ({"photo": None, "note": " "}, "a row whose inputs are all empty"),
        ("none.png", "none.png does not exist"),
        ({"bedrooms": "many"}, "'many'"),
    ],
)
def test_what_is_no_item_is_one_line_with_its_place(run, item, said):
    with pytest.raises(pm.DataError) as caught:
        run.encode(["fine", item])
    line = str(caught.value)
    assert line.startswith("items, row 2") and said in line and "\n" not in line


def test_all_that_is_wrong_is_told(run, tmp_path):
    write_sound(tmp_path / "a.wav", 400)
    with pytest.raises(pm.DataError) as caught:
        run.encode([str(tmp_path / "a.wav"), "fine", 5])
    assert [problem.row for problem in caught.value.problems] == [1, 3]
