"""``polymodal index`` and ``search`` as a user calls them, and the same in Python."""

from __future__ import annotations

import io
import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import polymodal as pm
from polymodal.search import index_building as building
from polymodal.search.lance_store import Store
from polymodal.search.previews import HEAVIEST, SIDE, preview
from tests.support.command import error, errors, polymodal
from tests.support.tables import tiny, write_sound


def index(folder, *options, table="houses.csv", run="run", status=0):
    result = polymodal("index", run, table, "-o", "index", "--json", *options, folder=folder)
    assert result.status == status, result.err
    return result.json if not status else result


def hits(folder, *options):
    result = polymodal("search", "index", "--json", *options, folder=folder)
    assert result.status == 0, result.err
    return result.json["hits"]


def counts(done):
    """What became of the rows."""
    return [done[name] for name in ("rows", "embedded", "amended", "kept", "removed")]


def edit(folder, change, name="houses.csv"):
    """``name`` with its rows changed."""
    frame = pd.read_csv(folder / "houses.csv", dtype=str)
    change(frame).to_csv(folder / name, index=False)
    return name


@pytest.fixture
def indexed(folder):
    """``folder`` with an ``index`` of its table, keyed by ``id``."""
    index(folder, "--key", "id")
    return folder


@pytest.fixture
def shared(folder):
    """``folder`` whose run has one space for its inputs."""
    inputs = ["photo", "note", "bedrooms"]
    learned = tiny("photo", train__epochs=1)
    pm.pretrain(folder / "houses.csv", inputs=inputs, output=folder / "run", settings=learned, overwrite=True)
    return folder


def test_a_picture_finds_itself_first(indexed):
    frame = pd.read_csv(indexed / "houses.csv")
    row = int(frame["photo"].first_valid_index())
    found = hits(indexed, "--image", frame["photo"][row], "-k", "3")
    assert len(found) == 3 and found[0]["score"] == pytest.approx(1, abs=1e-5)
    assert found[0]["row"] == row + 1 and found[0]["key"] == frame["id"][row] and found[0]["input"] == "photo"
    assert (
        found[0]["fields"]["price"] == frame["price"][row]
        and found[0]["fields"]["kind"] == frame["kind"][row]
    )
    assert [hit["score"] for hit in found] == sorted((hit["score"] for hit in found), reverse=True)


def test_search_gives_what_comparing_all_vectors_gives(indexed):
    run, opened = pm.load(indexed / "run"), pm.Index.open(indexed / "index")
    notes = run.embed(indexed / "houses.csv", input="note")
    notes /= np.linalg.norm(notes, axis=1, keepdims=True)
    query = run.encode({"note": "quiet garden"})
    wanted = np.argsort(-np.nan_to_num(notes @ query, nan=-9))[:5]
    found = opened.search(text="quiet garden", k=5)
    assert set(found["row"]) == set(wanted + 1) and set(found["input"]) == {"note"}
    np.testing.assert_allclose(found["score"], np.sort(notes[wanted] @ query)[::-1], atol=1e-5)
    assert opened.search("quiet garden", k=5).equals(found)
    assert opened.search(vector=query, input="note", k=5).equals(found)
    assert found["preview"][0] == found["note"][0] and found["bedrooms"].dtype == "Int64"
    photo = opened.search(image=np.zeros((16, 16, 3), np.uint8), k=1)["preview"][0]
    with Image.open(io.BytesIO(photo)) as picture:
        assert picture.format == "JPEG" and picture.size == (16, 16)


def test_with_one_space_any_input_finds_any(shared):
    index(shared)
    assert {hit["input"] for hit in hits(shared, "--text", "garden", "-k", "120")} == {
        "photo",
        "note",
        "bedrooms",
    }
    pictures = hits(shared, "--text", "garden", "--in", "photo", "-k", "3")
    assert [hit["input"] for hit in pictures] == ["photo"] * 3
    opened = pm.Index.build(shared / "index", pm.load(shared / "run"), shared / "houses.csv")
    both = opened.search({"photo": str(shared / "photos/1.png"), "note": "garden"}, k=2)
    assert len(both) == 2 and opened.manifest.shared


