"""Fifty typing errors and wrong calls, in Python and on the command line: one line names the right word."""

import pandas as pd
import pytest

import polymodal as pm
from tests.support.command import polymodal

ROWS = 60
FIT = ["fit", "houses.csv", "-t", "price"]
COMMANDS = [
    (["fitt", "houses.csv"], "Did you mean 'fit'?"),
    (["predct"], "Did you mean 'predict'?"),
    (["--verson"], "--version"),
    (["fit", "house.csv", "-t", "price"], "Did you mean 'houses.csv'? Looked in"),
    (["train", "houses.csv"], "No such command 'train'. Did you mean 'fit'?"),
    (["fit", "houses.csv", "--label", "price"], "No such option: --label (Possible options: --target)"),
    (["fit", "houses.csv", "price"], "such as --target COLUMN"),
    ([*FIT, "--inputs", "rooms", "area"], "several of one option have commas between"),
    (["fit", "houses.csv", "--targt", "price"], "--target"),
    (["fit", "houses.csv", "-t", "prize"], "Did you mean 'price'?"),
    (["fit", "houses.csv"], "name the column to learn with --target"),
    ([*FIT, "--inputs", "room"], "Did you mean 'rooms'?"),
    ([*FIT, "--preset", "fats"], "Did you mean 'fast'?"),
    ([*FIT, "--set", "epochs=3"], "Did you mean 'train.epochs'?"),
    ([*FIT, "--set", "train.epoch=3"], "Did you mean 'epochs'?"),
    ([*FIT, "--set", "train.epochs"], "such as train.epochs=3"),
    ([*FIT, "--set", "train.epochs=many"], "'train.epochs' is 'many'; input should be a valid number"),
    ([*FIT, "--set", "fusion.name=concta"], "Did you mean 'concat'?"),
    ([*FIT, "--set", "targets.price.task=regresion"], "Did you mean 'regression'?"),
    ([*FIT, "--set", "inputs.rooms.modality=nummer"], "'number'"),
    ([*FIT, "--set", "train.candidates=[plane]"], "Did you mean 'plain'?"),
    ([*FIT, "--sample-weight", "aera"], "Did you mean 'area'?"),
    ([*FIT, "--time-limit", "10 minuts"], "such as 90s, 10m or 1h30m"),
    ([*FIT, "--precision", "fp8"], "There are: fp32, bf16, fp16"),
    ([*FIT, "--folds", "1"], "greater than or equal to 2"),
    ([*FIT, "--from", "runs/house"], "runs/house: no such run folder"),
    ([*FIT, "--encoding", "utf9"], "such as cp1252"),
    (["fit", "bad.yaml"], "bad.yaml, line 2: unknown key 'target'. Did you mean 'targets'?"),
    (["fit", "photos", "-t", "price"], "expected a table"),
    (["predict", "runs/house", "houses.csv"], "Did you mean 'houses'?"),
    (["predict", "houses.csv", "runs/houses"], "is a file, expected the folder that a fit wrote"),
    (["evaluate", "runs/houses"], "Missing argument 'TABLE'"),
    (["embed", "runs/houses", "houses.csv"], "'--output' / '-o'"),
    (["predict", "runs/houses", "houses.csv", "-o", "x.docx"], ".parquet, .csv"),
    (["demo", "--data", "house"], "'houses'"),
    (["export", "runs/houses", "--to", "lava", "-o", "x"], "Did you mean 'llava'?"),
]
"""Arguments of the command, and the words that name what is right."""

