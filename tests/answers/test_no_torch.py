"""Runs of plain models predict and are measured in a process where importing torch fails."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import polymodal as pm
from polymodal.answers.batches import answer_frame
from polymodal.data.tables.table import read_table
from polymodal.models.inference import ModelAnswers

REFUSED = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise AssertionError(f"{name} is imported")
sys.meta_path.insert(0, Refused())
"""
RUN = """
import json
from polymodal.cli.app import main
from polymodal.plain.learners import boosting, forest
boosting.WORK, forest.TREES = 0, 10  # the shortest searches
for words in json.loads(sys.argv[1]):
    sys.argv = ["polymodal", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code
"""
WORDS = ["fine", "good", "poor", "old", "new", "loud"]


def table(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    size, kind = random.uniform(20, 200, rows).round(1), random.choice(["flat", "house"], rows)
    note = [" ".join(random.choice(WORDS, 4)) for _ in range(rows)]
    built = pd.Timestamp("2001-01-01") + pd.to_timedelta(random.integers(0, 9000, rows), unit="D")
    price = 20 * size * (1 + (kind == "house")) * random.lognormal(0, 0.1, rows)
    frame = pd.DataFrame({
        "size": size, "kind": kind, "note": note, "built": built.strftime("%Y-%m-%d"),
        "price": price.round(), "cheap": np.where(price < 2000, "yes", "no"),
    })  # fmt: skip
    frame.loc[:5, "note"] = None
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table and a run of plain models, which was fitted without torch."""
    place = tmp_path_factory.mktemp("plain")
    table(120).to_csv(place / "homes.csv", index=False)
    fit = ["fit", "homes.csv", "-t", "price", "-t", "cheap", "--preset", "fast", "-o", "run"]
    commands(place, [*fit, "--set", "report.write=false"])
    return place


def without_torch(folder, code: str, *words: str) -> str:
    made = subprocess.run(
        [sys.executable, "-c", REFUSED + code, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


def commands(folder, *each: list[str]) -> str:
    """What commands print, one after another in one process."""
    return without_torch(folder, RUN, json.dumps(each))


def test_the_commands_fit_predict_and_evaluate_need_no_torch(folder):
    predict = ["predict", "run", "homes.csv"]
    measure = ["evaluate", "run", "homes.csv", "--json"]
    *said, measured = commands(folder, [*predict, "-o", "answers.parquet"], predict, measure).splitlines()
    assert any("yes" in line for line in said)
    assert json.loads(measured)["cheap"]["accuracy"] > 0.5
    kept = pd.read_parquet(folder / "run" / "predictions.parquet").set_index("row")
    answers = pd.read_parquet(folder / "answers.parquet").set_axis(range(1, 121)).loc[kept.index]
    for name in ("price", "price_low", "price_high", "cheap_confidence"):
        np.testing.assert_array_equal(answers[name], kept[name])
    assert list(answers["cheap"]) == list(kept["cheap"])


def test_a_loaded_run_answers_as_its_blend_of_tensors_does(folder):
    code = (
        "import polymodal as pm\nrun = pm.load('run')\n"
        "run.predict('homes.csv', probabilities=True).to_parquet('own.parquet')\n"
        "print(run.targets, run.evaluate('homes.csv')['price']['r2'] > 0)"
    )
    assert without_torch(folder, code) == "['price', 'cheap'] True\n"
    run, own = pm.load(folder / "run"), pd.read_parquet(folder / "own.parquet")
    assert run.plain is not None and run.parameters == 0
    blended, rows = ModelAnswers(run.model), run.rows(read_table(folder / "homes.csv"))
    rows.processor = run.processor
    (batch,) = blended.batches(rows, 128)
    again = answer_frame(blended, batch, probabilities=True, targets=run.reading.targets)
    assert list(again) == list(own) and again["missing"].tolist() == own["missing"].tolist()
    for name in again.select_dtypes("floating"):
        np.testing.assert_allclose(again[name], own[name], rtol=1e-6)


def test_a_run_of_plain_models_is_saved_again(folder, tmp_path):
    pm.load(folder / "run").save(tmp_path / "copy")
    first, again = (
        pm.load(path).predict(folder / "homes.csv") for path in (folder / "run", tmp_path / "copy")
    )
    pd.testing.assert_frame_equal(first, again)
