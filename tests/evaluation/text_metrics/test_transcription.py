"""Word and character error rates against jiwer's, and where nothing was said."""

import jiwer
import numpy as np
import pytest

from polymodal.evaluation.text_metrics.transcription import cer, wer

TRUE = ["the cat sat on the mat", "seven", "it is raining", "  two   spaces  "]
SAID = ["the cat sat mat today", "Seven", "", "two spaces"]


@pytest.mark.parametrize(("metric", "theirs"), [(wer, jiwer.wer), (cer, jiwer.cer)])
def test_rates_are_those_of_jiwer(metric, theirs):
    true = [" ".join(text.split()) for text in TRUE]  # runs of space are one; jiwer's characters keep them
    measured = metric(SAID, [[text] for text in TRUE])
    assert measured.figure == pytest.approx(theirs(true, SAID))
    assert measured.rows == pytest.approx([theirs(t, s) for t, s in zip(true, SAID, strict=True)])


def test_the_rate_of_all_is_all_edits_over_all_words():
    measured = wer(["a b c d", "x"], [["a b c d"], ["y"]])
    np.testing.assert_array_equal(measured.statistics, [[0, 4], [1, 1]])
    assert measured.figure == 0.2 and measured.among(np.array([1])) == 1


def test_the_reference_with_the_lowest_rate_counts():
    measured = wer(["one two", "four"], [["three", "one two three", "zero"], ["five", "six seven"]])
    np.testing.assert_array_equal(measured.statistics, [[1, 3], [1, 1]])


def test_what_is_said_into_silence_is_an_error_and_silence_is_none():
    measured = wer(["", "uh oh", "yes"], [[""], [""], ["yes"]])
    np.testing.assert_array_equal(measured.rows, [0, 2, 0])
    assert measured.figure == 2.0
    assert wer([""], [[""]]).figure == cer([""], [[""]]).figure == 0
    assert wer(["uh oh"], [[""]]).figure == jiwer.wer([""], ["uh oh"]) == 2


def test_where_no_spaces_are_written_a_character_is_a_word():
    assert wer(["猫が寝る"], [["犬が寝る"]]).figure == 0.25
