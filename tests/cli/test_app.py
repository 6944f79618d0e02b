"""The command line on real tables: what it prints and writes, and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.support.command import error, polymodal, settings
from tests.support.tables import COLUMNS, house_rows, write_houses, write_table

HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "pandas",
    "pyarrow",
    "PIL",
    "polymodal.pipelines",
    "pydantic",
    "rich",
)
LOADED = "\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
COMMANDS = {"fitting", "insight", "listing", "pretraining", "searching", "serving", "using"}
"""Modules of commands; each is imported when its command, or the help of all, is wanted."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tables with their media, and ``runs/both``, fitted to two targets of which cells are empty."""
    folder = tmp_path_factory.mktemp("cli")
    rows = house_rows(folder)
    for number in (0, 3, 7, 20):
        rows[number]["price"] = None
    rows[5]["kind"] = None
    write_table(folder / "houses.csv", rows)
    write_houses(folder, "more.csv", rows=9, seed=1)
    fit = ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", ",".join(COLUMNS), "-o", "runs/both"]
    result = polymodal(*fit, *settings(*COLUMNS, train__epochs=2), folder=folder)
    assert result.status == 0, result.err
    (folder / "fit.out").write_text(result.out)
    (folder / "fit.err").write_text(result.err)
    return folder


def answers(folder, table, *options):
    result = polymodal("predict", "runs/both", table, "-o", "out.parquet", *options, folder=folder)
    assert result.status == 0, result.err
    return pd.read_parquet(folder / "out.parquet")


def python(*arguments, cwd=None):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120)


