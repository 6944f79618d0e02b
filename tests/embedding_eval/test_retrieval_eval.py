"""Retrieval over a run: planted vectors are found, shuffled ones by chance; gaps and equal cells."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import polymodal as pm
from polymodal.errors import DataError, PolymodalError, RunError
from polymodal.run import Run
from tests.support.planted import numbered, plant, write_pairs
from tests.support.tables import write_table


@pytest.fixture
def run(fitted_houses):
    return pm.load(fitted_houses / "run")


def test_vectors_that_belong_together_find_each_other(run, folder, monkeypatch):
    plant(monkeypatch, lambda name, cell: numbered(cell), 64)
    found = run.retrieval(write_pairs(folder))
    assert [*found] == ["photo → note", "note → photo"]  # bedrooms is in no row
    for way in found.values():
        assert way["rows"] == way["queries"] == way["candidates"] == way["groups"] == 40
        assert way["recall_at_1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        assert way["median_rank"]["value"] == way["map"]["value"] == 1


def test_shuffled_ones_find_by_chance(run, folder, monkeypatch):
    plant(monkeypatch, lambda name, cell: numbered(f"{'1' * (name == 'note')}{cell}"), 64)
    for way in run.retrieval(write_pairs(folder)).values():
        entry = way["recall_at_10"]
        assert way["chance"]["recall_at_10"] == pytest.approx(0.25)
        assert entry["low"] <= 0.25 <= entry["high"]


def test_pairs_are_measured_on_the_rows_that_have_both(run, folder, monkeypatch):
    plant(monkeypatch, lambda name, cell: numbered(cell), 64)
    numbers = np.arange(40)
    table = write_pairs(folder, bedrooms=np.where(numbers < 10, numbers, np.nan),
                        note=np.where(numbers % 2, "", [f"note {n}" for n in numbers]))  # fmt: skip
    found = run.retrieval(table)
    assert {name: way["rows"] for name, way in found.items()} == {
        "photo → note": 20, "note → photo": 20, "photo → bedrooms": 10, "bedrooms → photo": 10,
        "note → bedrooms": 5, "bedrooms → note": 5,
    }  # fmt: skip
    assert all(way["recall_at_1"]["value"] == 1 for way in found.values())
    assert [*run.retrieval(table, inputs=["bedrooms", "photo"])] == ["photo → bedrooms", "bedrooms → photo"]


def test_equal_cells_are_one_query_and_one_candidate_wherever_their_files_lie(run, folder, monkeypatch):
    """Rows 0 to 9 hold the picture of row 0 under another name, and five captions between them."""
    for number in range(1, 10):
        shutil.copy(folder / "photos/0.png", folder / f"photos/{number}.png")
    plant(
        monkeypatch,
        lambda name, cell: numbered(0 if name == "photo" and numbered(cell)[0] in SAME else cell),
        64,
    )
    table = write_pairs(folder, note=[f"note {n % 5}" if n < 10 else f"note {n}" for n in range(40)])
    there, back = run.retrieval(table).values()
    assert (there["rows"], there["queries"], there["candidates"]) == (40, 31, 35)
    assert (back["queries"], back["candidates"]) == (35, 31)
    assert there["chance"]["recall_at_1"] == pytest.approx((30 / 35 + 5 / 35) / 31)


SAME = {numbered(number)[0] for number in range(10)}


def test_it_is_the_models_own_vectors_that_are_ranked(run, folder, monkeypatch):
    """By hand, on the run as it was fitted."""
    monkeypatch.setattr(Run, "shares_space", True)
    vectors = [run.embed(folder / "houses.csv", input=name) for name in ("photo", "note")]
    both = ~np.isnan(vectors).any(axis=(0, 2))
    photo, note = (part[both] / np.linalg.norm(part[both], axis=1, keepdims=True) for part in vectors)
    similar = photo @ note.T
    hits = np.mean([(line >= line[place]).sum() <= 5 for place, line in enumerate(similar)])
    found = run.retrieval(folder / "houses.csv", inputs=["photo", "note"])["photo → note"]
    assert found["rows"] == both.sum() and found["queries"] == both.sum()
    assert found["recall_at_5"]["value"] == pytest.approx(hits, abs=0.051)  # equal to but for rounding


def test_what_cannot_be_measured_is_refused_in_one_line(run, folder, monkeypatch):
    with pytest.raises(RunError, match=r"share no space, without which there is no retrieval. Pre-train"):
        run.retrieval(folder / "houses.csv")
    plant(monkeypatch, lambda name, cell: numbered(cell), 64)
    with pytest.raises(RunError, match=r"no input 'photos'. Did you mean 'photo'"):
        run.retrieval(folder / "houses.csv", inputs=["photos"])
    with pytest.raises(RunError, match="retrieval takes two inputs, and there is but 'photo'"):
        run.retrieval(folder / "houses.csv", inputs=["photo"])
    lonely = write_table(folder / "lonely.csv", [{"photo": "photos/1.png"}, {"photo": "photos/2.png"}])
    with pytest.raises(DataError, match=r"lonely.csv: no two inputs stand together in two rows"):
        run.retrieval(lonely)
    plant(monkeypatch, lambda name, cell: np.full(4, np.nan), 4)
    with pytest.raises(PolymodalError, match="not finite numbers in 40 of 40 rows: the training diverged"):
        run.retrieval(write_pairs(folder))
