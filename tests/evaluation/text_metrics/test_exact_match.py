"""Exact match, and the accuracy of VQAv2."""

import numpy as np
import pytest

from polymodal.evaluation.text_metrics.exact_match import exact_match, vqa_accuracy


def test_an_answer_is_right_that_is_one_of_its_references():
    measured = exact_match([" seven\n", "Seven", "café"], [["7", "seven"], ["seven"], ["cafe\u0301"]])
    np.testing.assert_array_equal(measured.rows, [1, 0, 1])
    assert measured.figure == pytest.approx(2 / 3)


# https://visualqa.org/evaluation.html: with 1, 2, 3 and 4 people who said so 0.3, 0.6, 0.9 and 1.
@pytest.mark.parametrize(("people", "expected"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)])
def test_the_share_of_ten_people_is_that_of_vqa(people, expected):
    accepted = ["two"] * people + ["blue"] * (10 - people)
    measured = vqa_accuracy(["2"], [accepted])
    assert measured.figure == pytest.approx(expected) and measured.how == ""


def test_texts_are_normalized_unless_all_ten_people_wrote_the_same():
    """As the official evaluation has it, which takes what is unanimous as it is written."""
    agreed, split = ["yes"] * 10, ["yes"] * 9 + ["no"]
    np.testing.assert_array_equal(
        vqa_accuracy(["Yes", "Yes", "yes"], [agreed, split, agreed]).rows, [0, 1, 1]
    )


def test_with_fewer_references_an_answer_is_right_whose_normalized_text_is_one_of_theirs():
    measured = vqa_accuracy(["The dog!", "Two.", "cat"], [["a dog"], ["3", "2"], ["dog", "dog", "dog"]])
    np.testing.assert_array_equal(measured.rows, [1, 1, 0])
    assert measured.how == "rows of fewer than ten references: 3"


def test_an_article_is_an_answer_where_nothing_else_was_said():
    np.testing.assert_array_equal(vqa_accuracy(["A", "", "the"], [["a"], ["A"], ["A"]]).rows, [1, 0, 0])


def test_rows_of_ten_and_of_fewer_references_are_measured_together():
    measured = vqa_accuracy(["red", "red"], [["red"] * 3 + ["blue"] * 7, ["Red"]])
    assert measured.figure == pytest.approx((0.9 + 1) / 2)
    assert measured.how == "rows of fewer than ten references: 1"
