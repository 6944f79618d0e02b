"""Feature sequences and cells of several items, the whole road through the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from polymodal.config.parsing import load_yaml
from tests.support.command import error, errors, polymodal, settings
from tests.support.slow import mostly_slow
from tests.support.tables import write_picture

ROWS = 40


def steps(number, kind):
    """Noise of three features, one of which says the kind; a length of its own."""
    random = np.random.default_rng(number)
    values = random.normal(size=(6 + number % 9, 3))
    values[:, 1] += 3 * (kind == "house")
    return values.astype(np.float32)


def write_rows(folder):
    """Rows whose kind shows in moves (.npy) and track (a list); pictures by the list; cells empty in turn."""
    (folder / "moves").mkdir()
    random, rows = np.random.default_rng(0), []
    for number in range(ROWS):
        kind = ("flat", "house")[number % 2]
        values = steps(number, kind)
        np.save(folder / f"moves/{number}.npy", values)
        photos = [f"photos/{number}_{place}.png" for place in range(number % 4)]
        for path in photos:
            write_picture(folder / path, 0.2 + 0.5 * (kind == "house"), random)
        row = {"moves": f"moves/{number}.npy", "track": values.tolist(), "photos": photos, "kind": kind}
        row["notes"] = ["quiet", "garden" if kind == "house" else "lift"][: 1 + number % 2]
        rows.append(row | {name: None for name in ("moves", "track") if random.random() < 0.15})
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The rows as CSV, JSONL and Parquet, with their files."""
    folder = tmp_path_factory.mktemp("sequences")
    rows = write_rows(folder)
    frame = pd.DataFrame(rows)
    frame.to_parquet(folder / "t.parquet", index=False)
    frame.assign(photos=[json.dumps(cell) for cell in frame.photos]).to_csv(folder / "t.csv", index=False)
    lines = [json.dumps(row) for row in rows]
    (folder / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


TABLES = ["t.csv", "t.jsonl", "t.parquet"]
SMALL = {
    f"inputs.{name}.encoder.{size}": 16
    for name in ("moves", "track")
    for size in ("hidden_size", "intermediate_size")
}


def small(*names, **more):
    """Settings of a fit that takes a second."""
    chosen = [f"{key}={value}" for key, value in SMALL.items() if key.split(".")[1] in names]
    return [*settings(*names, **more), *(part for setting in chosen for part in ("--set", setting))]


@pytest.mark.parametrize("table", TABLES)
def test_check_and_init_know_what_the_columns_are(folder, table):
    report = polymodal("check", table, "-t", "kind", "--json", folder=folder).json
    found = {column["column"]: column for column in report["columns"]}
    assert report["ok"], report["problems"]
    assert {name: found[name]["modality"] for name in ("moves", "track", "photos")} == {
        "moves": "sequence", "track": "sequence", "photos": "image",
    }  # fmt: skip
    assert found["moves"]["detail"] == found["track"]["detail"] == "6–14 steps of 3 features"
    assert found["photos"]["detail"] == "16×16 pixels, at most 3 a cell"
    assert found["photos"]["empty"] == 0.25
    written = polymodal("init", table, "-t", "kind", folder=folder).out
    assert "track: {modality: sequence}" in written and "are lists of numbers" in written
    (folder / "init.yaml").write_text(written)
    assert load_yaml(folder / "init.yaml").inputs["photos"].modality == "image"


@pytest.mark.parametrize("table", mostly_slow(TABLES, ["t.parquet"]))
def test_the_whole_road(folder, table, tmp_path):
    run = tmp_path / "run"
    inputs = "moves,track,photos" if table == "t.csv" else "moves,track,photos,notes"
    options = ["-t", "kind", "-i", inputs, "-o", run, *small("moves", "track", train__epochs=3)]
    fitted = polymodal("fit", table, *options, "--set", "inputs.photos.size=16", "--json", folder=folder)
    assert fitted.status == 0, fitted.err
    evaluated = polymodal("evaluate", run, table, "--json", folder=folder).json
    assert 0 <= evaluated["kind"]["accuracy"] <= 1
    assert polymodal("predict", run, table, "-o", tmp_path / "a.parquet", folder=folder).status == 0
    assert polymodal("predict", run, table, "-o", tmp_path / "one.parquet", "--batch-size", "1",
                     folder=folder).status == 0  # fmt: skip
    many, alone = (pd.read_parquet(tmp_path / name) for name in ("a.parquet", "one.parquet"))
    assert "photos" in many.missing[0] and "photos" not in many.missing[1]
    np.testing.assert_allclose(many.kind_confidence, alone.kind_confidence, atol=1e-5)
    embedding = ["embed", run, table, "--input", "moves", "-o", tmp_path / "e.parquet"]
    assert polymodal(*embedding, folder=folder).status == 0
    empty = pd.DataFrame(np.stack(pd.read_parquet(tmp_path / "e.parquet").embedding)).isna().all(axis=1)
    assert list(empty) == ["moves" in cell for cell in many.missing]


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["bert", "resnet"])
def test_features_are_learnt(folder, tmp_path, encoder):
    sizes = {
        "bert": "hidden_size: 32, intermediate_size: 32",
        "resnet": "hidden_sizes: [16, 16], depths: [1, 1]",
    }
    (tmp_path / "run.yaml").write_text(
        f"data: {{train: {folder / 't.parquet'}}}\n"
        f"inputs:\n  track: {{modality: sequence, encoder: {{type: {encoder}, {sizes[encoder]}}}}}\n"
        "targets: {kind: {}}\nfusion: {name: concat, width: 16}\n"
        "train: {epochs: 25, batch_size: 8, patience: 0}\n"
    )
    fitted = polymodal("fit", "run.yaml", "-o", "run", "--json", folder=tmp_path)
    assert fitted.status == 0, fitted.err
    evaluated = polymodal("evaluate", "run", folder / "t.parquet", "--json", folder=tmp_path).json
    assert evaluated["kind"]["accuracy"] > 0.8


