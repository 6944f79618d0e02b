"""A stopped fit goes on with the same data or not at all."""

import json
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from polymodal.training.calibrate import calibrate
from polymodal.training.fingerprint import FILE, what_changed
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses, write_picture
from tests.support.talks import language_options

FIT = ["fit", "houses.csv", "-t", "kind", "-i", "photo,bedrooms", *settings("photo"), "-o", "run"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A table, and a fit that was stopped behind its last checkpoint."""
    folder = tmp_path_factory.mktemp("begun")
    write_houses(folder)
    with mock.patch("polymodal.training.prediction_training.calibrate", side_effect=KeyboardInterrupt):
        assert polymodal(*FIT, folder=folder).status == 130
    return folder


def change(folder, what):
    table = pd.read_csv(folder / "houses.csv")
    if what == "order":
        table = table.sample(frac=1, random_state=1)
    elif what == "label":
        table.loc[5, "kind"] = "flat" if table.loc[5, "kind"] == "house" else "house"
    elif what == "row":
        table = pd.concat([table, table.tail(5)])
    elif what == "file":
        write_picture(folder / table["photo"].dropna().iloc[3], 0.99, np.random.default_rng(9))
    elif what == "unread column":
        table["id"] = "x"
    table.convert_dtypes().to_csv(folder / "houses.csv", index=False)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("order", "the rows are in another order"),
        ("label", "cells of 'kind'"),
        ("row", "rows, 32 before"),
        ("file", "the content of files or cells of 'photo'"),
    ],
)
def test_other_data_are_refused(begun, tmp_path, what, said):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    change(tmp_path, what)
    line = error(tmp_path, *FIT, "--resume")
    assert line.startswith("run: its data have changed since it was begun: ") and said in line


@pytest.mark.parametrize("what", ["nothing", "unread column", "no digests"])
def test_the_same_data_go_on(begun, tmp_path, what):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    change(tmp_path, what)
    if what == "no digests":  # as an earlier version left it
        (tmp_path / "run/checkpoints" / FILE).unlink()
    result = polymodal(*FIT, "--resume", folder=tmp_path)
    assert result.status == 0, result.err
    assert ("keeps no digests" in result.err) == (what == "no digests")


def test_conversations_and_classes_are_compared_too(tmp_path):
    write_houses(tmp_path, rows=24)
    ask = ["--prompt", "{photo} {note}: flat or house?", "--answer", "{kind}", "-o", "run"]
    fit = ["fit", "houses.csv", *ask, "--set", "inputs.photo.size=16", *language_options(train__epochs=1)]
    with mock.patch("polymodal.pipelines.language_fit.LanguageFit.finish", side_effect=KeyboardInterrupt):
        assert polymodal(*fit, folder=tmp_path).status == 130
    change(tmp_path, "file")
    assert "have changed since it was begun: the content of files" in error(tmp_path, *fit, "--resume")
    known = {"rows": {"train": 3}, "columns": {}, "made": {"kind": "1"}}
    assert what_changed(known, json.loads(json.dumps(known))) == ""
    assert "'kind' are in another order" in what_changed(known, known | {"made": {"kind": "2"}})


def test_folds_are_not_resumed_on_other_rows(tmp_path):
    write_houses(tmp_path, rows=30)
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "--folds", "2", *settings(), "-o", "folds"]
    calls: list[int] = []

    def stop_at_second(*given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return calibrate(*given, **named)

    with mock.patch("polymodal.training.prediction_training.calibrate", stop_at_second):
        assert polymodal(*fit, folder=tmp_path).status == 130
    change(tmp_path, "order")
    assert "the rows are in another order" in error(tmp_path, *fit, "--resume")