def test_without_one_space_another_input_is_refused_with_the_cure(indexed):
    said = error(indexed, "search", "index", "--text", "garden", "--in", "photo")
    assert "'note' with 'photo' cannot be compared" in said and "polymodal pretrain" in said
    opened = pm.Index.open(indexed / "index")
    with pytest.raises(pm.RunError, match="cannot be compared"):
        opened.search({"note": "garden", "bedrooms": 3})


def test_conditions_narrow_the_hits(indexed):
    frame = pd.read_csv(indexed / "houses.csv")
    wanted = frame[(frame["price"] > 2_000_000) & (frame["kind"] == "house") & frame["note"].notna()]
    where = "price > 2000000 and kind = 'house'"
    found = hits(indexed, "--text", "x", "--where", where, "-k", "40")
    assert sorted(hit["row"] for hit in found) == sorted(wanted.index + 1)
    said = error(indexed, "search", "index", "--text", "x", "--where", "pric > 1")
    assert said.startswith("there is no column 'pric'. Did you mean 'price'? There are: id, photo")
    table = polymodal("search", "index", "--text", "x", "--where", "price < 0", folder=indexed)
    assert table.status == 0 and table.out == "No hits.\n"


def test_again_embeds_what_is_new_or_changed_and_nothing_else(indexed, monkeypatch):
    embedded, embed = [], building._Work.embed

    def noting(self, writer, places, *more):
        embedded.append(list(places))
        return embed(self, writer, places, *more)

    monkeypatch.setattr(building._Work, "embed", noting)
    assert counts(index(indexed)) == [40, 0, 0, 40, 0]

    def change(frame):
        frame.loc[3, "note"] = "a lighthouse"
        frame.loc[5, "price"] = "7"
        new = frame.iloc[[0]].assign(id="new", note="a windmill")
        return pd.concat([new, frame], ignore_index=True)

    # the numbers of all other rows have changed
    assert counts(index(indexed, table=edit(indexed, change))) == [41, 2, 39, 0, 0]
    assert embedded == [[], [0, 4]]
    assert [hit["key"] for hit in hits(indexed, "--text", "a windmill", "-k", "1")] == ["new"]
    assert hits(indexed, "--text", "a lighthouse", "-k", "1")[0]["row"] == 5
    priced = hits(indexed, "--text", "x", "--where", "price = 7 or note = 'a lighthouse'")
    assert {(hit["row"], hit["fields"]["price"] == 7) for hit in priced} == {(5, False), (7, True)}
    Image.new("RGB", (16, 16), "red").save(indexed / "photos/9.png")  # the same path, another picture
    assert index(indexed)["embedded"] == int(
        pd.read_csv(indexed / "houses.csv")["photo"].eq("photos/9.png").sum()
    )
    shorter = edit(indexed, lambda frame: frame.iloc[:10], "shorter.csv")
    assert counts(index(indexed, table=shorter)) == [41, 0, 0, 10, 0]
    assert counts(index(indexed, "--delete", table=shorter)) == [10, 0, 0, 10, 31]
    assert len(hits(indexed, "--text", "x", "-k", "50")) <= 10


def test_a_row_that_loses_an_input_is_not_found_by_it(indexed):
    row = int(pd.read_csv(indexed / "houses.csv")["note"].first_valid_index())
    before = {hit["row"] for hit in hits(indexed, "--text", "x", "-k", "50")}

    def change(frame):
        frame.loc[row, "note"] = None
        return frame

    index(indexed, table=edit(indexed, change))
    assert before - {hit["row"] for hit in hits(indexed, "--text", "x", "-k", "50")} == {row + 1}


def test_columns_that_come_later_can_be_searched(indexed):
    index(
        indexed,
        table=edit(indexed, lambda frame: frame.assign(extra=[str(n) for n in range(40)]), "more.csv"),
    )
    found = hits(indexed, "--text", "x", "--where", "extra >= 38 or extra is null", "-k", "50")
    assert {hit["fields"]["extra"] for hit in found} <= {38, 39} and found
    assert "extra" in pm.Index.open(indexed / "index").search(text="x").columns


