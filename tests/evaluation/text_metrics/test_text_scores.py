"""Metrics by name, those that suit the references, their intervals, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

from polymodal.errors import ConfigError
from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.evaluation.text_metrics import (
    DEFAULT,
    HIGHER_IS_BETTER,
    WORD_METRICS,
    measure_words,
    measured_words,
    suited,
    word_estimates,
)

ANSWERS = ["a red cat on the mat", "two dogs play outside in snow", "the bus is late again today"]
REFERENCES = [
    ["a red cat sits on the mat", "a cat"],
    ["two dogs play in the snow"],
    ["the train is late today"],
]


def test_short_answers_are_matched_and_long_ones_compared():
    assert suited([["red"], ["two dogs", "2"]]) == ["exact_match", "vqa_accuracy"]
    assert suited(REFERENCES) == ["bleu", "chrf", "rouge_l", "cider"]
    assert suited([["one two three four"]]) == list(DEFAULT["long"])
    assert suited([["one two three four"], ["one two three"]]) == list(DEFAULT["short"])
    assert suited([["微笑的猫"]]) == list(DEFAULT["long"])


def test_what_suits_is_measured_unless_metrics_are_named():
    assert list(measure_words(ANSWERS, REFERENCES)) == suited(REFERENCES)
    figures = measure_words(ANSWERS, REFERENCES, ["wer", "exact_match"])
    assert list(figures) == ["wer", "exact_match"] and figures["exact_match"] == 0 < figures["wer"] < 1
    assert all(type(figure) is float for figure in figures.values())


def test_what_is_not_defined_is_left_out():
    assert set(measure_words(["a b"], [["a b"]], ["cider", "chrf"])) == {"chrf"}
    assert measure_words([], []) == measure_words([], [], ["bleu"]) == {}


@pytest.mark.parametrize("answers", [ANSWERS, []])
def test_an_unknown_metric_is_refused_and_the_nearest_named(answers):
    with pytest.raises(
        ConfigError, match=r"no metric of words named 'blue'\. Did you mean 'bleu'\? There are: exact"
    ):
        measure_words(answers, REFERENCES[: len(answers)], ["wer", "blue"])


def test_every_metric_says_which_way_is_better():
    assert (
        set(HIGHER_IS_BETTER) == set(WORD_METRICS) == {name for names in DEFAULT.values() for name in names}
    )
    assert [name for name, higher in HIGHER_IS_BETTER.items() if not higher] == ["wer", "cer"]


@pytest.mark.parametrize("name", list(WORD_METRICS))
class TestEveryMetric:
    def test_the_right_answer_is_the_best_one(self, name):
        right = [accepted[0] for accepted in REFERENCES]
        best, worse = (WORD_METRICS[name](said, REFERENCES) for said in (right, ["bird", "x y", ""]))
        sign = 1 if HIGHER_IS_BETTER[name] else -1
        assert sign * best.figure > sign * worse.figure
        assert (sign * best.rows > sign * worse.rows).all()

    def test_rows_and_sums_belong_together(self, name):
        measured = WORD_METRICS[name](ANSWERS, REFERENCES)
        assert measured.rows.shape == (3,) and len(measured.statistics) == 3
        assert measured.among(np.arange(3)) == measured.figure
        assert np.isnan(measured.among(np.zeros(3, dtype=bool)))

    def test_values_of_many_sums_are_those_of_each(self, name):
        measured = WORD_METRICS[name](ANSWERS, REFERENCES)
        sums = Bootstrap(np.arange(3), samples=6).resample(measured.statistics)
        many = measured.value(sums.reshape(2, 3, -1))
        assert many.shape == (2, 3)
        np.testing.assert_allclose(many.ravel(), [measured.value(entry) for entry in sums])

    def test_empty_texts_do_no_harm(self, name):
        measured = WORD_METRICS[name](["", "a", ""], [[""], ["", "b"], ["a b c"]])
        assert np.isfinite(measured.rows).all() and np.isfinite(measured.figure)

    def test_rows_are_measured_alike_in_any_order(self, name):
        there, back = (
            WORD_METRICS[name](ANSWERS, REFERENCES),
            WORD_METRICS[name](ANSWERS[::-1], REFERENCES[::-1]),
        )
        np.testing.assert_allclose(there.rows, back.rows[::-1])
        assert there.figure == pytest.approx(back.figure)

    @pytest.mark.parametrize(
        ("answers", "references", "message"),
        [
            (["a", "b"], [["a"]], "2 answers were given, and references of 1 rows"),
            (["a", "b"], [["a"], "b"], "the references of row 2 are a text"),
            (["a", "b"], [["a"], []], "row 2 has no reference"),
            ([], [], "no answers"),
        ],
    )
    def test_rows_that_do_not_belong_together_are_refused(self, name, answers, references, message):
        with pytest.raises(ValueError, match=message):
            WORD_METRICS[name](answers, references)


def test_intervals_hold_their_figures():
    answers, references = ANSWERS * 20, REFERENCES * 20
    measured = measured_words(answers, references, ["chrf", "bleu", "cider", "wer"])
    found = word_estimates(measured, Bootstrap(np.arange(60), samples=200))
    assert list(found) == ["chrf", "bleu", "cider", "wer"]
    for name, entry in found.items():
        assert entry["value"] == pytest.approx(measured[name].figure)
        assert entry["low"] < entry["value"] < entry["high"]


def test_importing_the_package_loads_no_metric_of_words():
    heavy = "sacrebleu", "jiwer", "rapidfuzz", "polymodal.evaluation.text_metrics"
    code = f"import sys, polymodal, polymodal.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
