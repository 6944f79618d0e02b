"""``--labels``: a fit that learns from a part of the labels."""

import pandas as pd
import pytest
import yaml

from polymodal.training.declaration.labelled import few_answers, few_labels
from polymodal.training.opening import open_job
from polymodal.training.request import FitRequest
from tests.support.command import error, polymodal, settings


@pytest.fixture
def folder(houses_and_run):
    return houses_and_run


def test_labels_are_a_balanced_part_of_the_training_rows(folder):
    words = ["-t", "kind", "-i", "note", "--labels", "8", "-o", "few", "--json", *settings()]
    result = polymodal("fit", "houses.csv", *words, folder=folder)
    assert result.status == 0, result.err
    assert result.json["rows"] == {"train": 8, "validation": 4, "test": 4}
    assert "data.labels is 8: 8 labels of 'kind' are learned from" in result.json["notes"]
    written = yaml.safe_load((folder / "few/run.yaml").read_text())
    assert written["data"]["labels"] == 8
    counts = []
    for labels in (8, 0.5, 16):
        job = open_job(
            FitRequest(folder / "houses.csv", targets=["kind", "price"], settings=[f"data.labels={labels}"])
        )
        train = job.splits["train"]
        counts.append({*job.numbers["train"].tolist()})
        kinds = train.values("kind").to_pylist()
        assert kinds.count("flat") == kinds.count("house") == len(train) / 2
    assert counts[0] < counts[1] == counts[2] and len(counts[2]) == 16


def test_numbers_and_lists_of_labels_are_chosen_too(folder):
    rows = pd.read_csv(folder / "houses.csv")
    rows["offers"] = ["lift|garden" if number % 2 else "lift" for number in range(len(rows))]
    for target, task in (("price", "regression"), ("offers", "multilabel")):
        given = ["data.labels=10", f"targets.{target}.task={task}"]
        job = open_job(FitRequest(rows, targets=[target], inputs=["note"], settings=given))
        assert len(job.splits["train"]) == 10, target


def test_the_answers_of_the_others_may_be_emptied_instead(folder):
    job = open_job(FitRequest(folder / "houses.csv", targets=["kind", "price"], inputs=["note"]))
    data = job.declaration.data.model_copy(update={"labels": 6})
    declaration = job.declaration.model_copy(update={"data": data})
    emptied = few_answers(job.splits, declaration)["train"]
    kept = few_labels(job.splits, declaration)["train"]
    whole = job.splits["train"]
    assert len(emptied) == len(whole) and emptied.values("note").equals(whole.values("note"))
    for name in ("kind", "price"):
        cells = emptied.values(name).to_pylist()
        known = [place for place, cell in enumerate(cells) if cell is not None]
        assert [cells[place] for place in known] == kept.values(name).to_pylist()
        assert emptied.places[known].tolist() == kept.places.tolist()


def test_labels_that_cannot_be_are_refused(folder):
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "note", "-o", "few", "--labels"]
    expected = "expected a whole number of rows, or a share between 0 and 1"
    for given, found in (("0", "0"), ("1.5", "1.5"), ("many", "'many'"), ("-3", "-3")):
        assert error(folder, *fit, given) == f"'data.labels': is {found}, {expected}"
    said = "1 labels are fewer than one for each of the 2 classes. Give 2 or more"
    assert error(folder, *fit, "1") == said
    result = polymodal(*fit, "500", *settings(), "--json", folder=folder)
    assert "data.labels is 500: all 32 labels of 'kind' are learned from" in result.json["notes"]