def test_an_interrupted_build_goes_on(folder, monkeypatch):
    monkeypatch.setattr("polymodal.search.index_writing.WRITTEN_AT_ONCE", 8)
    add, calls = Store.add, []

    def dying(self, name, records):
        calls.append(name)
        if len(calls) > 10:
            raise KeyboardInterrupt
        add(self, name, records)

    monkeypatch.setattr(Store, "add", dying)
    result = polymodal("index", "run", "houses.csv", "-o", "index", "--batch-size", "8", folder=folder)
    assert result.status == 130
    monkeypatch.setattr(Store, "add", add)
    committed = len(pm.Index.open(folder / "index"))
    assert 0 < committed < 40
    done = index(folder)
    assert (done["rows"], done["kept"], done["embedded"]) == (40, committed, 40 - committed)
    opened = pm.Index.open(folder / "index")
    frame = pd.read_csv(folder / "houses.csv")
    assert opened.inputs == {name: int(frame[name].notna().sum()) for name in ("photo", "note", "bedrooms")}


def test_rows_that_cannot_be_read(folder):
    (folder / "photos/1.png").write_bytes(b"no picture")
    edit(folder, lambda frame: frame.assign(photo=[f"photos/{n}.png" for n in range(40)]))
    said = errors(folder, "index", "run", "houses.csv", "-o", "index")
    assert len(said) == 1 and said[0].startswith(
        "houses.csv, row 2, column 'photo': photos/1.png cannot be decoded"
    )
    result = polymodal(
        "index", "run", "houses.csv", "-o", "index", "--on-error", "skip", "--json", folder=folder
    )
    assert (result.json["rows"], result.json["rejected"]) == (39, 1)
    assert result.err.startswith("not indexed: houses.csv, row 2, column 'photo'")


def test_keys(folder):
    table = edit(
        folder, lambda frame: frame.assign(key=["a", "a", None] + [str(n) for n in range(37)]), "keys.csv"
    )
    said = errors(folder, "index", "run", table, "-o", "index", "--key", "key")
    assert said == [
        "keys.csv, row 2, column 'key': the key 'a' of row 1 again, expected a key of its own",
        "keys.csv, row 3, column 'key': an empty cell, expected a key of its own",
    ]
    assert "no column 'idd' for a key. Did you mean 'id'?" in error(
        folder, "index", "run", "houses.csv", "-o", "index", "--key", "idd"
    )
    assert not (folder / "index").exists()
    index(folder, "--key", "id")
    said = error(folder, "index", "run", "houses.csv", "-o", "index", "--key", "note")
    assert said == "index: was made with --key id. Do the same, or make another with -o"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to search for, expected one of text, image, audio, video"),
        (["--text", "a", "--image", "b"], "text and image to search for, expected one of"),
        (["--text", "a", "-k", "0"], "k is 0, expected 1 or more"),
        (["--text", "a", "--in", "fhoto"], "index: there is no input 'fhoto'. Did you mean 'photo'?"),
        (["--text", " "], "the query: it is empty, expected text to search for"),
        (["--audio", "a.wav"], "run: reads no audio, only photo (image), note (text), bedrooms (number)"),
        (["--image", "none.png"], "none.png: there is no such file. Looked in"),
        (["--image", "houses.csv"], "the query, column 'photo': houses.csv cannot be decoded"),
        (["--image", "photos"], "the query, column 'photo': photos is a folder"),
        (["--text", "a", "--run", "nowhere"], "nowhere: no such run folder"),
    ],
)
def test_a_bad_question_is_one_line(indexed, options, said):
    assert said in error(indexed, "search", "index", *options)


def test_what_is_no_index_is_one_line(indexed):
    assert error(indexed, "search", "none", "--text", "a").startswith("none: no such index folder. Make one:")
    assert error(indexed, "search", "run", "--text", "a").startswith(
        "run: not an index, index.json is missing"
    )
    assert error(indexed, "index", "run", "houses.csv", "-o", "photos").startswith(
        "photos: holds other files and is no index"
    )
    path = indexed / "index/index.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"format": 2, "polymodal_version": "9.0"}))
    for command in (["search", "index", "--text", "a"], ["index", "run", "houses.csv", "-o", "index"]):
        assert "written by polymodal 9.0 in index format 2, this is" in error(indexed, *command)
    path.write_text(json.dumps(whole)[:50])
    assert "index/index.json: cannot be read" in error(indexed, "search", "index", "--text", "a")