COMMAND = """
import sys
from polymodal.cli import main
sys.argv = ["polymodal", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    ("code", "arguments", "commands"),
    [
        ("import polymodal", [], set()),
        (COMMAND, ["--version"], set()),
        (COMMAND, ["--oops"], set()),
        (COMMAND, ["fit", "--help"], {"fitting"}),
        (COMMAND, ["fit", "--oops"], {"fitting"}),
        (COMMAND, ["runs", "--help"], {"listing"}),
        (COMMAND, ["--help"], COMMANDS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_import_load_nothing_heavy(code, arguments, commands):
    loaded = set(python("-c", code + LOADED, *arguments).stderr.split())
    assert "polymodal" in loaded
    assert not set(HEAVY) & loaded
    assert {name for name in COMMANDS if f"polymodal.cli.{name}" in loaded} == commands


def test_runs_are_listed_without_what_reads_tables(tmp_path):
    loaded = set(python("-c", COMMAND + LOADED, "runs", str(tmp_path)).stderr.split())
    assert "polymodal.artifact.run_list" in loaded
    assert not {"torch", "pandas", "pyarrow", "PIL", "av"} & loaded


def test_the_installed_command_fits_and_prints_json_alone(tmp_path):
    write_houses(tmp_path, rows=30)
    command = Path(sys.executable).with_name("polymodal")
    arguments = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "--json", "--preset", "fast"]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["run"] == os.path.join("runs", "houses")
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr


def test_the_exit_status_of_a_failure_and_of_misuse(tmp_path):
    assert polymodal("fit", "none.csv", "-t", "kind", folder=tmp_path).status == 1
    for misuse in (["fitt"], ["fit"], ["fit", "a.csv", "--nope"], ["embed", "run", "a.csv"], []):
        result = polymodal(*misuse, folder=tmp_path)
        assert result.status == 2 and "Usage:" in result.err + result.out
    assert polymodal("--version").out.strip() == __import__("polymodal").__version__


def test_check_shows_each_column_and_whether_a_fit_would_start(folder):
    result = polymodal("check", "houses.csv", "-t", "kind", folder=folder)
    assert result.status == 0 and result.out.endswith("A fit would start.\n")
    for name in (*COLUMNS, "price"):
        assert f"\n{name} " in result.out
    assert "16×16 pixels" in result.out and "0.1 s at 4000 Hz" in result.out


def test_check_as_json(folder):
    report = polymodal("check", "houses.csv", "-t", "kind", "--json", folder=folder).json
    columns = {column["column"]: column for column in report["columns"]}
    assert report["ok"] and sum(report["rows"].values()) == 40
    assert columns["photo"]["modality"] == "image" and columns["kind"]["role"] == "target"
    assert 0 < columns["photo"]["empty"] < 0.3


def test_check_fails_where_a_fit_would(folder):
    (folder / "broken.csv").write_text("photo,kind\n" + "photos/1.png,a\nnone.png,b\n" * 10)
    result = polymodal("check", "broken.csv", "-t", "kind", folder=folder)
    assert result.status == 1 and "A fit would not start: 10 problems." in result.out
    report = polymodal("check", "broken.csv", "-t", "kind", "--json", folder=folder)
    assert report.status == 1 and not report.json["ok"] and len(report.json["problems"]) == 10


def test_the_inferred_declaration_says_why_and_fits(folder):
    text = polymodal("init", "houses.csv", "--target", "kind", folder=folder).out
    assert "photo: {modality: image}  # " in text and "cells end in .png" in text
    assert yaml.safe_load(text)["targets"] == {"kind": {"task": "classification"}}
    (folder / "run.yaml").write_text(text)
    result = polymodal("fit", "run.yaml", "-o", "runs/inferred", *settings("photo", "voice"), folder=folder)
    assert result.status == 0, result.err
    declared = yaml.safe_load((folder / "runs/inferred/run.yaml").read_text())
    assert list(declared["inputs"]) == [*COLUMNS, "price"]


def test_the_inferred_declaration_keeps_how_the_table_is_read(folder, tmp_path):
    frame = pd.read_csv(folder / "houses.csv")
    frame.to_csv(tmp_path / "houses.csv", sep="!", index=False, encoding="utf-16")
    options = ["--sep", "!", "--encoding", "utf-16", "--root", folder, "--set", "data.missing=[none]"]
    text = polymodal("init", "houses.csv", "-t", "kind", *options, folder=tmp_path).out
    (tmp_path / "run.yaml").write_text(text)
    read = {"sep": "!", "encoding": "utf-16", "root": str(folder), "missing": ["none"]}
    assert yaml.safe_load(text)["data"].items() >= read.items()
    assert polymodal("check", "run.yaml", folder=tmp_path).status == 0
    assert "'data' is 3, expected a section" in error(tmp_path, "init", "houses.csv", "--set", "data=3")


def test_a_declaration_names_its_table_from_where_it_lies(folder, tmp_path):
    text = "data: {train: houses.csv}\ninputs: {bedrooms: {modality: number}}\ntargets: {kind: {}}\n"
    (folder / "short.yaml").write_text(text)
    result = polymodal("fit", folder / "short.yaml", "-o", "run", *settings(), folder=tmp_path)
    assert result.status == 0, result.err


def test_fit_shows_metrics_and_what_to_do_next(folder):
    out, err = (folder / "fit.out").read_text(), (folder / "fit.err").read_text()
    assert "4 test rows: kind" in out and "balanced_accuracy" in out and "spearman" in out
    assert "polymodal predict runs/both TABLE -o answers.parquet" in out
    assert (
        err.startswith("device      cpu")
        and "\nepoch 1/2: loss " in err
        and "epoch" not in out.replace("epochs", "").replace("best epoch", "")
    )


def test_the_run_folder_holds_what_is_promised_and_no_pickle(folder):
    run = folder / "runs/both"
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert {"config.json", "model.safetensors", "processor_config.json", "run.yaml", "metrics.json",
            "predictions.parquet"} <= names  # fmt: skip
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    assert not (run / "checkpoints").exists()


def test_metrics_json(folder):
    metrics = json.loads((folder / "runs/both/metrics.json").read_text())
    assert metrics["rows"] == {"train": 32, "validation": 4, "test": 4}
    assert set(metrics["test"]) == {"kind", "price"}
    assert 0 <= metrics["test"]["kind"]["accuracy"] <= 1 and metrics["test"]["price"]["mae"] > 0
    assert metrics["train"]["seconds"] > 0 and metrics["train"]["rows_per_second"] > 0
    assert metrics["validation"]["epoch"] in (1, 2)


def test_run_yaml_has_every_default_written_out_and_fits_again(folder):
    declared = yaml.safe_load((folder / "runs/both/run.yaml").read_text())
    assert declared["train"]["weight_decay"] == 0.05 and declared["inputs"]["photo"]["augment"] is True
    result = polymodal("fit", "runs/both/run.yaml", "-o", "runs/again", folder=folder)
    assert result.status == 0, result.err
    same = [(folder / run / "model.safetensors").read_bytes() for run in ("runs/both", "runs/again")]
    assert same[0] == same[1]


def test_the_test_rows_answers_are_kept(folder):
    kept = pd.read_parquet(folder / "runs/both/predictions.parquet")
    table = pd.read_csv(folder / "houses.csv")
    assert len(kept) == 4
    assert kept["kind_true"].tolist() == table["kind"].iloc[kept["row"] - 1].tolist()
    assert kept[["kind_probability_flat", "kind_probability_house"]].sum(axis=1).tolist() == pytest.approx(
        [1] * 4
    )
    again = answers(folder, "houses.csv").iloc[kept["row"] - 1]
    assert again["kind"].tolist() == kept["kind"].tolist()
    assert again["price"].tolist() == pytest.approx(kept["price"].tolist(), rel=1e-4)


def test_evaluate(folder):
    shown = polymodal("evaluate", "runs/both", "more.csv", folder=folder)
    assert shown.status == 0 and "runs/both on more.csv: kind" in shown.out
    measured = polymodal("evaluate", "runs/both", "more.csv", "--json", folder=folder).json
    predicted, truth = answers(folder, "more.csv"), pd.read_csv(folder / "more.csv")
    assert measured["kind"]["accuracy"] == pytest.approx((predicted["kind"] == truth["kind"]).mean())
    assert measured["price"]["mae"] == pytest.approx(
        (predicted["price"] - truth["price"]).abs().mean(), rel=1e-4
    )


def test_answers_stand_in_the_order_of_the_rows(folder):
    frame = pd.read_csv(folder / "more.csv")
    frame.iloc[::-1].to_csv(folder / "reversed.csv", index=False)
    forth, back = answers(folder, "more.csv"), answers(folder, "reversed.csv", "--batch-size", "2")
    np.testing.assert_allclose(back["price"].iloc[::-1], forth["price"], rtol=1e-4)
    np.testing.assert_allclose(back["kind_confidence"].iloc[::-1], forth["kind_confidence"], rtol=1e-4)
    assert back["missing"].tolist()[::-1] == forth["missing"].tolist()


def test_columns_and_cells_that_are_missing_are_answered_and_named(folder):
    frame = pd.read_csv(folder / "more.csv")[["bedrooms", "note"]]
    frame.loc[0, ["bedrooms", "note"]] = None
    frame.to_csv(folder / "few.csv", index=False)
    said = answers(folder, "few.csv")
    assert said.loc[0, "missing"] == ", ".join(COLUMNS) and said["no_input"].tolist() == [True] + [False] * 8
    assert all(name in said.loc[1, "missing"] for name in ("photo", "voice", "district"))
    assert said["kind"].notna().all() and np.isfinite(said["price"]).all()


def test_a_category_that_training_never_saw_is_answered(folder):
    pd.read_csv(folder / "more.csv").assign(district="moon").to_csv(folder / "moon.csv", index=False)
    assert len(answers(folder, "moon.csv")) == 9


def test_probabilities_on_demand(folder):
    columns = answers(folder, "more.csv", "--probabilities").columns
    assert {"kind_probability_flat", "kind_probability_house"} <= set(columns)
    assert list(answers(folder, "more.csv").columns) == [
        "kind",
        "kind_confidence",
        "price",
        "missing",
        "no_input",
    ]


def test_predict_and_embed_as_json(folder):
    for command in ("predict", "embed"):
        result = polymodal(command, "runs/both", "more.csv", "-o", "a.parquet", "--json", folder=folder)
        counts = {"missing": {"voice": 1, "bedrooms": 4, "district": 1}, "unseen": {}, "warnings": []}
        assert result.status == 0 and result.json == {"output": "a.parquet", "rows": 9, **counts}


def test_embed_gives_the_fused_vector_or_one_input_s(folder):
    frame = pd.read_csv(folder / "more.csv")
    for options in ([], ["--input", "photo"]):
        polymodal("embed", "runs/both", "more.csv", "-o", "e.parquet", *options, folder=folder)
        vectors = np.stack(pd.read_parquet(folder / "e.parquet")["embedding"])
        assert vectors.shape == (9, 16)
    assert np.isnan(vectors).all(axis=1).tolist() == frame["photo"].isna().tolist()


def test_a_failed_prediction_leaves_the_old_answers_alone(folder):
    answers(folder, "more.csv")
    before = (folder / "out.parquet").read_bytes()
    pd.read_csv(folder / "more.csv").assign(bedrooms="many").to_csv(folder / "words.csv", index=False)
    assert polymodal("predict", "runs/both", "words.csv", "-o", "out.parquet", folder=folder).status == 1
    assert (folder / "out.parquet").read_bytes() == before
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


def test_a_setting_of_one_input_leaves_the_others_in(folder):
    result = polymodal("fit", "houses.csv", "-t", "kind", "-o", "runs/set", "--json",
                       *settings("photo", "voice", train__seed=5), folder=folder)  # fmt: skip
    assert result.status == 0, result.err
    declared = yaml.safe_load((folder / "runs/set/run.yaml").read_text())
    assert list(declared["inputs"]) == [*COLUMNS, "price"]
    assert declared["inputs"]["photo"]["size"] == 16 and declared["train"]["seed"] == 5
