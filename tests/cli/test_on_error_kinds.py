"""``--on-error skip`` with clips, sequences, lists of items and of labels, and with several fits at once."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.support.clips import write_moves
from tests.support.command import error, polymodal, settings
from tests.support.tables import house_rows, write_houses, write_picture, write_table

SKIP = ["--on-error", "skip"]


def rejected(run):
    """``(row, column)`` of each line of a run's ``rejected.csv``, in order."""
    frame = pd.read_csv(run / "rejected.csv", keep_default_na=False)
    return sorted(zip(frame["row"], frame["column"], strict=True))


def test_clips(tmp_path):
    write_moves(tmp_path)
    table = pd.read_csv(tmp_path / "moves.csv", dtype=str)
    (tmp_path / "page.mp4").write_text("this is no clip")
    table.loc[[1, 5], "clip"] = ["page.mp4", "none.mp4"]
    table.loc[8, "clip"] = json.dumps([table["clip"].dropna().iloc[0], "page.mp4"])  # one of two items
    table.to_csv(tmp_path / "bad.csv", index=False)
    small = settings(inputs__clip__size=16, inputs__clip__frames=4)
    fit = ["fit", "bad.csv", "-t", "way", "-o", "run", *SKIP, "--json", *small]
    result = polymodal(*fit, folder=tmp_path)
    assert result.status == 0, result.err
    assert rejected(tmp_path / "run") == [(2, "clip"), (6, "clip"), (9, "clip")]
    listed = pd.read_csv(tmp_path / "run/rejected.csv").set_index("row")["found"]
    assert listed[9].startswith("item 2: page.mp4 cannot be decoded")
    assert result.json["rows"]["rejected"] == 3 and sum(result.json["rows"].values()) == len(table)
    predicted = polymodal("predict", "run", "bad.csv", "-o", "a.parquet", *SKIP, folder=tmp_path)
    assert predicted.status == 0 and len(predicted.err.splitlines()) == 3
    answers = pd.read_parquet(tmp_path / "a.parquet")
    assert np.flatnonzero(answers["error"].notna()).tolist() == [1, 5, 8]
    assert answers["way"].isna().tolist() == answers["error"].notna().tolist()


def write_steps(folder, rows=40):
    """``t.csv``: sequences in files and lists, lists of pictures; rows 4, 9, 14 and 20 have a bad cell."""
    random, table = np.random.default_rng(0), []
    (folder / "moves").mkdir()
    for number in range(rows):
        kind = ("flat", "house")[number % 2]
        np.save(folder / f"moves/{number}.npy", random.normal(size=(5 + number % 3, 3)).astype(np.float32))
        write_picture(folder / f"photos/{number}.png", 0.2 + 0.5 * (kind == "house"), random)
        row = {"moves": f"moves/{number}.npy", "track": json.dumps(random.normal(size=(4, 2)).tolist())}
        table.append(row | {"photos": json.dumps([f"photos/{number}.png"] * 2), "kind": kind})
    np.save(folder / "moves/3.npy", np.full((4, 3), np.nan, dtype=np.float32))
    np.save(folder / "moves/8.npy", np.zeros((4, 7), dtype=np.float32))
    table[13]["track"] = "[[1.0, 2.0], [3.0]]"
    table[19]["photos"] = json.dumps(["photos/1.png", "photos/none.png"])
    return write_table(folder / "t.csv", table)


def test_sequences_and_lists_of_pictures(tmp_path):
    write_steps(tmp_path)
    small = settings(inputs__photos__size=16)
    fit = ["fit", "t.csv", "-t", "kind", "-o", "run", "--json", *small]
    assert polymodal(*fit, folder=tmp_path).status == 1
    result = polymodal(*fit, *SKIP, folder=tmp_path)
    assert result.status == 0, result.err
    assert rejected(tmp_path / "run") == [(4, "moves"), (9, "moves"), (14, "track"), (20, "photos")]
    assert result.json["rows"]["rejected"] == 4 and sum(result.json["rows"].values()) == 40
    embedded = polymodal("embed", "run", "t.csv", "-o", "e.parquet", *SKIP, "--json", folder=tmp_path)
    assert embedded.json["rejected"] == 4
    empty = [bool(np.isnan(vector).all()) for vector in pd.read_parquet(tmp_path / "e.parquet")["embedding"]]
    assert np.flatnonzero(empty).tolist() == [3, 8, 13, 19]


@pytest.fixture
def tagged(tmp_path):
    """``bad.csv``: houses with labels; bad are rows 3 (no labels), 6 (no number) and 60 (an unseen label)."""
    rows = house_rows(tmp_path, 68)
    marks = ["train"] * 40 + ["val"] * 14 + ["test"] * 14
    random = np.random.default_rng(0)
    for number, row in enumerate(rows):
        tags = [tag for tag in ("garden", "lift", "cellar") if random.random() < 0.6]
        row |= {"tags": json.dumps(tags), "split": marks[number]}
    rows[2]["tags"] = "[[1]]"
    rows[5]["bedrooms"] = "many"
    rows[59]["tags"] = '["moat", "lift"]'
    write_table(tmp_path / "bad.csv", rows)
    return tmp_path


