"""Where a model fails: tables by hand, and the worst rows against the plain answers of the model."""

import json

import numpy as np
import pytest
import torch

from polymodal.data.row_dataset import RowDataset
from polymodal.error_analysis.error_analysis import answer_rows, failures, worst_rows
from polymodal.importance.importance import try_inputs
from polymodal.tasks.classification import class_table, confusion
from polymodal.tasks.multilabel import label_table
from polymodal.tasks.regression import MOST_POINTS, residual_summary
from tests.support.small_models import KINDS, TAGS, small_model, small_rows

CLASSES = ["a", "b", "c", "d"]
TRUTH = torch.tensor([0, 0, 0, 0, 1, 1, 2])
SAID = torch.tensor([0, 0, 1, 2, 1, 2, 1])


def probabilities(said, classes=4, sure=0.7):
    """Answers that say ``said``."""
    return torch.full((len(said), classes), (1 - sure) / (classes - 1)).scatter(1, said.unsqueeze(1), sure)


def rounding(parts):
    """How far a sum may be off where its parts and itself are each rounded to 12 digits."""
    return 0.5e-12 * (len(parts) + 1) + 1e-15


def test_the_table_of_classes_is_that_counted_by_hand():
    table = class_table(probabilities(SAID), TRUTH, {"predicted": SAID}, CLASSES)
    a, b, c, d = table
    assert a == {
        "class": "a", "rows": 4, "said": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3),
        "confused_with": {"class": "b", "rows": 1},
    }  # fmt: skip
    assert (b["recall"], b["confused_with"]) == (0.5, {"class": "c", "rows": 1})
    assert b["precision"] == pytest.approx(1 / 3)
    assert (c["precision"], c["recall"], c["f1"]) == (0, 0, 0)
    nothing = {"rows": 0, "said": 0, "precision": None, "recall": None, "f1": None, "confused_with": None}
    assert d == {"class": "d", **nothing}


def test_what_is_decided_counts_rather_than_what_is_likeliest():
    decided = {"predicted": TRUTH}
    assert all(
        row["confused_with"] is None for row in class_table(probabilities(SAID), TRUTH, decided, CLASSES)
    )


def test_a_table_of_no_rows_has_no_figures():
    none = torch.zeros(0, dtype=torch.long)
    table = class_table(probabilities(none), none, {}, CLASSES)
    assert [row["f1"] for row in table] == [None] * 4
    assert not np.any(confusion(probabilities(none), none, {}, CLASSES)["counts"])
    assert label_table(torch.zeros(0, 2), torch.zeros(0, 2), {}, TAGS)[0]["f1"] is None


