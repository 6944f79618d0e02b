"""A fit that is killed at any moment and resumed ends where an unbroken one ends, to the last bit."""

import json
import random

import pytest
import torch

import polymodal as pm
from tests.support.killing import count_touches, die, finish, weights
from tests.support.tables import ALONE, tiny, write_houses

INPUTS = ("photo", "voice", "note", "bedrooms", "district")


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    return write_houses(tmp_path_factory.mktemp("houses"), rows=24)


@pytest.fixture(scope="module")
def unbroken(houses, tmp_path_factory):
    """The folder of an unbroken run, and how often it touched that folder."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    return folder, count_touches(options(houses, folder))


def options(table, folder, **more):
    """Of a fit of three epochs with augmented pictures, masked sound, dropout, patience and a worker."""
    given = {
        "train__workers": 1,
        "train__epochs": 3,
        "train__patience": 1,
        "inputs__voice__masking": 0.3,
        **ALONE,
    }
    settings = tiny(*INPUTS, **given | more)
    return {"source": table, "target": "kind", "inputs": INPUTS, "output": folder, "settings": settings}


def assert_same_run(folder, whole):
    """Equal weights and scores, every file there, and nothing left that a finished run does not hold."""
    expected, found = weights(whole), weights(folder)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())
    results = [json.loads((path / "metrics.json").read_text()) for path in (folder, whole)]
    assert results[0]["test"] == results[1]["test"] and results[0]["validation"] == results[1]["validation"]
    pm.load(folder)


@pytest.mark.slow
def test_killed_again_and_again(houses, unbroken, tmp_path):
    whole, touches = unbroken
    resume = options(houses, tmp_path / "run") | {"resume": True}
    in_the_middle = random.Random(0).randrange(touches // 4, touches // 2)
    for touch in (in_the_middle, ".part/processor_config.json"):
        assert die(resume, touch=touch)
    finish(resume)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_killed_at_ten_random_seconds(houses, unbroken, tmp_path):
    whole, _ = unbroken
    workers = {"train__workers": 2}
    seconds = finish(options(houses, tmp_path / "timed", **workers))
    chance = random.Random(0)
    resume = options(houses, tmp_path / "run", **workers) | {"resume": True}
    deaths = sum(die(resume, after=chance.uniform(0.2, 0.7) * seconds) for _ in range(10))
    assert deaths >= 5
    finish(resume)
    assert_same_run(tmp_path / "run", whole)


@pytest.mark.slow
def test_killed_wherever_it_touches_its_folder(houses, tmp_path):
    inputs = ("photo", "bedrooms")
    short = {"inputs": inputs, "settings": tiny(*inputs, **ALONE)}
    whole = tmp_path / "whole"
    touches = count_touches(options(houses, whole) | short)
    for touch in range(1, touches + 1):
        begun = options(houses, tmp_path / str(touch)) | short
        assert die(begun, touch=touch)
        finish(begun | {"resume": True})
        assert_same_run(tmp_path / str(touch), whole)
