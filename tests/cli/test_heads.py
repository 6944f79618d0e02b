"""Several labels, thresholds, intervals and learned weights through the command line, from fit to answers."""

from __future__ import annotations

import json
import math
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch

import polymodal as pm
from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.command import error, polymodal, settings
from tests.support.tables import house_rows, write_table

INPUTS = "bedrooms,district,note"
TARGETS = ["-t", "tags", "-t", "price", "-t", "kind"]
NAMES = ["kind", "price", "tags"]
"""The order of the declaration: settings come before ``-t``."""
MARKS = ["train"] * 40 + ["val"] * 16 + ["test"] * 12


def rows_with_tags(folder, rows: int = 68, seed: int = 0):
    """Houses with what they offer, ``|`` between: of the first rows one is unknown, one has nothing."""
    random = np.random.default_rng(seed)
    table = house_rows(folder, rows, seed)
    for number, row in enumerate(table):
        offers = ["garden", "garage"] if row["kind"] == "house" else ["lift"]
        said = [tag for tag in [*offers, "cellar"] if random.random() < 0.7]
        row["tags"] = None if number == 1 else "|".join(said) or "[]"
    table[2]["tags"] = "[]"
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``houses.csv``, ``more.csv`` and ``run``: labels, an amount and a class, their weights learned."""
    folder = tmp_path_factory.mktemp("heads")
    rows = rows_with_tags(folder)
    table = [row | {"split": mark} for row, mark in zip(rows, MARKS, strict=True)]
    write_table(folder / "houses.csv", table)
    write_table(folder / "more.csv", rows_with_tags(folder, 24, seed=1))
    chosen = settings(
        train__weighting="uncertainty", train__epochs=6, targets__kind__thresholds="validation",
        targets__price__transform="log", targets__tags__class_weights="balanced",
    )  # fmt: skip
    result = polymodal("fit", "houses.csv", *TARGETS, "-i", INPUTS, "-o", "run", *chosen, folder=folder)
    assert result.status == 0, result.err
    return folder


@pytest.fixture(scope="module")
def metrics(folder):
    return json.loads((folder / "run/metrics.json").read_text())


@pytest.fixture(scope="module")
def answers(folder):
    result = polymodal(
        "predict", "run", "more.csv", "-o", "answers.parquet", "--probabilities", folder=folder
    )
    assert result.status == 0, result.err
    return pd.read_parquet(folder / "answers.parquet")


def test_every_task_is_measured_by_its_metrics(metrics):
    assert list(metrics["test"]) == NAMES
    assert {"map", "macro_f1", "micro_f1", "exact_match", "hamming_loss"} <= set(metrics["test"]["tags"])
    assert {"rmse", "coverage", "interval_width"} <= set(metrics["test"]["price"])
    assert {"accuracy", "macro_f1"} <= set(metrics["test"]["kind"])


def test_what_was_chosen_on_the_validation_rows_is_told(folder, metrics):
    chosen, model = metrics["calibration"], pm.load(folder / "run").model
    assert list(chosen) == NAMES
    assert chosen["price"]["interval"] == 0.9 and chosen["price"]["rows"] == 16
    assert chosen["price"]["half_width"] == model.head("price").half_width > 0
    assert list(chosen["tags"]["thresholds"]) == ["cellar", "garage", "garden", "lift"]
    assert list(chosen["tags"]["thresholds"].values()) == model.head("tags").thresholds
    assert list(chosen["kind"]["thresholds"].values()) == model.head("kind").thresholds
    assert chosen["kind"]["metric"] == "macro_f1" and sum(model.head("kind").thresholds) == pytest.approx(1)
    assert len({0.5, *model.head("tags").thresholds}) >= 3


def test_weights_are_logged_by_name_and_kept(folder, metrics):
    evaluations = [entry for entry in metrics["history"] if "eval_selection" in entry]
    first, last = evaluations[0], evaluations[-1]
    assert first["eval_kind.weight"] != last["eval_kind.weight"]
    model = pm.load(folder / "run").model
    learned = model.weighting.learned()
    assert list(learned) == NAMES
    assert metrics["validation"]["kind.weight"] == pytest.approx(learned["kind"])
    # A loss is weighed by half over its variance, or one; both began at a variance of one.
    assert learned["price"] == pytest.approx(0.5 * math.exp(-model.weighting.log_variance[1].item()))
    for entry in evaluations:  # the choice of the epoch knows nothing of them
        losses = [entry[f"eval_{name}.loss"] for name in learned]
        assert entry["eval_selection"] == pytest.approx(-sum(losses), rel=1e-5)


def test_labels_are_answered_as_lists(answers):
    names = ["cellar", "garage", "garden", "lift"]
    probabilities = answers[[f"tags_probability_{name}" for name in names]].to_numpy()
    for row, said in enumerate(answers["tags"]):
        places = [names.index(name) for name in said]
        assert places == sorted(places)
        np.testing.assert_allclose(answers["tags_confidence"][row], probabilities[row, places])
    assert any(len(said) > 1 for said in answers["tags"])


def test_numbers_are_answered_with_their_interval(answers, metrics):
    assert (answers["price_low"] < answers["price"]).all() and (
        answers["price"] < answers["price_high"]
    ).all()
    ratio = np.log1p(answers["price_high"]) - np.log1p(answers["price"])
    np.testing.assert_allclose(ratio, metrics["calibration"]["price"]["half_width"], rtol=1e-3)


def test_what_is_loaded_measures_and_answers_the_same(folder, metrics):
    rows = pd.read_csv(folder / "houses.csv")[-12:]
    rows.to_csv(folder / "test.csv", index=False)
    result = polymodal("evaluate", "run", "test.csv", "--json", folder=folder)
    assert result.status == 0, result.err
    for name, measured in metrics["test"].items():
        assert result.json[name] == pytest.approx(measured, rel=1e-4), name


def test_rows_of_unknown_labels_are_not_measured(folder):
    rows = rows_with_tags(folder, 24, seed=1)
    run = pm.load(folder / "run")
    half = [row | {"tags": None} if number % 2 else row for number, row in enumerate(rows)]
    assert run.evaluate(half)["tags"] == pytest.approx(run.evaluate(rows[::2])["tags"], rel=1e-4)
    as_lists = [row | {"tags": row["tags"] and row["tags"].strip("[]").split("|")} for row in rows]
    assert run.evaluate(as_lists) == run.evaluate(rows)


def test_a_batch_without_a_label_may_come_first(folder):
    run = pm.load(folder / "run")
    head = run.model.head("tags")
    probabilities = run.predict(folder / "more.csv", probabilities=True).filter(like="tags_probability")
    head.thresholds = [float(np.nextafter(probabilities.to_numpy()[0].max(), 1, dtype=np.float32)) + 1e-6] * 4
    run.save(folder / "silent")
    fewer = ["predict", "silent", "more.csv", "-o", "silent.parquet", "--batch-size", "1"]
    result = polymodal(*fewer, folder=folder)
    assert result.status == 0, result.err
    said = pd.read_parquet(folder / "silent.parquet")["tags"]
    assert len(said[0]) == 0 and any(len(labels) for labels in said)


def test_init_and_check_say_what_the_labels_are(folder):
    result = polymodal("init", "houses.csv", "-t", "tags", "-i", INPUTS, folder=folder)
    line = "tags: {task: multilabel, separator: '|', thresholds: validation}  # labels with '|' between them"
    assert line in result.out
    result = polymodal("check", "houses.csv", *TARGETS, "-i", INPUTS, "--json", folder=folder)
    tags = next(column for column in result.json["columns"] if column["column"] == "tags")
    assert tags["modality"] == "multilabel" and "4 labels, " in tags["detail"]


def test_too_few_validation_rows_give_no_interval_and_a_warning(folder, tmp_path):
    rows = rows_with_tags(tmp_path, 40)
    write_table(tmp_path / "few.csv", rows)
    fit = ["fit", "few.csv", "-t", "price", "-t", "tags", "-i", INPUTS, "-o", "run", *settings()]
    result = polymodal(*fit, folder=tmp_path)
    assert result.status == 0, result.err
    found = "no interval: 4 validation rows have an answer, and 90% needs 9 or more"
    cure = "Give more rows for validation, or set targets.price.interval to null."
    told = [line for line in result.err.splitlines() if "no interval" in line]
    assert told == [f"warning: few.csv, column 'price': {found}. {cure}"]
    written = json.loads((tmp_path / "run/metrics.json").read_text())
    assert told[0].removeprefix("warning: ") in written["warnings"]
    assert any("the threshold stays 0.5 for" in line for line in written["warnings"])
    assert written["calibration"]["price"] == {"interval": 0.9, "half_width": None, "rows": 4}
    said = pm.load(tmp_path / "run").predict([{"bedrooms": 3}])
    assert "price_low" not in said and "coverage" not in written["test"]["price"]


def test_thresholds_and_intervals_may_be_left_out(folder, tmp_path):
    write_table(tmp_path / "t.csv", rows_with_tags(tmp_path, 40))
    off = settings(
        targets__tags__thresholds=0.3, targets__tags__temperature="false", targets__price__interval="null"
    )
    fit = ["fit", "t.csv", "-t", "price", "-t", "tags", "-i", INPUTS, "-o", "run", *off, "--json"]
    result = polymodal(*fit, folder=tmp_path)
    assert result.status == 0, result.err
    assert result.json["calibration"] == {} and not [w for w in result.json["warnings"] if "interval" in w]
    assert pm.load(tmp_path / "run").model.head("tags").thresholds == [0.3] * 4


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_to_the_same_weights_and_thresholds(folder, tmp_path):
    learned = settings(train__weighting="uncertainty", train__epochs=3)
    fit = ["fit", str(folder / "houses.csv"), *TARGETS, "-i", INPUTS, *learned]
    assert polymodal(*fit, "-o", "whole", folder=tmp_path).status == 0

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 4:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        assert polymodal(*fit, "-o", "broken", folder=tmp_path).status == 130
    resumed = polymodal(*fit, "-o", "broken", "--resume", folder=tmp_path)
    assert resumed.status == 0 and "epoch 1/3" not in resumed.err
    a, b = (pm.load(tmp_path / name).model for name in ("whole", "broken"))
    assert all(torch.equal(a.state_dict()[name], value) for name, value in b.state_dict().items())
    assert a.config.heads == b.config.heads and a.weighting.learned()["kind"] != 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("targets: {tags: {task: multilabel, separator: '/'}}", "line 1: 'targets.tags.separator' is '/'; i"),
        ("targets: {tags: {thresholds: many}}", "line 1: 'targets.tags.thresholds': is 'many', expected 'va"),
        ("targets: {tags: {thresholds: 0}}", "line 1: 'targets.tags.thresholds': is 0, expected 'validation"),
        ("targets: {tags: {label_smoothing: 0.1}}", "line 1: 'targets.tags': 'label_smoothing' is no settin"),
        ("targets: {tags: {interval: 0.8}}", "line 1: 'targets.tags': 'interval' is no setting of a multila"),
        ("targets: {kind: {thresholds: 0.3}}", "line 1: 'targets.kind': 'thresholds' of a classification is"),
        ("targets: {kind: {separator: ','}}", "line 1: 'targets.kind': 'separator' is no setting of a class"),
        ("targets: {price: {interval: 1}}", "line 1: 'targets.price.interval' is 1; input should be less th"),
        ("targets: {price: {thresholds: validation}}", "line 1: 'targets.price': 'thresholds' is no setting"),
        ("targets: {tags: {}}\ntrain: {metric: rmse}", "line 2: train.metric: 'rmse' does not measure multi"),
        ("targets: {kind: {}}\ntrain: {weighting: learned}", "line 2: 'train.weighting' is 'learned'; input"),
        ("targets: {kind: {}}\ntrain: {weighting: uncertainty}", "line 2: 'train.weighting' weighs targets"),
        (
            "targets: {kind: {weight: 2}, price: {}}\ntrain: {weighting: uncertainty}",
            "line 2: 'targets.kind' has the fixed weight 2, and weighting 'uncertainty' learns it. Leave one",
        ),
    ],
)  # fmt: skip
def test_a_declaration_that_is_wrong_is_told_with_its_line(folder, text, message):
    (folder / "wrong.yaml").write_text(f"{text}\ndata: {{train: houses.csv}}\n")
    assert error(folder, "fit", "wrong.yaml", "-o", "other").startswith(f"wrong.yaml, {message}")


def test_bad_labels_are_named_with_row_and_column(folder, tmp_path):
    rows = rows_with_tags(tmp_path, 40)
    rows[4]["tags"] = '["garden", "lift'
    write_table(tmp_path / "t.csv", rows)
    line = error(tmp_path, "fit", "t.csv", "-t", "tags", "-i", INPUTS, "-o", "run")
    assert line.startswith("""t.csv, row 5, column 'tags': '["garden", "lift', expected labels, such as""")
    rows[4]["tags"] = "garden|castle"
    write_table(tmp_path / "t.csv", rows)
    line = error(folder, "evaluate", "run", tmp_path / "t.csv")
    assert (
        "row 5, column 'tags': the class 'castle', expected one that training saw (cellar, garage, " in line
    )


def test_a_label_that_training_never_saw(folder, tmp_path):
    rows = pd.read_csv(folder / "houses.csv")
    rows.loc[50, "tags"] = "garden|castle"
    rows.to_csv(tmp_path / "t.csv", index=False)
    line = error(tmp_path, "fit", "t.csv", "-t", "tags", "-i", INPUTS, "-o", "run")
    found = "classes that training never saw: 'castle' (1 of 16 validation rows)"
    assert line == (f"t.csv, row 51, column 'tags': {found}. They cannot be answered rightly: "
                    "add training rows of them, or leave these rows out.")  # fmt: skip


def test_a_column_of_the_answers_is_no_target(folder, tmp_path):
    rows = [row | {"price_low": row["price"]} for row in rows_with_tags(tmp_path, 40)]
    write_table(tmp_path / "t.csv", rows)
    line = error(tmp_path, "fit", "t.csv", "-t", "price", "-t", "price_low", "-i", INPUTS, "-o", "run")
    assert line == "'price_low' cannot be a target: a column of the answers has that name. Rename the column"