def test_another_model_is_refused(indexed):
    shutil.copytree(indexed / "run", indexed / "other")
    model = pm.load(indexed / "other")
    next(model.model.model.encoders.parameters()).data += 0.01
    model.save(indexed / "other")
    for command in (
        ["search", "index", "--text", "a", "--run", "other"],
        ["index", "other", "houses.csv", "-o", "index"],
    ):
        said = error(indexed, *command)
        assert said.startswith("index: was made by another model (") and "that of other (" in said
    assert hits(indexed, "--text", "a", "--run", "run")


def test_a_model_is_the_same_in_memory_and_on_disk(folder):
    run = pm.fit(
        folder / "houses.csv",
        target="kind",
        inputs=["photo", "note", "bedrooms", "district"],
        output=folder / "fresh",
        settings=tiny("photo", train__epochs=1),
    )
    run.predict(folder / "houses.csv")  # tokenizers remember how they were last used
    built = pm.Index.build(folder / "index", run, folder / "houses.csv")
    again = pm.Index.open(folder / "index").search(text="garden", k=5)
    pd.testing.assert_frame_equal(again, built.search(text="garden", k=5))


def test_index_and_run_may_move(indexed):
    (indexed / "moved").mkdir()
    for name in ("run", "index"):
        shutil.move(indexed / name, indexed / "moved" / name)
    assert polymodal("search", "moved/index", "--text", "a", folder=indexed).status == 0
    shutil.move(indexed / "moved/run", indexed / "elsewhere")
    said = error(indexed, "search", "moved/index", "--text", "a")
    assert "its run is no longer in" in said and said.endswith("Say where it is with --run")
    assert polymodal("search", "moved/index", "--text", "a", "--run", "elsewhere", folder=indexed).status == 0


def test_without_lancedb_it_says_what_to_install(indexed, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    for command in (["search", "index", "--text", "a"], ["index", "run", "houses.csv", "-o", "new"]):
        assert error(indexed, *command) == "an index needs LanceDB: pip install 'polymodal[search]'"
    assert not (indexed / "new").exists()


def test_nothing_is_opened_and_the_table_is_for_people(indexed, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda *_: pytest.fail("something was opened"))
    monkeypatch.setattr(Image.Image, "show", lambda *_: pytest.fail("something was opened"))
    result = polymodal("search", "index", "--text", "garden", "-k", "2", folder=indexed)
    head, *lines = result.out.splitlines()
    assert head.split()[:3] == ["score", "row", "input"] and "note" in head and len(lines) == 2
    said = polymodal("index", "run", "houses.csv", "-o", "index", folder=indexed).out
    assert (
        said.startswith("40 rows in index: 40 as they were.") and 'search index --text "a few words"' in said
    )


def test_python_updates_and_deletes(indexed):
    opened = pm.Index.open(indexed / "index")
    done = opened.update(indexed / edit(indexed, lambda frame: frame.iloc[:20], "half.csv"), delete=True)
    assert (done.removed, len(opened)) == (20, 20)
    assert opened.delete("id in ('h0', 'h1', 'nobody')") == 2 and len(opened) == 18
    assert not {1, 2} & set(opened.search(text="x", k=50)["row"])


def test_python_indexes_into_a_folder_by_keyword(indexed):
    run, table = pm.load(indexed / "run"), indexed / "houses.csv"
    done = pm.api.index_to(run, table, output=str(indexed / "index"))
    assert (done.rows, done.kept) == (40, 40)


def test_previews_are_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    picture, words = preview("noise.png", "image", tmp_path)
    assert len(picture) <= HEAVIEST and words is None
    with Image.open(io.BytesIO(picture)) as shown:
        assert max(shown.size) == SIDE and shown.size[1] > shown.size[0]
    assert preview(["noise.png", "none.png"], "image", tmp_path)[0] == picture
    assert preview("a  long\ntext " * 100, "text", None)[1].startswith("a long text a long text")
    assert len(preview("a" * 999, "text", None)[1]) == 200
    assert preview(None, "image", None) == preview([], "text", None) == (None, None)
    write_sound(tmp_path / "a.wav", 400)
    assert preview("a.wav", "audio", tmp_path) == (None, None) and preview(3.0, "number", None) == (None, "3")
