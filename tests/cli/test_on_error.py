"""``--on-error skip``: rows that cannot be read are left out, listed and counted; all else still refuses."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from tests.support.command import error, errors, polymodal, settings
from tests.support.tables import write_houses

INPUTS = ["-i", "photo,note,bedrooms"]
FIT = ["-t", "kind", "-t", "price", *INPUTS, *settings("photo")]


@pytest.fixture
def broken(folder):
    """``bad.csv``: rows 3 (ragged), 5 (two bad cells), 8 (no file) and 12 (no number) cannot be read."""
    frame = pd.read_csv(folder / "houses.csv", dtype=str)
    (folder / "cut.png").write_bytes((folder / "photos/6.png").read_bytes()[:60])
    frame.loc[[4, 7], "photo"] = ["cut.png", "none.png"]
    frame.loc[[4, 11], "bedrooms"] = ["three", "many"]
    lines = frame.to_csv(index=False).splitlines()
    lines[3] += ",more"
    (folder / "bad.csv").write_text("\n".join(lines) + "\n")
    return folder


def rejected(folder, run="other"):
    """``(row, column)`` of each line of ``rejected.csv``."""
    frame = pd.read_csv(folder / run / "rejected.csv")
    assert list(frame.columns) == ["file", "row", "column", "found", "expected"]
    return list(zip(frame["row"], frame["column"].fillna(""), strict=True))


BAD = [(3, ""), (5, "bedrooms"), (5, "photo"), (8, "photo"), (12, "bedrooms")]


def test_by_default_every_row_is_refused(broken):
    assert error(broken, "fit", "bad.csv", *FIT, "-o", "other").startswith("bad.csv, row 3: found 9 cells")
    said = errors(broken, "fit", "bad.csv", *FIT, "-o", "other", "--on-error", "refuse")
    assert len(said) == 1 and not (broken / "other").exists()


def test_rows_that_cannot_be_read_are_left_out_and_listed(broken):
    result = polymodal("fit", "bad.csv", *FIT, "-o", "other", "--on-error", "skip", "--json", folder=broken)
    assert result.status == 0, result.err
    assert sorted(rejected(broken)) == BAD
    listed = pd.read_csv(broken / "other/rejected.csv", keep_default_na=False).sort_values(["row", "column"])
    assert listed["found"].tolist()[0] == "found 9 cells" and "'three'" in listed["found"].tolist()
    assert listed["expected"].tolist()[0] == "8 as in the first line" and set(listed["file"]) == {"bad.csv"}
    rows = result.json["rows"]
    assert rows.pop("rejected") == 4 and sum(rows.values()) == 36
    assert "4 rows left out, listed in rejected.csv" in result.json["notes"]
    said = pd.read_parquet(broken / "other/predictions.parquet")
    whole = pd.read_csv(broken / "houses.csv", dtype=str)
    assert not {3, 5, 8, 12} & set(said["row"])
    assert said["kind_true"].tolist() == whole["kind"].iloc[said["row"] - 1].tolist()  # rows of the file


def test_the_model_is_that_of_a_table_without_these_rows(broken):
    """Scale, vocabulary and classes are learnt from the rows that are left."""
    frame = pd.read_csv(broken / "houses.csv", dtype=str)
    frame["split"] = ["train"] * 32 + ["val"] * 4 + ["test"] * 4
    frame.loc[[0], "note"] = "unheard"
    frame.loc[[0], "kind"] = "castle"
    frame.drop(index=[0]).to_csv(broken / "clean.csv", index=False)
    frame.loc[[0], "bedrooms"] = "x"
    frame.to_csv(broken / "bad.csv", index=False)
    fits = {"bad": ["--on-error", "skip"], "clean": []}
    for name, options in fits.items():
        result = polymodal("fit", f"{name}.csv", *FIT, "-o", name, *options, folder=broken)
        assert result.status == 0, result.err
    processors = [(broken / name / "processor_config.json").read_text() for name in fits]
    assert processors[0] == processors[1] and "castle" not in processors[0]
    answers = []
    for name in fits:
        polymodal("predict", name, "clean.csv", "-o", f"{name}.parquet", folder=broken)
        answers.append(pd.read_parquet(broken / f"{name}.parquet"))
    pd.testing.assert_frame_equal(*answers)


def test_the_check_says_what_would_be_left_out(broken):
    command = ["check", "bad.csv", "-t", "kind", *INPUTS]
    result = polymodal(*command, "--on-error", "skip", folder=broken)
    assert result.status == 0 and "A fit would start, without 4 rows." in result.out
    assert "left out: bad.csv, row 8, column 'photo': none.png does not exist" in result.out
    found = polymodal(
        "check", "bad.csv", "-t", "kind", *INPUTS, "--on-error", "skip", "--json", folder=broken
    )
    assert found.json["ok"] and sum(found.json["rows"].values()) == 36 and len(found.json["rejected"]) == 5
    assert polymodal(*command, folder=broken).status == 1


def test_it_can_be_declared(broken):
    (broken / "run.yaml").write_text(
        "data: {train: bad.csv, on_error: skip}\ninputs: {bedrooms: {}}\ntargets: {kind: {}}\n"
    )
    result = polymodal("fit", "run.yaml", "-o", "other", *settings(), folder=broken)
    assert result.status == 0 and rejected(broken) == [(3, ""), (5, "bedrooms"), (12, "bedrooms")]
    assert yaml.safe_load((broken / "other/run.yaml").read_text())["data"]["on_error"] == "skip"
    again = polymodal("fit", "run.yaml", "-o", "other", "--on-error", "refuse", "--overwrite", folder=broken)
    assert again.status == 1
    (broken / "run.yaml").write_text("data:\n  train: houses.csv\n  on_error: ignore\ntargets: {kind: {}}\n")
    assert "'data.on_error' is 'ignore'; input should be 'refuse' or 'skip'" in error(
        broken, "check", "run.yaml"
    )
    assert polymodal("fit", "bad.csv", "--on-error", "ignore", folder=broken).status == 2


def test_a_later_fit_without_bad_rows_leaves_no_list(broken):
    fit = ["fit", "-t", "kind", "-i", "bedrooms", "-o", "other", "--on-error", "skip", *settings()]
    assert polymodal(*fit, "bad.csv", folder=broken).status == 0 and (broken / "other/rejected.csv").exists()
    result = polymodal(*fit, "houses.csv", "--overwrite", "--json", folder=broken)
    assert result.json["rows"]["rejected"] == 0 and not (broken / "other/rejected.csv").exists()


def test_rows_of_every_split_and_file(broken):
    """Also rows of a class that training never saw, or saw in rows left out only, and of an unknown split."""
    frame = pd.read_csv(broken / "houses.csv", dtype=str)
    frame["split"] = ["train"] * 30 + ["val"] * 10
    frame.loc[[0], "split"] = "tain"
    frame.loc[[1, 31], "kind"] = "tent"
    frame.loc[[1, 32], "photo"] = "none.png"
    frame.to_csv(broken / "bad.csv", index=False)
    other = pd.read_csv(broken / "houses.csv", dtype=str).head(8)
    other.loc[[2], "kind"] = "castle"
    (broken / "test.jsonl").write_text(other.to_json(orient="records", lines=True) + "no json\n")
    result = polymodal("fit", "bad.csv", *FIT, "-o", "other", "--on-error", "skip", "--json",
                       "--set", "data.test=test.jsonl", folder=broken)  # fmt: skip
    assert result.status == 0, result.err
    listed = pd.read_csv(broken / "other/rejected.csv", keep_default_na=False)
    assert sorted(zip(listed["file"], listed["row"], listed["column"], strict=True)) == [
        ("bad.csv", 1, "split"), ("bad.csv", 2, "photo"), ("bad.csv", 32, "kind"), ("bad.csv", 33, "photo"),
        ("test.jsonl", 3, "kind"), ("test.jsonl", 9, ""),
    ]  # fmt: skip
    assert result.json["rows"] == {"train": 28, "validation": 8, "test": 7, "rejected": 6}


def test_many_missing_files_are_all_left_out(tmp_path):
    write_houses(tmp_path, rows=60, empty=0.0)
    for number in range(25):
        (tmp_path / f"photos/{number}.png").unlink()
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "photo,note", "-o", "run"]
    assert "25 of its 60 files are not there" in error(tmp_path, *fit)
    result = polymodal(*fit, "--on-error", "skip", "--json", *settings("photo"), folder=tmp_path)
    assert result.json["rows"]["rejected"] == 25 and len(rejected(tmp_path, "run")) == 25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda frame: frame.assign(kind=["castle", *["flat"] * 39]),
            "every training row is 'flat', expected two",
        ),
        (lambda frame: frame.assign(photo="nowhere/a.png"), "none of its 40 files is there"),
        (lambda frame: frame.drop(columns="note"), "no column 'note'"),
    ],
)
def test_what_concerns_no_row_still_refuses(folder, change, message):
    frame = change(pd.read_csv(folder / "houses.csv", dtype=str))
    frame.loc[0, "bedrooms"] = "x"
    frame.to_csv(folder / "bad.csv", index=False)
    said = errors(folder, "fit", "bad.csv", "-t", "kind", *INPUTS, "-o", "other", "--on-error", "skip")
    assert message in said[0] and not (folder / "other").exists()
    if len(said) > 1:
        assert said[1:] == ["bad.csv: 1 row left out by --on-error skip. polymodal check lists them."]


def test_predicting_keeps_every_row_in_its_place(broken):
    whole = pd.read_csv(broken / "houses.csv", dtype=str)
    whole.loc[[4], "photo"] = "cut.png"
    whole.loc[range(16, 24), "bedrooms"] = "many"
    whole.to_csv(broken / "new.csv", index=False)
    predict = ["predict", "run", "new.csv", "-o", "a.parquet", "--batch-size", "8"]
    assert error(broken, *predict).startswith("new.csv, row 5, column 'photo': cut.png")
    result = polymodal(*predict, "--on-error", "skip", folder=broken)
    assert result.status == 0 and result.out == "31 of 40 rows answered in a.parquet\n"
    assert result.err.splitlines()[0].startswith("not answered: new.csv, row 5, column 'photo': cut.png")
    polymodal("predict", "run", "houses.csv", "-o", "b.parquet", "--batch-size", "8", folder=broken)
    said, expected = pd.read_parquet(broken / "a.parquet"), pd.read_parquet(broken / "b.parquet")
    bad = np.isin(np.arange(40), [4, *range(16, 24)])
    assert said["error"].notna().tolist() == bad.tolist()
    assert said.loc[bad].drop(columns="error").isna().all(axis=None)
    kept = said.loc[~bad, expected.columns].astype(expected.dtypes.to_dict())
    pd.testing.assert_frame_equal(kept, expected.loc[~bad])
    assert "row 17, column 'bedrooms': 'many', expected a number" in said.loc[16, "error"]


def test_embedding_and_evaluating(broken):
    frame = pd.read_csv(broken / "houses.csv", dtype=str)
    frame.drop(index=[4]).to_csv(broken / "rest.csv", index=False)
    frame.loc[[4], "photo"] = "cut.png"
    frame.to_csv(broken / "new.csv", index=False)
    result = polymodal(
        "embed", "run", "new.csv", "-o", "e.parquet", "--on-error", "skip", "--json", folder=broken
    )
    counts = {"missing": {"photo": 4, "note": 6, "bedrooms": 2}, "unseen": {}, "warnings": []}
    assert result.json == {"output": "e.parquet", "rows": 40, "rejected": 1, **counts}
    vectors = pd.read_parquet(broken / "e.parquet")
    lacking = [bool(np.isnan(vector).all()) for vector in vectors["embedding"]]
    assert lacking == vectors["error"].notna().tolist() == [row == 4 for row in range(40)]
    some = polymodal("evaluate", "run", "new.csv", "--json", "--on-error", "skip", folder=broken)
    rest = polymodal("evaluate", "run", "rest.csv", "--json", folder=broken)
    assert some.err.startswith("left out: new.csv, row 5, column 'photo'")
    for target, metrics in rest.json.items():
        assert some.json[target] == pytest.approx(metrics, rel=1e-5)
    Image.new("RGB", (8, 8)).save(broken / "cut.png")
    assert not polymodal("evaluate", "run", "new.csv", "--on-error", "skip", folder=broken).err


def test_a_row_that_is_none_is_refused_where_every_row_is_answered(broken):
    """The answers would no longer stand in the order of the file."""
    said = error(broken, "predict", "run", "bad.csv", "-o", "a.parquet", "--on-error", "skip")
    assert said.startswith("bad.csv, row 3: found 9 cells")


def test_the_notes_are_kept(broken):
    fit = ["fit", "bad.csv", "-t", "kind", "-i", "bedrooms", "-o", "other", "--on-error", "skip"]
    polymodal(*fit, *settings(), folder=broken)
    kept = json.loads((broken / "other/metrics.json").read_text())
    assert kept["rows"]["rejected"] == 3 and kept["notes"][0] == "3 rows left out, listed in rejected.csv"
