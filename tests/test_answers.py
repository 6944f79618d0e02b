"""Answers fit what was asked: index, type, columns that are kept, formats, and what training never saw."""

from __future__ import annotations

import datetime
import json
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import polymodal as pm
from polymodal.answers import answered
from polymodal.answers.answered import bytes_of_row
from polymodal.data.checks.findings import inspect_table
from polymodal.data.tables.table import read_table
from polymodal.data.targets import class_names, target_reader
from polymodal.data.values.column_values import as_label
from polymodal.data.values.label_types import label_kind
from polymodal.pipelines.cross_validation import concat_answers
from tests.support.command import error, polymodal
from tests.support.tables import tiny

ZIPS = ["01067", "02134", "90210"]


def rows(count=60):
    """A table whose columns are numbers, codes and labels of several types."""
    chance = np.random.default_rng(0)
    zone = chance.integers(0, 3, count)
    return pd.DataFrame({
        "id": [f"r{number}" for number in range(count)], "x": chance.normal(size=count).round(2),
        "zip": [ZIPS[z] for z in zone], "stars": zone + 1, "open": zone > 1,
        "day": [datetime.date(2024, 1, 1 + z) for z in zone],
        "tags": [[int(z), 7] for z in zone],
    })  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a run of four targets, and the same rows as ``rows.csv``."""
    folder = tmp_path_factory.mktemp("answers")
    rows().to_csv(folder / "rows.csv", index=False)
    pm.fit(
        rows(), target=["stars", "open", "day", "tags"], inputs=["x", "zip"], output=folder / "run",
        settings=tiny(inputs__zip__modality="category", targets__stars__task="classification",
                      targets__day__task="classification", targets__tags__task="multilabel"),
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run(base):
    return pm.load(base / "run")


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(list("cabd")), pd.Index([5, 5, 5, 5], name="twice"), pd.date_range("2024-01-01", periods=4),
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("b", 1)], names=["k", "n"]),
    ],
    ids=["texts", "duplicates", "dates", "levels"],
)  # fmt: skip
@pytest.mark.parametrize("on_error", ["refuse", "skip"])
def test_answers_to_a_frame_have_its_index(run, index, on_error):
    frame = rows()[:4].set_axis(index)
    answers = run.predict(frame, batch_size=3, on_error=on_error)
    pd.testing.assert_index_equal(answers.index, index)
    plain = run.predict(frame.to_dict("records"), on_error=on_error)
    pd.testing.assert_index_equal(plain.index, pd.RangeIndex(4))
    pd.testing.assert_frame_equal(answers.reset_index(drop=True), plain)


def test_answers_have_the_type_of_the_labels(run, base):
    answers = run.predict(rows())
    assert answers["stars"].dtype == "int64" and answers["open"].dtype == "bool"
    assert {type(day) for day in answers["day"]} == {datetime.date}
    assert {type(tag) for tags in answers["tags"] for tag in tags} <= {int}
    bad = rows().assign(x=["many", *rows()["x"][1:].astype(str)])
    skipped = run.predict(bad, on_error="skip")
    assert skipped["stars"].dtype == "Int64" and skipped["stars"].isna().sum() == 1
    kept = pd.read_parquet(base / "run/predictions.parquet")
    truth = rows().iloc[kept["row"] - 1].reset_index(drop=True)
    for name in ("stars", "open", "day"):
        assert (kept[f"{name}_true"] == truth[name]).all() and kept[name].dtype == kept[f"{name}_true"].dtype
    assert [list(tags) for tags in kept["tags_true"]] == truth["tags"].tolist()
    assert list(run.predict(rows(), probabilities=True).filter(like="stars_p")) == [
        f"stars_probability_{n}" for n in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (pd.array([3, None], dtype="Int64"), int), ([3.0, None], float),
        ([0.5, 1.0], float), ([True, False], bool), (["a", "1"], str), (["1", "2"], str),
        ([datetime.date(2024, 2, 29)], datetime.date), (pd.to_datetime(["2024-02-29 05:00"]), pd.Timestamp),
        ([Decimal("0.5"), Decimal("2")], Decimal), (pd.Categorical([2, 1]), int),
        (np.array([0.1, 2], dtype="float32"), float), (np.array([1, 2], dtype="int8"), int),
    ],
    ids=str,
)  # fmt: skip
def test_a_label_s_name_gives_back_the_label(cells, kind):
    values = read_table(pd.DataFrame({"y": cells})).values("y")
    names = class_names({as_label(cell) for cell in values.to_pylist()} - {""})
    reader = target_reader("classification", names, kind=label_kind(values, names))
    known = [cell for cell in pd.Series(cells).tolist() if not pd.isna(cell)]
    assert {type(value) for value in reader.value_of.values()} == {kind}
    answers = reader.answers([as_label(cell) for cell in known])
    assert list(answers) == pytest.approx(known) if kind is float else list(answers) == known


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["1", "2"], 1),
        (["0.5", "2"], 0.5),
        (["01", "2"], "01"),
        (["1.0", "n"], None),
        (["2024-01-01"], "2024-01-01"),
    ],
)
def test_labels_of_a_csv_are_what_pandas_reads(tmp_path, texts, first):
    pd.DataFrame({"x": range(len(texts)), "y": texts}).to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    names = class_names({as_label(cell) for cell in table.values("y").to_pylist()})
    reader = target_reader("classification", names, kind=label_kind(table.values("y"), names, table.untyped))
    found = reader.value_of[as_label(texts[0])]
    assert first is None or (found == first and type(found) is type(first))


def test_columns_are_carried_over(run, base):
    frame = rows().assign(n=pd.array([None, *range(59)], dtype="Int64"))
    answers = run.predict(frame, keep=["id", "n"])
    assert list(answers)[:3] == ["id", "n", "stars"] and answers["id"].tolist() == frame["id"].tolist()
    assert answers["n"].dtype == "Int64" and run.predict(frame, keep="id").columns[0] == "id"
    for command in ("predict", "embed"):
        result = polymodal(command, "run", "rows.csv", "--keep", "id,zip", "-o", "a.csv", folder=base)
        assert result.status == 0 and not result.err
        written = pd.read_csv(base / "a.csv", dtype=str)
        assert written["zip"].tolist() == frame["zip"].tolist() and list(written)[:2] == ["id", "zip"]
    repeated = ["--keep", "id", "--keep", "zip", "-o", "-"]
    assert polymodal("predict", "run", "rows.csv", *repeated, folder=base).out.startswith("id,zip,")
    said = error(base, "predict", "run", "rows.csv", "--keep", "idd", "-o", "a.csv")
    assert said.startswith("rows.csv: no column 'idd' to keep. Did you mean 'id'?")
    said = error(base, "predict", "run", "rows.csv", "--keep", "day", "-o", "a.csv")
    assert said.startswith("cannot keep 'day': the answers have this column.")


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv", "jsonl", "xlsx"])
def test_predict_writes_the_format_of_the_suffix(run, base, suffix):
    result = polymodal("predict", "run", "rows.csv", "-o", f"a.{suffix}", folder=base)
    assert result.status == 0 and result.out == f"60 rows answered in a.{suffix}\n"
    table = read_table(base / f"a.{suffix}")
    answers = run.predict(rows())
    for name in ("stars", "open", "day"):
        values = [as_label(cell).lower() for cell in table.values(name).to_pylist()]
        assert values == [as_label(cell).lower() for cell in answers[name]]


def test_predict_to_standard_output_and_without_a_file(run, base):
    result = polymodal("predict", "run", "rows.csv", "-o", "-", folder=base)
    assert result.status == 0 and result.err == "60 rows answered on standard output\n"
    assert len(result.out.splitlines()) == 61 and result.out.startswith("stars,stars_confidence,")
    shown = polymodal("predict", "run", "rows.csv", "--keep", "id", folder=base)
    assert "r9" in shown.out and "r10" not in shown.out
    assert "The first 10 of 60 rows. Write all with: " in shown.out
    first = polymodal("predict", "run", "rows.csv", "--json", folder=base).json
    assert first["rows"] == 60 and len(first["answers"]) == 10
    assert {type(row["stars"]) for row in first["answers"]} == {int}
    assert polymodal("predict", "run", "rows.csv", "-o", "-", "--json", folder=base).status == 2
    assert "expected one of .parquet, .csv" in error(base, "predict", "none", "rows.csv", "-o", "a.txt")


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_the_table_that_is_read_is_never_replaced(run, base, command):
    rows().to_csv(base / "kept.csv", index=False)
    before = (base / "kept.csv").read_bytes()
    line = error(base, command, "run", "kept.csv", "-o", base / "kept.csv")
    assert "the table that is read" in line and (base / "kept.csv").read_bytes() == before


def test_numbers_in_another_format_than_training_s_are_named():
    table = read_table([{"price": f"{n},000"} for n in range(1, 30)])
    (line,) = inspect_table(table, {}, {"price": "1.234,5 €"}).warnings()
    assert "'1,000' is read as 1, by the format of training (1.234,5 €)" in line and "gives 1,000" in line
    assert not inspect_table(
        read_table([{"price": "1,5"}, {"price": "3.000,25"}]), {}, {"price": "1.234,5 €"}
    ).warnings()


UNSEEN = {
    "zeros lost": (lambda t: t.assign(zip=t["zip"].astype(int)), "values were never seen .*leading zeros"),
    "capitals": (lambda t: t.rename(columns={"zip": " ZIP"}), "no column 'zip', .*' ZIP' differs only"),
    "absent": (lambda t: t.drop(columns="x"), "no column 'x', which the run reads: missing in all 60 rows"),
    "near": (lambda t: t.rename(columns={"zip": "zips"}), "no column 'zip', .* Is 'zips' meant"),
    "empty": (lambda t: t.assign(x=None), "column 'x' is empty in all 60 rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSEEN)
def test_what_training_never_saw_and_what_is_missing_is_named(run, base, case):
    change, said = UNSEEN[case]
    frame = change(rows())
    for ask in (run.predict, run.evaluate, run.embed):
        with pytest.warns(pm.InputWarning, match=f"DataFrame: .*{said}"):
            ask(frame)
    frame.to_csv(base / "odd.csv", index=False)
    for command in ("predict -o a.csv", "embed -o a.csv", "evaluate", "explain --rows 1"):
        name, *options = command.split()
        asked = [name, "run", "odd.csv", *options, "--json"]
        result = polymodal(*asked, folder=base)
        (line,) = result.json["warnings"]
        assert result.err.splitlines()[-1] == f"warning: {line}" and line.startswith("odd.csv: ")
    counted = polymodal("predict", "run", "odd.csv", "-o", "a.csv", "--json", folder=base).json
    count = (rows()["zip"] != "90210").sum() if case == "zeros lost" else 60
    assert [*counted["missing"].values(), *(u["cells"] for u in counted["unseen"].values())] == [count]


def test_a_table_as_trained_gives_no_warning(run, base):
    with warnings.catch_warnings():
        warnings.simplefilter("error", pm.InputWarning)
        run.predict(rows())
        run.evaluate(rows())
    result = polymodal("evaluate", "run", "rows.csv", "--json", folder=base)
    assert not result.err and "warnings" not in result.json
    told = polymodal("explain", "run", "rows.csv", "--rows", "1", "-t", "stars", "--json", folder=base).json
    assert type(told["answers"][0]["answer"]) is int and not told["warnings"]


def test_a_run_of_an_older_version_answers_in_texts(run, base, tmp_path):
    run.save(tmp_path / "old")
    path = tmp_path / "old/processor_config.json"
    content = json.loads(path.read_text())
    for target in content["targets"]:
        del target["kind"]
    path.write_text(json.dumps(content))
    for file in (tmp_path / "old").glob("checksums.json"):
        file.unlink()
    old = pm.load(tmp_path / "old").predict(rows())
    assert old["stars"].tolist() == run.predict(rows())["stars"].astype(str).tolist()


def test_folds_whose_labels_differ_in_type_are_put_together():
    one = pa.table({"row": [1], "y": [1], "only": [0.5]})
    two = pa.table({"row": [2], "y": ["n"]})
    assert concat_answers([one, two]).to_pydict() == {"row": [1, 2], "y": ["1", "n"], "only": [0.5, None]}


def test_recordings_that_are_clipped_are_named(tmp_path):
    def waves(loudest):
        wave = np.sin(np.arange(800) * 0.3).astype(np.float32)
        return [{"array": loudest[n] * wave, "sampling_rate": 16000} for n in range(len(loudest))]

    frame = pd.DataFrame({"hum": waves([0.5, 0.1] * 15), "kind": ["loud", "soft"] * 15})
    run = pm.fit(frame, target="kind", output=tmp_path / "run", settings=tiny("hum"))
    loud = frame.assign(hum=waves([1.4, 1.3] + [0.5] * 28))
    with pytest.warns(pm.InputWarning) as told:
        run.predict(loud)
    (line,) = [str(warning.message) for warning in told]
    assert line == "DataFrame: column 'hum': 2 of its cells: louder than full scale, clipped at it"
    loud.to_parquet(tmp_path / "loud.parquet")
    for command in (["predict"], ["predict", "-o", "answers.csv"], ["evaluate"]):
        done = polymodal(command[0], "run", "loud.parquet", *command[1:], folder=tmp_path)
        assert done.err.count("warning: loud.parquet: column 'hum': 2 of its cells: louder") == 1, done.err


def test_large_media_are_answered_in_small_batches(fitted_houses, monkeypatch):
    run = pm.load(fitted_houses / "run")
    rows = run.rows(read_table(fitted_houses / "houses.csv"))
    whole = run.predict(rows.table)
    media = bytes_of_row(rows.processor)
    assert media >= 12 * run.processor.readers["photo"].size ** 2
    monkeypatch.setattr(answered, "MOST_BYTES", 3 * media)
    parts = list(run.predict_batches(rows.table, batch_size=8))
    assert {len(part) for part in parts[:-1]} == {3}
    pd.testing.assert_frame_equal(pd.concat(parts), whole, rtol=1e-4)
