"""Indexes of made vectors: added, changed and removed rows, crashes, locks, approximate search."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.search import approximate
from polymodal.search import index_writing as writing
from polymodal.search.index import Index
from polymodal.search.index_writing import Writer
from polymodal.search.lance_store import Store
from polymodal.search.manifest import read_manifest
from polymodal.utils.lock import locked
from tests.support.indexes import WIDTH, block, directions, rows_of, write_index

REPOSITORY = Path(__file__).parents[2]


def frame(count, first=0):
    return pd.DataFrame({"name": [f"n{number + first}" for number in range(count)]})


def nearest(vectors, query, k, without=()):
    """The rows of the ``k`` largest cosines."""
    order = np.argsort(-(vectors @ query), kind="stable") + 1
    return [int(row) for row in order if row not in without][:k]


def test_the_nearest_are_found_in_order_with_their_cosines(tmp_path):
    vectors, query = directions(50), directions(1, seed=1)[0]
    index = write_index(tmp_path / "index", frame(50), {"item": vectors})
    found = index.search(vector=query * 3, k=7)
    assert list(found["row"]) == nearest(vectors, query, 7)
    np.testing.assert_allclose(found["score"], np.sort(vectors @ query)[::-1][:7], atol=1e-5)
    assert list(found["name"]) == [f"n{row - 1}" for row in found["row"]]
    assert len(index.search(vector=query, k=1000)) == len(index) == 50


def test_a_row_that_lacks_an_input_is_not_found_in_it(tmp_path):
    first, second = directions(6), directions(6, seed=1)
    second[[1, 4]] = np.nan
    index = write_index(tmp_path / "index", frame(6), {"a": first, "b": second})
    assert index.inputs == {"a": 6, "b": 4}
    both = index.search(vector=first[0], k=100)
    assert len(both) == 10 and rows_of(both[both["input"] == "b"]) == [1, 3, 4, 6]
    assert list(both["score"]) == sorted(both["score"], reverse=True)
    assert set(index.search(vector=first[0], input="b", k=100)["input"]) == {"b"}


def test_without_one_space_a_vector_is_compared_with_one_input(tmp_path):
    vectors = {"a": directions(4), "b": directions(4, 1)}
    index = write_index(tmp_path / "index", frame(4), vectors, shared=False)
    with pytest.raises(pm.RunError, match="do not lie in one space"):
        index.search(vector=vectors["a"][0])
    assert len(index.search(vector=vectors["a"][0], input="b")) == 4
    for bad in (np.zeros(WIDTH), np.ones(3), np.full(WIDTH, np.nan), "words"):
        with pytest.raises((pm.ConfigError, ValueError)):
            index.search(vector=bad, input="a")


@pytest.fixture
def small(monkeypatch):
    """Approximate from 400 vectors on."""
    monkeypatch.setattr(writing, "EXACT_BELOW", 400)
    return 600


def test_approximate_search_finds_what_exact_search_does(tmp_path, small):
    vectors = directions(small)
    index = write_index(tmp_path / "index", frame(small), {"item": vectors})
    ann = index.manifest.ann["item"]
    assert ann["rows"] == small and ann["recall"] >= approximate.GOAL
    queries = directions(20, seed=5)
    found = [
        set(index.search(vector=query, k=10)["row"]) & set(nearest(vectors, query, 10)) for query in queries
    ]
    assert np.mean([len(both) for both in found]) >= 9.5
    index.manifest.ann = {}
    assert list(index.search(vector=queries[0], k=10)["row"]) == nearest(vectors, queries[0], 10)


def test_rows_added_changed_and_removed_after_it_was_built_are_searched_right(tmp_path, small, monkeypatch):
    monkeypatch.setattr(
        approximate, "TRIES", approximate.TRIES[-1:]
    )  # all partitions, all vectors compared again
    vectors = directions(small)
    index = write_index(tmp_path / "index", frame(small), {"item": vectors})
    fields, query = index.manifest.fields, directions(1, seed=9)[0]
    away = nearest(vectors, query, 3)
    with Writer(index.folder, index.manifest) as writer:
        writer.add(block(frame(2, first=small), {"item": np.stack([query, query])}, fields, first=small))
        moved = np.stack([-query])
        writer.add(block(frame(1), {"item": moved}, fields, first=away[0] - 1, digest=b"2"))
    assert index.delete(f"name = 'n{away[1] - 1}'") == 1
    assert len(index) == small + 1
    found = list(Index.open(index.folder).search(vector=query, k=4)["row"])
    assert set(found[:2]) == {small + 1, small + 2}
    vectors[away[0] - 1] = -query
    assert found[2:] == nearest(vectors, query, 2, without=away[:2])
    assert index.search(vector=-query, k=1)["row"][0] == away[0]
    assert index.delete("name like 'n%'") == small + 1 and not len(index)
    assert index.search(vector=query).empty and list(index.search(vector=query)) == [
        "score", "row", "input", "key", "name", "preview",
    ]  # fmt: skip


def test_a_condition_is_met_by_rows_far_away_too(tmp_path, small):
    vectors = directions(small)
    rare = pd.DataFrame({"rare": [number % 100 == 0 for number in range(small)]})
    index = write_index(tmp_path / "index", rare, {"item": vectors})
    assert index.manifest.ann
    assert rows_of(index.search(vector=vectors[5], where="rare = true", k=10)) == [1, 101, 201, 301, 401, 501]


KILLED = """
    import os, signal, sys
    from polymodal.search import index_writing as writing
    from polymodal.search.lance_store import ROWS, Store
    sys.path.insert(0, {repository!r})
    from tests.support.indexes import block, directions
    from tests.search.test_index_writing import frame
    from polymodal.search.manifest import read_manifest
    from pathlib import Path
    folder = Path({folder!r})
    add, calls = Store.add, []
    def dying(self, name, records):
        calls.append(name)
        if calls.count(ROWS) == 3:  # the inputs' records of the third block stand, its rows do not
            os.kill(os.getpid(), signal.SIGKILL)
        add(self, name, records)
    Store.add = dying
    manifest = read_manifest(folder)
    writing.WRITTEN_AT_ONCE = 10
    with writing.Writer(folder, manifest) as writer:
        for first in range(10, 100, 10):
            writer.add(block(frame(10, first), {{"item": directions(10, first)}}, manifest.fields, first))
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_loses_no_committed_row_and_leaves_no_lock(tmp_path):
    index = write_index(tmp_path / "index", frame(10), {"item": directions(10)})
    code = textwrap.dedent(KILLED.format(repository=str(REPOSITORY), folder=str(index.folder)))
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (index.folder / ".writer").exists()
    again = Index.open(index.folder)
    assert len(again) == 30 and again.inputs == {"item": 40}
    with Writer(index.folder, read_manifest(index.folder)) as writer:
        assert sorted(map(int, writer.known)) == list(range(1, 31))
        more = block(frame(10, 30), {"item": directions(10, 30)}, index.manifest.fields, 30)
        writer.add(more)
    again = Index.open(index.folder)
    assert len(again) == 40 and again.inputs == {"item": 40}
    assert rows_of(again.search(vector=directions(1)[0], k=100)) == list(range(1, 41))


