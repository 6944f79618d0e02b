"""Labels without training: planted truth is found, prompts are averaged, and every refusal is one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

import polymodal as pm
from polymodal.embedding_eval.probe_table import Reading
from polymodal.embedding_eval.zero_shot import class_vectors
from polymodal.errors import DataError, RunError
from tests.support.planted import plant, write_pairs

KINDS = ("castle", "house", "tower")
WAYS = dict(zip(KINDS, np.eye(4), strict=False))


@pytest.fixture
def run(fitted_houses):
    return pm.load(fitted_houses / "run")


@pytest.fixture
def kinds(folder):
    """``pairs.csv`` with a column ``sort`` of three classes, and one cell of it empty."""
    sorts = [KINDS[number % 3] for number in range(40)]
    return write_pairs(folder, sort=[*sorts[:39], ""])


def by_kind(noise: float = 0.0, wrong: int = 0):
    """A photo lies at its row's kind, the first ``wrong`` ones at the next; a text at the kind it names."""

    def vector(name, cell):
        if name == "photo":
            number = int(cell.split("/")[1].split(".")[0])
            random = np.random.default_rng(number).normal(size=4)
            return WAYS[KINDS[(number + (number < wrong)) % 3]] + noise * random
        named = [way for kind, way in WAYS.items() if kind in cell]
        return (named[0] if named else np.zeros(4)) + 0.3 * len(cell) * np.eye(4)[3]

    return vector


def test_rows_are_labelled_by_the_nearest_name(run, kinds, monkeypatch):
    plant(monkeypatch, by_kind(noise=0.1), 4)
    found = run.zero_shot(kinds, "sort", prompts=["a {}", "the photo of a {}"])
    assert found["metrics"]["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["classes"] == [*KINDS] and found["chance"] == pytest.approx(1 / 3)
    assert found["majority"] == {"class": "castle", "accuracy": pytest.approx(13 / 39)}
    assert found["prompt_input"] == "note" and found["inputs"] == ["photo", "bedrooms"]
    assert found["rows"] == 39 and found["left_out"]["no_answer"] == 1


def test_mistakes_are_measured_as_scikit_learn_does(run, kinds, monkeypatch):
    plant(monkeypatch, by_kind(wrong=11), 4)
    true = np.arange(39) % 3
    said = np.where(np.arange(39) < 11, (true + 1) % 3, true)
    metrics = {name: entry["value"] for name, entry in run.zero_shot(kinds, "sort")["metrics"].items()}
    assert metrics == pytest.approx({
        "accuracy": 28 / 39, "balanced_accuracy": balanced_accuracy_score(true, said),
        "macro_f1": f1_score(true, said, average="macro"),
    })  # fmt: skip


def test_without_knowledge_it_is_chance(run, kinds, monkeypatch):
    plant(monkeypatch, by_kind(noise=50), 4)
    entry = run.zero_shot(kinds, "sort")["metrics"]["accuracy"]
    assert entry["low"] <= 1 / 3 <= entry["high"]


def test_prompts_are_averaged_as_unit_vectors(run, monkeypatch):
    plant(monkeypatch, by_kind(), 4)
    prompts = ["{}", "a very long prompt about a {}"]
    found = class_vectors(run, ["tower"], prompts, "note", Reading())[0]
    by_hand = [by_kind()("note", prompt.replace("{}", "tower")) for prompt in prompts]
    mean = np.mean([vector / np.linalg.norm(vector) for vector in by_hand], axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), rtol=1e-6)


def test_rows_that_have_nothing_but_the_text_are_left_out_and_counted(run, kinds, folder, monkeypatch):
    plant(monkeypatch, by_kind(), 4)
    frame = pd.read_csv(kinds)
    frame.loc[:4, "photo"] = None
    frame.to_csv(kinds, index=False)
    found = run.zero_shot(kinds, "sort", classes=["house", "tower"])
    assert found["left_out"] == {"no_answer": 1, "other_classes": 13, "no_input": 3, "unread": 0}
    assert found["rows"] == 23 and found["chance"] == 0.5


def test_what_cannot_be_labelled_is_refused_in_one_line(run, kinds, folder, monkeypatch):
    def refused(error, match, target="sort", table=kinds, **asked):
        with pytest.raises(error, match=match) as raised:
            run.zero_shot(table, target, **asked)
        assert "\n" not in str(raised.value)

    refused(RunError, "share no space, without which there is no labelling")
    plant(monkeypatch, by_kind(), 4)
    refused(DataError, "pairs.csv: no column 'sorts' to answer. Did you mean 'sort'", "sorts")
    refused(RunError, r"the prompt 'a photo' has no \{\}", prompts=["a photo"])
    refused(RunError, "no prompts, expected one or more", prompts=[])
    refused(
        DataError, "column 'sort': the class 'tower' alone, expected two classes", classes=["tower", "tower "]
    )
    refused(DataError, "no row has a class and one of photo, bedrooms", classes=["hut", "shed"])
    refused(DataError, "houses.csv, column 'price': numbers, which no prompt can name. Name", "price",
            folder / "houses.csv")  # fmt: skip
    refused(
        RunError, "'photo' is an input of image, expected one of text. There are: note", prompt_input="photo"
    )
    refused(RunError, "'words' is no input, expected one of text", prompt_input="words")
    refused(RunError, "no input among note is left to label by, besides note, sort", inputs=["note"])
    readers = run.processor.readers
    monkeypatch.setattr(run.processor, "readers", readers | {"photo": readers["note"]})
    refused(RunError, r"several inputs read text \(photo, note\). Name the one .* prompt_input=")
    monkeypatch.setattr(run.processor, "readers", {"photo": readers["photo"]})
    refused(RunError, r"no input reads text, so no class can be named to it. It reads photo \(image\)")
