"""What a run gives away: nothing of single rows where data are private, and no cells or answers on demand."""

import io
import json
import sqlite3
import stat

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import polymodal as pm
from polymodal.config import InputConfig, TargetConfig
from polymodal.data.cache.disk import DiskStore
from polymodal.data.rare_values import generalise
from polymodal.data.tables.table import read_table
from polymodal.data.values.column_values import parse_numbers
from polymodal.data.values.missing import Marks
from polymodal.data.values.numbers import held_edges
from polymodal.training.opening import open_prediction_job
from polymodal.training.request import FitRequest
from tests.support.command import error
from tests.support.command import polymodal as command
from tests.support.tables import tiny

SECRETS = ["Rarecategory", "Rareclass", "Rareword", "987654.25", "-31415.75", "Raretag"]


def write_secret(folder, rows=160):
    random = np.random.default_rng(0)
    x = random.normal(size=rows).round(3)
    frame = pd.DataFrame(
        {
            "x": x,
            "town": random.choice(["north", "south"], rows),
            "note": random.choice(["a green house", "a red house", "the blue flat"], rows),
            "kind": np.where(x > 0, "hi", "lo"),
            "price": (100 * x + 1000).round(2),
            "tags": random.choice(["a|b", "a", "b"], rows),
            "split": ["train"] * (rows - 40) + ["validation"] * 20 + ["test"] * 20,
        }
    )
    frame.loc[[3, 4], "town"] = "Rarecategory"
    frame.loc[[5, 6, 7], "kind"] = "Rareclass"
    frame.loc[8:13, "note"] = "a Rareword house"
    frame.loc[9, "x"], frame.loc[10, "price"] = 987654.25, -31415.75
    frame.loc[11, "tags"] = "a|Raretag"
    frame.to_csv(folder / "t.csv", index=False)
    return frame


def fit(folder, run, *more, **settings):
    targets = [word for name in ("kind", "price", "tags") for word in ("-t", name)]
    chosen = {"report__write": True, "report__noise_rows": 0, "report__by": ["town"], "train__epochs": 1}
    given = [word for setting in tiny(**chosen | settings) for word in ("--set", setting)]
    return command("fit", "t.csv", *targets, "-i", "x,town,note", "-o", run, *given, *more, folder=folder)


def everything(folder):
    """All that the files of a run spell out, columnar ones as text too."""
    text = ""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        text += content.decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text += pq.read_table(path).to_pandas().to_string()
    return text


def test_a_private_run_spells_out_nothing_that_few_rows_hold(tmp_path):
    write_secret(tmp_path)
    assert fit(tmp_path, "open").status == 0
    shown = everything(tmp_path / "open").lower()
    missing = [secret for secret in SECRETS if secret.lower() not in shown]
    assert missing in ([], ["-31415.75"]), "else the search below finds nothing"
    result = fit(tmp_path, "run", **{"data__private": True})
    assert result.status == 0, result.err
    text = everything(tmp_path / "run").lower()
    assert [secret for secret in SECRETS if secret.lower() in text] == []
    assert not (tmp_path / "run/predictions.parquet").exists()
    figures = json.loads((tmp_path / "run/report.json").read_text())["targets"]
    assert all(
        "worst" not in target["failures"] and not target["failures"]["subgroups"]
        for target in figures.values()
    )
    run = pm.load(tmp_path / "run")
    assert list(run.predict([{"x": 1.0, "town": "Rarecategory", "note": "Rareword"}])["kind"]) in (
        ["hi"],
        ["lo"],
    )
    assert run.processor.targets["kind"].classes == ["hi", "lo"]


def test_cells_and_rows_are_left_out_on_demand(tmp_path):
    write_secret(tmp_path)
    assert fit(tmp_path, "cells", **{"report__media": False}).status == 0
    failing = json.loads((tmp_path / "cells/report.json").read_text())["targets"]["kind"]["failures"]
    assert failing["worst"] and "Rareword" not in (tmp_path / "cells/report.html").read_text()
    assert (tmp_path / "cells/predictions.parquet").exists()
    assert fit(tmp_path, "rows", **{"report__predictions": False}).status == 0
    assert not (tmp_path / "rows/predictions.parquet").exists()
    figures = json.loads((tmp_path / "rows/report.json").read_text())["targets"]
    assert "worst" not in figures["kind"]["failures"]
    residuals = figures["price"]["failures"]["residuals"]
    assert residuals["points"] == [] and residuals["quantiles"][0]["share"] == 0.05
    assert "keeps no answers to its test rows" in error(tmp_path, "compare", "cells", "rows")


def test_what_is_generalised(tmp_path):
    numbers, texts = [*range(1, 31), 1e9], ["x y"] * 30 + ["x Z"]
    columns = {"n": numbers, "c": ["a"] * 30 + ["z"], "t": texts, "k": ["u"] * 29 + ["v"] * 2}
    columns["d"] = [f"2024-01-{day:02d}" for day in range(1, 31)] + ["1931-03-07"]
    table = read_table(pd.DataFrame(columns))
    modalities = {"n": "number", "c": "category", "t": "text", "d": "date"}
    inputs = {name: InputConfig(modality=modality) for name, modality in modalities.items()}
    splits = {"train": table, "test": table.select([30])}
    made = generalise(splits, inputs, {"k": TargetConfig(task="classification")}, 10)
    train = {name: made["train"].values(name).to_pylist() for name in "nctkd"}
    assert (min(train["n"]), max(train["n"])) == (5.5, pytest.approx((sum(range(22, 31)) + 1e9) / 10))
    assert train["c"] == ["a"] * 30 + [None] and train["t"] == ["x y"] * 30 + ["x"]
    days = sorted(day.date().isoformat() for day in train["d"])
    assert (days[0], days[-1]) == ("2014-09-23", "2024-01-25")
    assert train["k"] == ["u"] * 29 + [None] * 2
    assert made["test"].values("k").to_pylist() == [None] and made["test"].values("t").to_pylist() == ["x Z"]