def test_a_confusion_is_counted_by_truth_then_answer():
    found = confusion(probabilities(SAID), TRUTH, {}, CLASSES)
    assert found["counts"] == [[2, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert found["classes"] == CLASSES and found["note"] is None


def test_of_many_classes_those_with_most_mistakes_are_shown():
    truth = torch.arange(40).repeat_interleave(10)
    said = truth.clone()
    said[350:355], said[100:103], said[0] = 10, 35, 39  # classes 35 and 10 are mixed up, 0 once for 39
    found = confusion(probabilities(said, 40), truth, {}, [f"c{i}" for i in range(40)])
    assert len(found["classes"]) == len(found["counts"]) == 30
    assert {"c35", "c10", "c0", "c39"} <= set(found["classes"])
    assert found["classes"] == sorted(found["classes"], key=lambda name: int(name[1:]))
    ten, other = found["classes"].index("c10"), found["classes"].index("c35")
    assert found["counts"][other][ten] == 5 and found["counts"][ten][other] == 3
    said = "The 30 of 40 classes with most mistakes; 9 of all 9 mistakes are among them"
    assert found["note"] == said and json.dumps(found)


def test_labels_have_a_table_each():
    truth = torch.tensor([[1.0, 0], [1, 0], [0, 0], [1, 0]])
    said = torch.tensor([[True, False], [False, False], [True, False], [True, False]])
    first, second = label_table(said.float(), truth, {"predicted": said}, TAGS)
    assert first == {
        "label": "new", "rows": 3, "said": 3, "missed": 1, "false_alarms": 1,
        "precision": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3), "f1": pytest.approx(2 / 3),
    }  # fmt: skip
    assert (second["precision"], second["recall"], second["f1"]) == (None, None, None)


def test_residuals_are_answers_less_truth():
    answer, truth = torch.tensor([3.0, 5.0, 7.0]), torch.tensor([1.0, 5.0, 8.0])
    found = residual_summary(answer, truth, np.array([9, 4, 6]))
    assert found["bias"] == pytest.approx(1 / 3) and found["mae"] == 1
    assert found["rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert [point["value"] for point in found["quantiles"]][::3] == [-1, 0, 2]
    assert found["points"][0] == {"row": 4, "answer": 5.0, "residual": 0.0}
    assert [point["row"] for point in found["points"]] == [4, 6, 9] and found["note"] is None


def test_of_many_rows_points_are_drawn_and_the_same_ones_again():
    answer = torch.arange(2000.0)
    found = residual_summary(answer, answer + 1, seed=3)
    assert len(found["points"]) == MOST_POINTS and found["note"] == "500 of 2,000 rows, drawn"
    assert found == residual_summary(answer, answer + 1, seed=3) and found["rows"] == 2000
    assert found != residual_summary(answer, answer + 1, seed=4)


def test_the_answers_are_those_that_the_worth_of_inputs_is_reckoned_from():
    model = small_model()
    rows = small_rows(kind=[None if i % 7 == 0 else KINDS[i % 3] for i in range(40)])
    mine, theirs = answer_rows(model, rows, "kind"), try_inputs(model, rows)["kind"]
    order = np.argsort(theirs.known)
    assert mine.known.tolist() == theirs.known[order].tolist() and len(mine.known) == 34
    torch.testing.assert_close(mine.answers, theirs.answers[order])
    assert failures(model, rows, "kind")["classes"] == failures(model, rows, "kind", theirs)["classes"]


def test_the_worst_of_classes_are_wrong_with_the_highest_confidence():
    model, rows = small_model(), small_rows()
    cards = worst_rows(model, rows, "kind", most=5)
    answered = answer_rows(model, rows, "kind")
    sure, said = answered.answers.max(dim=1)
    mistakes = sorted(sure[said != answered.targets].tolist(), reverse=True)
    assert [card["confidence"] for card in cards] == pytest.approx(mistakes[:5], abs=1e-6)
    for card in cards:
        assert card["answer"] != card["truth"] == rows.table.row(card["row"])["kind"]
        assert card["number"] == card["row"] + 1 and card["truth_confidence"] < card["confidence"]
        parts = [card["base"], *card["shares"].values()]
        assert sum(parts) == pytest.approx(card["confidence"], abs=rounding(parts))
        assert set(card["shares"]) | set(card["missing"]) == set("abc")


def test_the_worst_of_labels_stand_once_a_row_and_explain_what_was_decided():
    model, rows = small_model(), small_rows()
    with torch.no_grad():  # so that either label is said of half the rows
        said = answer_rows(model, rows, "tags").answers
        model.head("tags").out.bias -= said.median(dim=0).values.logit()
    cards = worst_rows(model, rows, "tags", most=40)
    answered = answer_rows(model, rows, "tags")
    said = model.head("tags").decide(answered.answers)["predicted"]
    wrong = said != answered.targets.bool()
    assert sorted(card["row"] for card in cards) == wrong.any(dim=1).nonzero().flatten().tolist()
    sure = [card["confidence"] for card in cards]
    assert sure == sorted(sure, reverse=True) and {card["answer"] for card in cards} == {True, False}
    for card in cards:
        assert card["truth"] == (card["label"] in rows.table.row(card["row"])["tags"]) != card["answer"]
        value = float(answered.answers[card["row"], TAGS.index(card["label"])])
        assert card["confidence"] == pytest.approx(value if card["answer"] else 1 - value, abs=1e-6)
        parts = [card["base"], *card["shares"].values()]
        assert sum(parts) == pytest.approx(card["confidence"], abs=rounding(parts))


def test_the_worst_of_numbers_are_furthest_off():
    model, rows = small_model(), small_rows()
    cards = worst_rows(model, rows, "price", most=4)
    answered = answer_rows(model, rows, "price")
    far = (answered.answers - answered.targets).abs().sort(descending=True).values[:4]
    assert [abs(card["residual"]) for card in cards] == pytest.approx(far.tolist(), rel=1e-5)
    for card in cards:
        assert card["answer"] - card["truth"] == pytest.approx(card["residual"], rel=1e-4)
        assert card["base"] + sum(card["shares"].values()) == pytest.approx(card["answer"], rel=1e-5)
        assert "confidence" not in card


def test_what_is_right_is_no_mistake():
    model, rows = small_model(), small_rows()
    said = model.head("kind").decide(answer_rows(model, rows, "kind").answers)["predicted"]
    right = small_rows(kind=[KINDS[place] for place in said.tolist()])
    assert worst_rows(model, right, "kind") == []


@pytest.mark.parametrize("target, table", [("kind", "classes"), ("tags", "labels"), ("price", "residuals")])
def test_a_section_is_json_and_of_the_targets_own_kind(target, table):
    found = failures(small_model(), small_rows(), target, most=3)
    assert json.loads(json.dumps(found)) == found and found["rows"] == 40
    assert set(found) == {"family", "rows", "worst", table} | ({"confusion"} if target == "kind" else set())
    assert len(found["worst"]) == 3


@pytest.mark.parametrize("target", ["kind", "tags", "price"])
def test_without_a_known_target_there_is_nothing_to_say(target):
    found = failures(small_model(), small_rows(**{target: [None] * 40}), target)
    assert found["rows"] == 0 and set(found) == {"family", "rows"}


def test_rows_that_cannot_be_read_are_no_mistakes():
    cells = ["abc" if i == 4 else "1.5" for i in range(40)]
    broken = small_rows(a=cells)
    rows = RowDataset(broken.table, small_rows().processor, targets=broken.targets, skip=True)
    assert 4 not in answer_rows(small_model(), rows, "kind").known
    assert failures(small_model(), rows, "kind")["rows"] == 39


def test_rows_are_numbered_as_in_the_users_file():
    whole = small_rows()
    table = whole.table.select(range(20, 40))
    rows = RowDataset(table, whole.processor, targets=whole.targets, numbers=table.places)
    assert all(card["number"] == card["row"] + 21 for card in worst_rows(small_model(), rows, "price"))
