"""Few labels: balanced, seeded, nested, and never one that is not known."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from polymodal.data.splits.label_budget import choose_labelled
from polymodal.errors import ConfigError

DIGITS = [str(place % 10) for place in range(300)]
UNEVEN = ["a"] * 50 + ["b"] * 20 + ["c"] * 4
NUMBERS = np.random.default_rng(0).lognormal(size=200).tolist()
LISTS = [["rare"] if place == 7 else ["common", "usual"][: 1 + place % 2] for place in range(60)]


def counts(answers, chosen):
    return Counter(answers[place] for place in chosen)


def test_a_hundred_of_ten_classes_are_ten_of_each():
    chosen = choose_labelled(DIGITS, 100, seed=0)
    assert set(counts(DIGITS, chosen).values()) == {10} and len(counts(DIGITS, chosen)) == 10
    assert np.array_equal(chosen, np.unique(chosen))


def test_a_share_is_one_of_the_known_answers():
    answers = [*DIGITS, None, float("nan")] * 2
    assert len(choose_labelled(answers, 0.1, seed=0)) == 60


def test_a_small_class_gives_all_it_has_and_the_others_share_the_rest():
    assert counts(UNEVEN, choose_labelled(UNEVEN, 30, seed=3)) == {"a": 13, "b": 13, "c": 4}
    found = counts(UNEVEN, choose_labelled(UNEVEN, 31, seed=3))
    assert found["c"] == 4 and sorted((found["a"], found["b"])) == [13, 14]


@pytest.mark.parametrize(
    "answers", [DIGITS, UNEVEN, NUMBERS, LISTS], ids=["even", "uneven", "number", "list"]
)
def test_choices_of_one_seed_lie_within_each_other(answers):
    sizes = [10, 11, 25, 40, len(answers) - 1]
    chosen = [set(choose_labelled(answers, size, seed=5).tolist()) for size in sizes]
    assert [len(places) for places in chosen] == sizes
    assert all(small < large for small, large in pairwise(chosen))
    assert chosen[0] != set(choose_labelled(answers, 10, seed=6).tolist())
    assert chosen[0] == set(choose_labelled(answers, 10, seed=5).tolist())


def test_an_empty_answer_is_never_chosen():
    answers = [None if place % 3 else str(place % 2) for place in range(90)]
    assert all(answers[place] is not None for place in choose_labelled(answers, 20, seed=0))
    numbers = [float("nan") if place % 3 else float(place) for place in range(90)]
    assert not np.isnan([numbers[place] for place in choose_labelled(numbers, 20, seed=0)]).any()


def test_more_than_are_known_are_all_that_are_known():
    answers = ["a", None, "b", "a"]
    assert choose_labelled(answers, 100, seed=0).tolist() == [0, 2, 3]
    assert choose_labelled([None, None], 5, seed=0).tolist() == []


def test_numbers_come_from_all_their_range():
    places = np.searchsorted(np.sort(NUMBERS), np.array(NUMBERS)[choose_labelled(NUMBERS, 20, seed=1)])
    assert Counter((places // 20).tolist()) == dict.fromkeys(range(10), 2)
    assert len(choose_labelled(NUMBERS, 3, seed=1)) == 3  # deciles are no classes


def test_of_lists_each_label_comes_as_often_as_it_can():
    chosen = [LISTS[place] for place in choose_labelled(LISTS, 12, seed=0)]
    assert ["rare"] in chosen
    none = [[] if place == 11 else ["x"] for place in range(30)]
    assert [] in [none[place] for place in choose_labelled(none, 4, seed=2)]


def test_fewer_than_one_a_class_are_refused():
    with pytest.raises(
        ConfigError, match=r"^9 labels are fewer than one for each of the 10 classes. Give 10"
    ):
        choose_labelled(DIGITS, 9, seed=0)