CALLS = [
    (lambda frame: pm.fitt, "Did you mean 'fit'?"),
    (lambda frame: pm.PolymodalClasifier, "Did you mean 'PolymodalClassifier'?"),
    (lambda frame: pm.fit("house.csv", target="price"), "house.csv: there is no such file"),
    (lambda frame: pm.fit(frame), "name the column to learn with target="),
    (lambda frame: pm.fit(frame, target="prize"), "Did you mean 'price'?"),
    (lambda frame: pm.fit(frame, traget="price"), "Did you mean 'target'?"),
    (lambda frame: pm.fit(frame, target="price", inputs="room"), "Did you mean 'rooms'?"),
    (lambda frame: pm.fit(frame, target="price", preset="fats"), "Did you mean 'fast'?"),
    (lambda frame: pm.fit(frame, target="price", epoch=3), "Did you mean 'epochs'?"),
    (lambda frame: pm.fit(frame, target="price", folds=3), "pm.fit_folds take"),
    (lambda frame: pm.fit(frame, target="price", trials=3), "pm.fit_searched take"),
    (lambda frame: pm.fit(frame, target="price", settings="train.epochs=3"), "such as ['train.epochs=3']"),
    (lambda frame: pm.fit(frame, target="price", settings={"epochs": 3}), "Did you mean 'train.epochs'?"),
    (lambda frame: pm.fit(frame, target="price", settings=["train.epochs"]), '{"train.epochs": 3}'),
    (lambda frame: pm.fit(frame, target="price", settings={"train": 3}), "'train' is 3, expected a section"),
    (lambda frame: pm.fit(frame, target="price", time_limit="10 minuts"), "such as 90s, 10m"),
    (lambda frame: pm.fit(frame, target="price", start="runs/house"), "no such run folder"),
    (lambda frame: pm.fit(42, target="price"), "a int, expected a path, a DataFrame"),
    (lambda frame: pm.fit([], target="price"), "no rows"),
    (lambda frame: pm.fit_folds(frame, target="price", seeds=0), "expected at least 1"),
    (lambda frame: pm.fit_fusions(frame, target="price", fusions=["concta"]), "Did you mean 'concat'?"),
    (lambda frame: pm.pretrain(frame, objectives=["contrastiv"]), "Did you mean 'contrastive'?"),
    (lambda frame: pm.check(frame, target="prize"), "Did you mean 'price'?"),
    (lambda frame: pm.init(frame, target="prize"), "Did you mean 'price'?"),
    (lambda frame: pm.load("runs/house"), "Did you mean 'houses'?"),
    (lambda frame: pm.load("houses.csv"), "is a file, expected the folder that a fit wrote"),
    (lambda frame: pm.export("runs/house", to="llava", output="x"), "Did you mean 'houses'?"),
    (lambda frame: pm.PolymodalClassifier(preset="fats").fit(frame, frame["kind"]), "Did you mean 'fast'?"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, a folder of photos, a declaration with a wrong key, and what looks like a run."""
    folder = tmp_path_factory.mktemp("typed")
    make_frame().to_csv(folder / "houses.csv", index=False)
    (folder / "photos").mkdir()
    (folder / "runs/houses").mkdir(parents=True)
    (folder / "runs/houses/run.yaml").touch()
    (folder / "bad.yaml").write_text("data: {train: houses.csv}\ntarget: {price: {}}\n")
    return folder


def make_frame():
    numbers = range(ROWS)
    columns = {"rooms": [1 + n % 7 for n in numbers], "area": [50 + 1.5 * n for n in numbers]}
    kinds = ["flat" if n % 2 else "house" for n in numbers]
    return pd.DataFrame({**columns, "kind": kinds, "price": [100_000 + 3100 * n for n in numbers]})


def test_there_are_fifty():
    assert len(COMMANDS) + len(CALLS) >= 50


@pytest.mark.parametrize(("arguments", "right"), COMMANDS, ids=lambda value: str(value)[:50])
def test_commands(folder, arguments, right):
    result = polymodal(*arguments, folder=folder)
    assert result.status in (1, 2) and not result.out
    (line,) = [line for line in result.err.splitlines() if line.lower().startswith("error: ")]
    assert right in line and "Traceback" not in result.err


@pytest.mark.parametrize(("call", "right"), CALLS, ids=[right for _, right in CALLS])
def test_calls(folder, monkeypatch, call, right):
    monkeypatch.chdir(folder)
    with pytest.raises((pm.PolymodalError, AttributeError, TypeError, ValueError)) as refused:
        call(make_frame())
    said = str(refused.value)
    assert right in said and "\n" not in said and "--" not in said
    assert type(refused.value).__module__ in ("polymodal.errors", "builtins")
