"""BLEU and chrF against sacrebleu's own figures, and in scripts without spaces."""

from itertools import zip_longest

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from polymodal.evaluation.text_metrics.translation import bleu, chrf

ANSWERS = ["the cat sat on the red mat", "it is raining today in the north", "", "dogs, and cats."]
REFERENCES = [
    ["the cat sat on the mat", "a cat is sitting on the red mat"],
    ["today it is raining in the north"],
    ["nothing was said"],
    ["cats and dogs", "dogs and cats", "dogs, cats."],
]


@pytest.mark.parametrize(
    ("metric", "whole", "alone"), [(bleu, BLEU(), BLEU(effective_order=True)), (chrf, CHRF(), CHRF())]
)
def test_figures_are_those_of_sacrebleu(metric, whole, alone):
    measured = metric(ANSWERS, REFERENCES)
    assert measured.figure == pytest.approx(whole.corpus_score(ANSWERS, list(zip_longest(*REFERENCES))).score)
    rows = [alone.sentence_score(a, r).score for a, r in zip(ANSWERS, REFERENCES, strict=True)]
    assert 10 < measured.figure < 90 and measured.rows == pytest.approx(rows)


@pytest.mark.parametrize("metric", [bleu, chrf])
def test_a_choice_of_rows_has_the_figure_of_these_rows_alone(metric):
    few = np.array([True, False, True, True])
    chosen = [metric([ANSWERS[i] for i in (0, 2, 3)], [REFERENCES[i] for i in (0, 2, 3)]).figure]
    assert [metric(ANSWERS, REFERENCES).among(few)] == pytest.approx(chosen)


@pytest.mark.parametrize(
    ("answer", "reference", "tokenize"),
    [
        ("一只黑猫睡在桌子上", "一只白猫睡在桌子上", "zh"),
        ("猫がテーブルの上で寝る", "犬がテーブルの上で寝る", "char"),
        ("แมวนอนบนโต๊ะ", "หมานอนบนโต๊ะ", "char"),
    ],
)
def test_scripts_without_spaces_are_counted_by_character(answer, reference, tokenize):
    measured = bleu([answer], [[reference]])
    assert f"tok:{tokenize}|" in measured.how
    assert measured.figure == pytest.approx(
        BLEU(tokenize=tokenize).corpus_score([answer], [[reference]]).score
    )
    assert measured.figure > 50 and bleu([answer, "a"], [[reference], ["b"]]).rows[0] == measured.rows[0]


def test_rows_of_several_scripts_are_each_cut_in_their_own_way():
    measured = bleu(
        ["the black cat sleeps here", "黑猫在这里睡觉"], [["the black cat sleeps there"], ["黑猫在那里睡觉"]]
    )
    assert "tok:13a" in measured.how and "tok:zh" in measured.how and measured.how.count("(1 rows)") == 2
    english, chinese = measured.among(np.array([0])), measured.among(np.array([1]))
    assert min(english, chinese) < measured.figure < max(english, chinese)


def test_bleu_is_zero_where_no_text_has_four_words_and_chrf_is_not():
    answers, references = ["red cat", "dog"], [["red cat"], ["dog"]]
    assert bleu(answers, references).figure == 0 and chrf(answers, references).figure == pytest.approx(100)
    np.testing.assert_allclose(bleu(answers, references).rows, 100)
