"""Dates and sets of categories by the command line, from the check to the report, with missing cells."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from tests.support.command import error, polymodal, settings

ROWS = 60
LABELS = ["balcony", "cellar", "garden", "lift"]
SMALL = settings(report__write=True, report__noise_rows=20)


def flats() -> pd.DataFrame:
    """Flats whose price shows in the year they were built and in whether they have a lift."""
    random = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 1500, ROWS), unit="D")
    has = [[str(label) for label in random.permutation(LABELS)[: random.integers(1, 4)]] for _ in range(ROWS)]
    lift = np.array(["lift" in labels for labels in has])
    frame = pd.DataFrame({"built": days, "has": has, "price": 100 * (days.year - 2019) + 80 * lift})
    frame["price"] += random.normal(0, 5, ROWS)
    frame.loc[[3, 7], "built"] = pd.NaT
    frame["has"] = frame["has"].where(~frame.index.isin([4, 8]), None)
    frame.at[10, "has"] = []
    return frame


def written(frame: pd.DataFrame) -> pd.DataFrame:
    """The same as a person writes it into a CSV."""
    joined = ["[]" if labels == [] else "|".join(labels) if labels else None for labels in frame["has"]]
    return frame.assign(built=frame["built"].dt.strftime("%d/%m/%Y"), has=joined)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``flats.csv`` and ``run``, fitted to it."""
    folder = tmp_path_factory.mktemp("flats")
    written(flats()).to_csv(folder / "flats.csv", index=False)
    fitted = polymodal("fit", "flats.csv", "-t", "price", "-o", "run", *SMALL, folder=folder)
    assert fitted.status == 0, fitted.err
    return folder


def test_check_and_init_name_what_the_columns_are(folder):
    checked = polymodal("check", "flats.csv", "-t", "price", "--json", folder=folder)
    columns = {entry["column"]: entry for entry in checked.json["columns"]}
    assert columns["built"]["modality"] == "date" and columns["has"]["modality"] == "categories"
    assert checked.status == 0 and not checked.json["problems"] and not checked.json["warnings"]
    lines = polymodal("init", "flats.csv", "-t", "price", folder=folder).out.splitlines()
    assert any(line.startswith("  built: {modality: date, format: 31/12/2024}") for line in lines)
    assert any(line.startswith("  has: {modality: categories, separator: '|'}") for line in lines)


