"""Retrieval: against other libraries and by hand, with shared contents, ties, chance and intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import retrieval_hit_rate

from polymodal.evaluation.metrics.retrieval import AT, both_ways, retrieval


def noisy(rows: int = 60, contents: int = 40, noise: float = 1.5, seed: int = 0):
    """Vectors around one a content, twice."""
    random = np.random.default_rng(seed)
    own = random.integers(0, contents, rows)
    others = random.integers(0, contents, rows)
    centres = random.normal(size=(contents, 8))
    return (
        centres[own] + noise * random.normal(size=(rows, 8)),
        centres[others] + noise * random.normal(size=(rows, 8)),
        own,
        others,
    )


def test_it_agrees_with_scikit_learn_and_torchmetrics():
    queries, candidates, own, others = noisy()
    found = retrieval(queries, candidates, own, others)
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (queries, candidates)]
    similar = torch.tensor(unit[0] @ unit[1].T)
    right = torch.tensor(own[:, None] == others[None])
    kept = right.any(dim=1)
    pairs = list(zip(similar[kept], right[kept], strict=True))
    expected = [average_precision_score(r, s) for s, r in pairs]
    assert found["queries"] == int(kept.sum()) < 60
    assert found["map"]["value"] == pytest.approx(np.mean(expected), abs=1e-6)
    for place in AT:
        hits = np.mean([float(retrieval_hit_rate(s, r, top_k=place)) for s, r in pairs])
        assert found[f"recall_at_{place}"]["value"] == pytest.approx(hits, abs=1e-6)


def test_equal_vectors_are_worth_nothing_and_perfect_ones_all():
    contents = np.arange(20)
    same = retrieval(np.ones((20, 4)), np.ones((20, 4)), contents, contents)
    assert same["recall_at_1"]["value"] == 0 and same["median_rank"]["value"] == 20
    perfect = retrieval(np.eye(20), np.eye(20), contents, contents)
    assert perfect["recall_at_1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert perfect["map"]["value"] == 1 and perfect["median_rank"]["value"] == 1


def test_random_vectors_find_as_much_as_chance_says():
    random = np.random.default_rng(0)
    contents = np.arange(600) % 200  # three right candidates each
    found = retrieval(random.normal(size=(600, 16)), random.normal(size=(600, 16)), contents, contents)
    for place in AT:
        entry = found[f"recall_at_{place}"]
        assert entry["low"] - 0.01 <= found["chance"][f"recall_at_{place}"] <= entry["high"] + 0.01
    assert found["chance"]["recall_at_1"] == pytest.approx(3 / 600)


def test_queries_of_one_content_are_drawn_together():
    queries, candidates, own, others = noisy(400, 20)
    few = retrieval(queries, candidates, own, others)
    many = retrieval(queries, candidates, own, others, groups=np.arange(400))
    assert few["groups"] == 20 and many["groups"] == few["queries"]
    width = [found["recall_at_1"]["high"] - found["recall_at_1"]["low"] for found in (few, many)]
    assert width[0] > width[1]
    assert few["median_rank"]["low"] <= few["median_rank"]["value"] <= few["median_rank"]["high"]


def test_rows_that_say_the_same_are_right_for_each_other_in_both_directions():
    pictures, words = np.eye(3)[[0, 0, 1]], np.eye(3)[[0, 0, 1]]
    names = np.array(["cat", "cat", "dog"])
    there, back = both_ways(pictures, words, names, names)
    assert there["recall_at_1"]["value"] == back["recall_at_1"]["value"] == 1
    assert there["map"]["value"] == 1


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match="one width"):
        retrieval(np.ones((2, 3)), np.ones((2, 4)), np.arange(2), np.arange(2))
    with pytest.raises(ValueError, match="a content a vector"):
        retrieval(np.ones((2, 3)), np.ones((2, 3)), np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match="no query has a candidate"):
        retrieval(np.ones((2, 3)), np.ones((2, 3)), np.array([1, 2]), np.array([3, 4]))


def test_every_caption_of_a_picture_is_right_for_it_and_none_of_another():
    """Two pictures in five rows: three captions of the first, one of them the second's as well."""
    pictures, captions = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 2, 3])
    look, words = np.eye(4)[:2], np.array([[1, 0, 0, 0], [0.9, 0, 0.4, 0], [0.7, 0.7, 0, 0], [0, 1, 0, 0]])
    there, back = both_ways(look[pictures], words[captions], pictures, captions)
    assert (there["queries"], there["candidates"]) == (2, 4)
    assert (back["queries"], back["candidates"]) == (4, 2)
    assert there["map"]["value"] == 1 and there["chance"]["recall_at_1"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    # The caption of both is right with either picture: of two candidates two are right.
    assert back["recall_at_1"]["value"] == 1 and back["chance"]["recall_at_1"] == pytest.approx(
        (3 * 0.5 + 1) / 4
    )
    assert there["groups"] == back["groups"] == 1  # all hang together by way of the shared caption
    assert there["recall_at_1"]["low"] is None


def test_what_stands_in_many_rows_takes_one_place():
    """Six pictures a recording: a wrong recording stands before the right one once, not six times."""
    sounds, pictures = np.repeat(np.arange(10), 6), np.arange(60)
    vectors = np.eye(10)
    heard = vectors[sounds]
    seen = vectors[(sounds + 1) % 10] + 0.5 * vectors[sounds]  # the neighbour comes first
    found = both_ways(seen, heard, pictures, sounds)[0]
    assert found["candidates"] == 10 and found["median_rank"]["value"] == 2
    assert found["recall_at_1"]["value"] == 0 and found["recall_at_5"]["value"] == 1


def test_of_very_many_queries_some_are_drawn(monkeypatch):
    monkeypatch.setattr("polymodal.evaluation.metrics.retrieval.MOST_QUERIES", 50)
    monkeypatch.setattr("polymodal.evaluation.metrics.retrieval.AT_ONCE", 1000)  # several blocks
    random = np.random.default_rng(0)
    first = random.normal(size=(200, 8))
    second = first + random.normal(size=first.shape)
    some, again = (both_ways(first, second, np.arange(200), np.arange(200))[0] for _ in range(2))
    assert some == again and (some["queries"], some["candidates"]) == (50, 200)
    monkeypatch.setattr("polymodal.evaluation.metrics.retrieval.MOST_QUERIES", 200)
    every = both_ways(first, second, np.arange(200), np.arange(200))[0]
    assert some["map"]["low"] < every["map"]["value"] < some["map"]["high"]
