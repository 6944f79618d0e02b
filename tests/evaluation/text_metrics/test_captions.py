"""ROUGE-L and CIDEr-D against what the usual implementations give."""

import numpy as np
import pytest

from polymodal.evaluation.text_metrics.captions import cider, rouge_l

ANSWERS = [
    "a man rides a brown horse on the beach",
    "two dogs play in the snow",
    "a plate of food on a table",
    "a red bus drives down the street",
    "a cat",
]
REFERENCES = [
    ["a man riding a horse on a beach", "a person rides a brown horse along the shore",
     "a man on a horse at the beach"],
    ["two dogs are playing in the snow", "a pair of dogs run through snow"],
    ["a plate with meat and vegetables on a wooden table"],
    ["a red double decker bus driving down a city street", "a big red bus is on the street",
     "the red bus drives down the street"],
    ["a cat sleeping on a red sofa", "a gray cat sleeps on a couch"],
]  # fmt: skip


def test_cider_is_that_of_the_coco_evaluation():
    """Expected: ``Cider().compute_score`` of pycocoevalcap 1.2 on these texts, whose words spaces divide."""
    expected = [
        2.7276503322077477,
        2.3027533691706306,
        1.2165265810328127,
        4.037351128846354,
        1.3435980131465872,
    ]
    measured = cider(ANSWERS, REFERENCES)
    np.testing.assert_allclose(measured.rows, expected, rtol=1e-12)
    assert measured.figure == pytest.approx(2.3255758848808266, rel=1e-12)


def test_cider_of_punctuated_captions_is_that_of_the_coco_evaluation():
    """Expected: pycocoevalcap 1.2, its PTBTokenizer (Java) and then ``Cider().compute_score``."""
    answers = ["A man's dog isn't on the sofa.", "Two children, wearing t-shirts, wave!",
               "A stop sign near 2 red cars.", ""]  # fmt: skip
    references = [
        ["The man's dog is not on the black-and-white sofa.", "A dog isn't lying on a man's sofa."],
        ["Two children wearing t-shirts wave at us.", "Kids, in t-shirts, are waving."],
        ["A stop sign and 2 red cars.", "There's a stop sign near two cars."],
        ["A cat."],
    ]
    measured = cider(answers, references)
    expected = [4.059756327017264, 3.9637408756157697, 4.53409699417548, 0.0]
    np.testing.assert_allclose(measured.rows, expected, rtol=1e-12)


def test_cider_rewards_what_is_said_of_this_row_only():
    """ "a" stands in the references of every row, so it weighs nothing."""
    said = cider(["a a", "a dog"], [["a cat"], ["a dog"]])
    assert said.rows[0] == 0 < said.rows[1]


def test_cider_does_not_grow_by_repetition():
    once, often = (cider([text, "a dog"], [["the cat sleeps"], ["a dog"]]).rows[0]
                   for text in ("the cat sleeps", "the cat sleeps cat cat cat cat cat"))  # fmt: skip
    assert often < once


def test_cider_of_a_single_row_is_not_defined():
    measured = cider(["a cat"], [["a cat", "the cat"]])
    assert np.isnan(measured.figure) and np.isnan(measured.rows).all()
    assert measured.how == "not defined for a single row"


def test_a_choice_of_rows_keeps_the_weights_of_all():
    measured = cider(ANSWERS, REFERENCES)
    assert measured.among(np.array([3])) == measured.rows[3] > 0


def test_rouge_is_that_of_rouge_score():
    """Expected: ``RougeScorer(["rougeL"]).score_multi(…)["rougeL"].fmeasure`` of rouge-score 0.1.2."""
    expected = [
        0.7058823529411765,
        0.7692307692307692,
        0.588235294117647,
        0.8571428571428571,
        0.4444444444444445,
    ]
    np.testing.assert_allclose(rouge_l(ANSWERS, REFERENCES).rows, expected, rtol=1e-12)


def test_rouge_asks_for_the_order_of_words_but_not_for_case_or_punctuation():
    same, turned, none = rouge_l(["The Cat, sleeps!", "sleeps the cat", ""], [["the cat sleeps"]] * 3).rows
    assert (same, none) == (1, 0) and turned == pytest.approx(2 / 3)


def test_captions_in_any_script_are_compared():
    answers, references = ["黒い猫が寝る", "собака спит"], [["白い猫が寝る"], ["собака спит дома"]]
    assert rouge_l(answers, references).rows == pytest.approx([5 / 6, 0.8])
    assert (cider(answers, references).rows > 1).all()