def test_labels_and_intervals(tagged):
    """Answers that are lists, and numbers with an interval, are empty where a row cannot be read."""
    fit = ["fit", "bad.csv", "-t", "tags", "-t", "price", "-i", "bedrooms,district,note", "-o", "run"]
    said = polymodal(*fit, *settings(), folder=tagged).errors
    assert any("row 60, column 'tags': classes that training never saw: 'moat'" in line for line in said)
    result = polymodal(*fit, *SKIP, "--json", *settings(), folder=tagged)
    assert result.status == 0, result.err
    assert rejected(tagged / "run") == [(3, "tags"), (6, "bedrooms"), (60, "tags")]
    assert "map" in result.json["test"]["tags"] and "coverage" in result.json["test"]["price"]
    predict = ["predict", "run", "bad.csv", "-o", "a.parquet", "--probabilities", "--batch-size", "8"]
    assert polymodal(*predict, *SKIP, folder=tagged).status == 0
    answers = pd.read_parquet(tagged / "a.parquet")
    bad = answers["error"].notna()
    assert np.flatnonzero(bad).tolist() == [5]  # the targets of what is to be answered are not looked at
    assert answers.loc[bad].drop(columns="error").isna().all(axis=None)
    assert all(isinstance(cell, np.ndarray) for cell in answers.loc[~bad, "tags"])
    polymodal("predict", "run", "bad.csv", "-o", "b.parquet", *SKIP, folder=tagged)  # all rows at once
    whole = pd.read_parquet(tagged / "b.parquet")
    pd.testing.assert_series_equal(whole["tags"], answers["tags"])
    measured = polymodal("evaluate", "run", "bad.csv", *SKIP, "--json", folder=tagged)
    assert measured.status == 0
    assert [line.split(",")[1] for line in measured.err.splitlines()] == [" row 3", " row 6", " row 60"]
    assert set(measured.json) == {"tags", "price"}


@pytest.fixture
def broken(tmp_path):
    """``bad.csv``: houses; bad are rows 3 (ragged), 5 (a damaged picture), 8 (no file), 12 (no number)."""
    write_houses(tmp_path, rows=44, empty=0.0)
    frame = pd.read_csv(tmp_path / "houses.csv", dtype=str)
    (tmp_path / "cut.png").write_bytes((tmp_path / "photos/6.png").read_bytes()[:60])
    frame.loc[[4, 7], "photo"] = ["cut.png", "none.png"]
    frame.loc[11, "bedrooms"] = "many"
    lines = frame.to_csv(index=False).splitlines()
    lines[3] += ",more"
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


BAD = [(3, ""), (5, "photo"), (8, "photo"), (12, "bedrooms")]
FIT = [
    "fit",
    "bad.csv",
    "-t",
    "kind",
    "-i",
    "photo,bedrooms",
    "-o",
    "run",
    *settings("photo", train__epochs=1),
]


def test_folds_and_seeds(broken):
    """Every fold leaves the same rows out, and each row that can be read is the test of one."""
    assert "in fold" not in error(broken, *FIT, "--folds", "2")
    result = polymodal(*FIT, "--folds", "2", "--seeds", "2", *SKIP, "--json", folder=broken)
    assert result.status == 0, result.err
    for name in ("fold0_seed0", "fold0_seed1", "fold1_seed0", "fold1_seed1"):
        assert rejected(broken / "run" / name) == BAD
        kept = json.loads((broken / "run" / name / "metrics.json").read_text())
        assert kept["rows"]["rejected"] == 4 and sum(kept["rows"].values()) == 44
    assert result.json["rows"] == 40 and result.json["notes"][0] == "4 rows left out, listed in rejected.csv"
    assert not any("only one of a class" in line for line in result.json["warnings"])
    answers = pd.read_parquet(broken / "run/predictions.parquet")
    assert answers["row"].tolist() == [n for n in range(1, 45) if n not in (3, 5, 8, 12) for _ in (0, 1)]
    truth = pd.read_csv(broken / "houses.csv")["kind"]
    assert (answers["kind_true"].to_numpy() == truth.to_numpy()[answers["row"] - 1]).all()


def test_a_row_that_one_fold_only_cannot_use_stays_in_the_others(tmp_path):
    """A class of one group: where that group is the test, training never saw it."""
    rows = [row | {"street": f"s{number % 5}"} for number, row in enumerate(house_rows(tmp_path, 40))]
    for number in range(0, 40, 5):
        rows[number]["kind"] = "castle"
    write_table(tmp_path / "t.csv", rows)
    fit = ["fit", "t.csv", "-t", "kind", "-i", "note", "-o", "run", *settings(train__epochs=1)]
    fit += ["--set", "data.group=street", "--folds", "5", "--set", "data.validation=t.csv"]
    result = polymodal(*fit, *SKIP, "--json", folder=tmp_path)
    assert result.status == 0, result.err
    lists = [(tmp_path / f"run/fold{fold}/rejected.csv") for fold in range(5)]
    assert sum(path.exists() for path in lists) == 1


@pytest.mark.parametrize("way", [["--fusions", "sum,concat"], ["--search", "1"]])
def test_fusions_and_a_search(broken, way):
    if way[0] == "--search":
        pytest.importorskip("optuna")
    assert polymodal(*FIT, *way, folder=broken).status == 1
    result = polymodal(*FIT, *way, *SKIP, "--json", folder=broken)
    assert result.status == 0, result.err
    for run in ("run/sum", "run/concat") if way[0] == "--fusions" else ("run",):
        assert rejected(broken / run) == BAD
    assert "4 rows left out, listed in rejected.csv" in result.json["notes"]


def test_what_concerns_no_row_refuses_several_fits_too(broken):
    frame = pd.read_csv(broken / "houses.csv", dtype=str).assign(kind="flat")
    frame.loc[3, "bedrooms"] = "many"
    frame.to_csv(broken / "bad.csv", index=False)
    for way in (["--folds", "2"], ["--fusions", "sum,concat"]):
        result = polymodal(*FIT, *way, *SKIP, folder=broken)
        assert result.status == 1 and "every training row is 'flat'" in result.errors[0]
        assert "1 row left out by --on-error skip" in result.errors[1]
        assert not (broken / "run").exists()