def write_bad(folder, column, cells):
    """``bad.jsonl``: the rows with other cells in ``column``, by row from 1."""
    rows = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    for row, cell in cells.items():
        rows[row - 1][column] = cell
    (folder / "bad.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return ["bad.jsonl", "-t", "kind", "-i", column, "-o", folder / "other"]


def test_bad_sequence_files_are_all_named(folder):
    bad = folder / "bad"
    bad.mkdir()
    whole = np.ones((5, 3), np.float32)
    np.save(bad / "wide.npy", np.ones((5, 4)))
    np.save(bad / "cube.npy", np.ones((5, 3, 2)))
    np.save(bad / "none.npy", np.ones((0, 3)))
    np.save(bad / "nan.npy", whole * np.nan)
    np.save(bad / "object.npy", np.array([None]), allow_pickle=True)
    np.savez(bad / "two.npz", x=whole, y=whole)
    (bad / "text.npy").write_text("hello")
    (bad / "cut.npy").write_bytes((bad / "wide.npy").read_bytes()[:-9])
    names = ["wide", "cube", "none", "nan", "object", "text", "cut", "gone"]
    cells = {row: f"bad/{name}.npy" for row, name in enumerate(names, start=2)} | {10: "bad/two.npz"}
    said = errors(folder, "fit", *write_bad(folder, "moves", cells))
    expected = {
        2: "bad/wide.npy has 4 features a step, expected 3 as in training. Extract them",
        3: "bad/cube.npy: array of float64, shape (5, 3, 2), expected numbers of shape (time, features)",
        4: "bad/none.npy: array of shape (0, 3) holds no features",
        5: "bad/nan.npy holds 15 values that are no finite numbers, the first in step 1, feature 1",
        6: "bad/object.npy holds Python objects, never loaded",
        7: "bad/text.npy is no NumPy file, expected .npy or .npz. Write it with numpy.save",
        8: "bad/cut.npy is cut short: ",
        9: f"bad/gone.npy does not exist. Relative paths start from the table's folder: looked in {folder}",
        10: "bad/two.npz holds 2 arrays ('x', 'y'), expected one array",
    }
    places = sorted(said, key=lambda line: int(line.split("row ")[1].split(",")[0]))
    assert len(said) == len(expected)
    for line, (row, start) in zip(places, expected.items(), strict=True):
        assert line.startswith(f"bad.jsonl, row {row}, column 'moves': {start}"), line


def test_bad_lists_are_named(folder):
    said = errors(folder, "fit", *write_bad(folder, "track", {3: [[1, 2, 3], [4]], 5: [[1, 2]]}))
    assert said == [
        "bad.jsonl, row 3, column 'track': list of 2: step 2 has 1 features, expected 3 as in step 1. "
        "Give each step all features.",
        "bad.jsonl, row 5, column 'track': list of 1 has 2 features a step, expected 3 as in training. "
        "Extract them as those of the training rows.",
    ]


def test_a_bad_item_is_named_with_its_place(folder):
    (folder / "page.png").write_text("<html>")
    cells = {2: ["photos/1_0.png", "page.png"], 3: ["gone.png"], 4: ["photos/1_0.png"] * 9}
    said = errors(folder, "fit", *write_bad(folder, "photos", cells))
    cure = "Raise the input's setting 'items', or give fewer."
    assert sorted(
        line.split("'photos': ")[1].split(" in ")[0].split(" (")[0].split(". Rel")[0] for line in said
    ) == [
        f"a list of 9 items, expected at most 8. {cure}",
        "item 1: gone.png does not exist",
        "item 2: page.png cannot be decoded",
    ]


def test_more_items_are_read_where_the_setting_allows_it(folder):
    options = write_bad(folder, "photos", {4: ["photos/1_0.png"] * 9})
    report = polymodal("check", *options[:-2], "--set", "inputs.photos.items=9", "--json", folder=folder).json
    assert report["ok"] and report["columns"][2]["detail"].endswith("at most 9 a cell")


def test_settings_that_do_not_suit(folder):
    start = ["fit", "t.parquet", "-t", "kind", "-o", "other"]
    found = error(folder, *start, "-i", "track", "--set", "inputs.track.seconds=3")
    assert "'seconds' is a setting of audio, not of sequence" in found
    found = error(folder, *start, "-i", "photos", "--set", "inputs.photos.length=3")
    assert "'length' is a setting of sequence, not of image" in found
    found = error(folder, *start, "-i", "track", "--set", "inputs.track.encoder=owner/name")
    assert "'owner/name' is a checkpoint, and none reads features. Give a model type such as bert" in found
    found = error(folder, *start, "-i", "track", "--set", "inputs.track.encoder=wav2vec2")
    assert found.endswith("a model of type 'wav2vec2' reads input_values, no sequence")


def test_what_is_longer_than_the_length_is_cut_and_the_check_says_so(folder):
    start = ["check", "t.jsonl", "-t", "kind", "-i", "moves", "--json"]
    report = polymodal(*start, "--set", "inputs.moves.length=10", folder=folder).json
    detail = next(column["detail"] for column in report["columns"] if column["column"] == "moves")
    assert detail.startswith("6–14 steps of 3 features, ") and detail.endswith(
        "cut at the end (raise 'length')"
    )