def test_a_change_that_is_cut_short_is_made_again(tmp_path, monkeypatch):
    index = write_index(tmp_path / "index", frame(5), {"item": directions(5)})
    amend, replace = (
        block(frame(1), {"item": directions(1, 7)}, index.manifest.fields, digest=b"2"),
        Store.replace,
    )

    def dying(self, name, records):
        if name == "rows":
            raise KeyboardInterrupt
        replace(self, name, records)

    monkeypatch.setattr(Store, "replace", dying)
    with pytest.raises(KeyboardInterrupt), Writer(index.folder, index.manifest) as writer:
        writer.add(amend)
        writer.flush()
    monkeypatch.undo()
    with Writer(index.folder, index.manifest) as writer:
        assert writer.known["1"] == (b"", b"") and writer.known["2"] == (b"1", b"1")


def test_two_cannot_write_at_once(tmp_path):
    index = write_index(tmp_path / "index", frame(5), {"item": directions(5)})
    with locked(index.folder):
        with pytest.raises(pm.RunError, match=f"is being written by process {os.getpid()} of .*Wait until"):
            index.delete("name = 'n1'")
        assert len(index.search(vector=directions(1)[0])) == 5  # whoever reads is not kept waiting
    assert index.delete("name = 'n1'") == 1


def test_cells_of_every_type_come_back(tmp_path):
    rows = [
        {"i": 5, "f": 0.5, "b": True, "d": datetime.date(2020, 1, 2), "e": None, "x": b"12", "score": "mine",
         "t": datetime.datetime(2020, 1, 2, 3, 4, 5), "l": ["a", "b"], "n": [[1, 2], [3]],
         "c": decimal.Decimal("1.50"),
         "big": 2**60 + 1, "u": "data:image/png;base64," + "A" * 1000, "s": " two\nlines "},
    ]  # fmt: skip
    rows.append(dict.fromkeys(rows[0]))
    index = write_index(tmp_path / "index", rows, {"item": directions(2)})
    found = index.search(vector=directions(1)[0]).set_index("row")
    whole, empty = found.loc[1], found.loc[2]
    assert (whole["i"], whole["f"], whole["b"], whole["big"]) == (5, 0.5, True, 2**60 + 1)
    assert whole["d"] == datetime.date(2020, 1, 2) and whole["t"] == datetime.datetime(2020, 1, 2, 3, 4, 5)
    assert whole["l"] == ["a", "b"] and whole["n"] == [[1, 2], [3]] and whole["c"] == 1.5
    assert whole["x"] == "2 bytes" and whole["u"] == "data: URI of 1022 characters"
    assert whole["score_"] == "mine" and whole["s"] == " two\nlines " and found["i"].dtype == "Int64"
    assert all(pd.isna(empty[name]) for name in found.columns if name not in ("score", "input", "key"))
    assert index.search(vector=directions(1)[0], where=f"big = {2**60}").empty


def test_a_damaged_index_is_one_line(tmp_path):
    index = write_index(tmp_path / "index", frame(5), {"item": directions(5)})
    for path in (index.folder / "data/input_0.lance").rglob("*.lance"):
        path.write_bytes(b"")
    with pytest.raises(pm.RunError) as caught:
        Index.open(index.folder).search(vector=directions(1)[0])
    assert "make the index again in a new folder" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("width", 10**9), ("run", 3), ("inputs", ["item"])])
def test_what_no_index_says_of_itself_is_one_line(tmp_path, key, value):
    index = write_index(tmp_path / "index", frame(5), {"item": directions(5)})
    path = index.folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(pm.RunError, match=r"index\.json: cannot be read"):
        Index.open(index.folder)