def test_edges_are_means_of_rows():
    known = np.arange(100.0)
    edges = held_edges(known, 16, 10)
    assert len(edges) == 11 and (edges[0], edges[-1]) == (4.5, 94.5) and (np.diff(edges) > 0).all()
    assert len(held_edges(known[:15], 16, 10)) == 0


def test_a_report_opens_no_table_but_the_runs_own(tmp_path):
    write_secret(tmp_path)
    assert fit(tmp_path, "run", **{"report__write": False}).status == 0
    assert command("report", "run", "--noise-rows", "0", folder=tmp_path).status == 0
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(text + "1,north,a,hi,1,a,train\n")
    line = error(tmp_path, "report", "run", "--noise-rows", "0")
    assert "is not the file that run was fitted to (its SHA-256 differs). Name a table" in line
    assert command("report", "run", "t.csv", "--noise-rows", "0", folder=tmp_path).status == 0
    results = json.loads((tmp_path / "run/metrics.json").read_text())
    del results["data"]
    (tmp_path / "run/metrics.json").write_text(json.dumps(results))
    assert "does not say which file" in error(tmp_path, "report", "run", "--noise-rows", "0")


def test_names_are_text_in_the_card(tmp_path):
    frame = write_secret(tmp_path).rename(columns={"x": 'a`b"c\n```|<b>', "kind": "*k*"})
    run = pm.fit(
        frame,
        target="*k*",
        inputs=['a`b"c\n```|<b>'],
        output=tmp_path / "run",
        settings=tiny(train__epochs=1),
    )
    card = (run.folder / "README.md").read_text()
    code = card.split("```python\n")[1].split("\n```")[0]
    compile(code, "card", "exec")
    assert "\\*k\\*" in card and "<b>" not in card.replace(code, "")


def test_the_cache_is_the_users_own_and_checks_its_entries(tmp_path):
    store = DiskStore(tmp_path / "cache", 10**6)
    array = np.arange(6.0).reshape(2, 3)
    assert store.put(b"k", array) and (store.get(b"k") == array).all()
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    other = io.BytesIO()
    np.save(other, array + 1)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE entries SET array = ?", [other.getvalue()])
    assert store.get(b"k") is None
    store.put(b"k", array)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE entries SET shape = '(3, 2)'")
    assert store.get(b"k") is None


def test_cells_that_cannot_be_read_stay_for_the_check():
    columns = {"n": ["1.500,25"] * 20 + ["oops"] + ["2,5"] * 19, "k": ["a|b"] * 30 + ["[1, {"] + ["a|?"] * 9}
    columns["m"] = [1.5] * 39 + [1e300]
    table = read_table(pd.DataFrame(columns)).marking(Marks.of(["?"]))
    inputs = {
        "n": InputConfig(modality="number", format="1.234,5"),
        "k": InputConfig(modality="categories", separator="|"),
        "m": InputConfig(modality="number"),
    }
    train = generalise({"train": table}, inputs, {}, 10)["train"]
    numbers, bad = parse_numbers(train.values("n"), "1.234,5")
    assert numbers[[0, 19, 21]].tolist() == [1500.25, 1500.25, 2.5] and bad.tolist() == [20]
    assert train.values("n")[20].as_py() == "oops"
    assert train.values("k").to_pylist()[29:32] == ['["a", "b"]', "[1, {", '["a"]']
    numbers, bad = parse_numbers(train.values("m"))
    assert numbers[0] == 1.5 and bad.tolist() == [39]


def test_rows_that_are_skipped_hold_no_value_that_is_kept(tmp_path):
    rows = 120
    frame = pd.DataFrame({"x": np.arange(rows) * 0.5, "town": ["north", "south"] * (rows // 2)})
    frame = frame.assign(tags="a|b", y=["u", "u", "v", "v"] * (rows // 4), split="train").astype({"x": str})
    frame.loc[100:109, "split"], frame.loc[110:, "split"] = "validation", "test"
    frame.loc[:11, "town"], frame.loc[:11, "tags"], frame.loc[:11, "y"] = "Raretown", "Raretag|a", "Rareclass"
    frame.loc[:8, "x"] = "oops"
    frame.to_csv(tmp_path / "t.csv", index=False)
    declared = ["data.private=true", "data.on_error=skip", "inputs.x.modality=number", "report.write=false"]
    declared += ["inputs.tags={modality: categories, separator: '|'}", "inputs.town={modality: category}"]
    request = FitRequest(tmp_path / "t.csv", targets=["y"], inputs=["x", "town", "tags"], settings=declared)
    job = open_prediction_job(request)
    assert "Raretown" in job.processor.readers["town"].categories, "12 rows hold it"
    report = job.check(quiet=True)
    assert report.ok and len(job.splits["train"]) == 91
    assert job.processor.readers["town"].categories == ["north", "south"]
    assert job.processor.readers["tags"].categories == ["a", "b"]
    assert job.processor.targets["y"].classes == ["u", "v"]
    assert job.splits["train"].values("town").to_pylist()[:3] == [None] * 3