def test_the_run_reads_other_carriers_the_same(folder):
    run, frame = pm.load(folder / "run"), flats()
    from_csv = run.predict(folder / "flats.csv")["price"]
    assert run.predict(frame)["price"].tolist() == from_csv.tolist()
    zoned = frame.assign(built=frame["built"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    assert run.predict(zoned)["price"].tolist() == from_csv.tolist()
    objects = [{"built": "2021-05-01", "has": ["lift"]}, {"built": None, "has": []}, {"has": None}]
    assert np.isfinite(run.predict(objects)["price"]).all()
    none, missing = run.predict([{"built": "2021-05-01", "has": []}, {"built": "2021-05-01"}])["price"]
    assert none != missing


def test_a_label_that_training_never_saw_is_named_and_counted(folder):
    run = pm.load(folder / "run")
    with pytest.warns(
        pm.InputWarning, match="column 'has': 1 of 2 values were never seen in training .'pool'"
    ):
        one, two = run.predict([{"has": ["lift", "pool"]}, {"has": ["lift"]}])["price"]
    assert one != two


def test_a_date_that_is_none_is_one_line_and_can_be_skipped(folder):
    bad = written(flats()).head(4).fillna({"built": ""})
    bad.loc[1, "built"] = "31/02/2024"
    bad.to_csv(folder / "bad.csv", index=False)
    line = error(folder, "predict", "run", "bad.csv", "-o", "a.csv")
    assert line == (
        "bad.csv, row 2, column 'built': '31/02/2024', expected a date, written as 31/12/2024. "
        "Correct the date, or leave it empty"
    )
    skipped = polymodal("predict", "run", "bad.csv", "-o", "a.csv", "--on-error", "skip", folder=folder)
    assert skipped.status == 0 and pd.read_csv(folder / "a.csv")["price"].isna().tolist() == [
        False,
        True,
        False,
        False,
    ]
    table = written(flats())
    table.loc[5, "built"], table.loc[6, "has"] = "soon", "['a', {}]"
    table.to_csv(folder / "broken.csv", index=False)
    given = settings(inputs__built__modality="date", inputs__has__modality="categories")
    checked = polymodal("check", "broken.csv", "-t", "price", "--json", *given, folder=folder)
    assert checked.status == 1
    problems = [(problem["row"], problem["column"]) for problem in checked.json["problems"]]
    assert problems == [(6, "built"), (7, "has")]


def test_explain_has_a_part_per_date_and_per_label(folder):
    done = polymodal("explain", "run", "flats.csv", "--rows", "1,4,11", "-o", "why", "--json", folder=folder)
    assert done.status == 0, done.err
    assert all(answer["relative_error"] < 0.05 for answer in done.json["answers"])
    frame = pd.read_parquet(folder / "why/explanations.parquet")
    parts = frame[frame["part"] == "cell"]
    own = written(flats())
    assert set(parts[(parts["row"] == 1) & (parts["input"] == "has")]["text"]) == set(
        own["has"][0].split("|")
    )
    assert parts[(parts["row"] == 1) & (parts["input"] == "built")]["text"].tolist() == [own["built"][0]]
    assert parts[(parts["row"] == 11) & (parts["input"] == "has")]["text"].tolist() == ["none"]
    assert "built" in done.json["answers"][1]["missing"]
    page = (folder / "why/explanations.html").read_text(encoding="utf-8")
    assert "the mean of the training dates" in page and "no category" in page


def test_the_report_makes_both_worse(folder):
    report = json.loads((folder / "run/report.json").read_text())
    (target,) = report["targets"].values()
    noise = target["robustness"]["noise"]["noise"]
    assert set(noise["built"]) == {"jitter"} and set(noise["has"]) == {"exchange"}
    assert noise["built"]["jitter"][1]["unit"] == "days, standard deviation"
    card = (folder / "run/README.md").read_text()
    assert '"2024-12-31"' in card and '["one", "another"]' in card and "tabular-regression" in card


def test_the_order_of_day_and_month_is_named_and_can_be_set(tmp_path):
    frame = flats().dropna(subset=["built"])
    frame["built"] = [f"{1 + n % 12:02d}/{1 + n // 5:02d}/2024" for n in range(len(frame))]
    written_as = frame.assign(has=None)[["built", "price"]]
    written_as.to_csv(tmp_path / "t.csv", index=False)
    checked = polymodal("check", "t.csv", "-t", "price", "--json", folder=tmp_path).json
    (doubt,) = [entry for entry in checked["warnings"] if entry["column"] == "built"]
    assert "the day may be the month" in doubt["found"] and "inputs.built.format=31/12/2024" in doubt["cure"]
    settled = polymodal(
        "check", "t.csv", "-t", "price", "--json", "--set", "inputs.built.format=31/12/2024", folder=tmp_path
    )
    assert not settled.json["warnings"]
    line = error(tmp_path, "check", "t.csv", "-t", "price", "--set", "inputs.built.format=dd/mm/yyyy")
    assert "inputs.built.format: 'dd/mm/yyyy' is not the 31st of December 2024" in line


def test_private_fits_keep_no_rare_label(tmp_path):
    frame = written(flats())
    frame.loc[0, "has"] = "lift|observatory"
    frame.to_csv(tmp_path / "t.csv", index=False)
    private = settings(data__private=True, data__private_rows=3)
    fitted = polymodal("fit", "t.csv", "-t", "price", "-o", "run", *private, folder=tmp_path)
    assert fitted.status == 0, fitted.err
    assert "observatory" not in (tmp_path / "run/processor_config.json").read_text()
