"""Threads: the fastest number, one in doubt, kept for what follows; timing leaves no trace in a fit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from threadpoolctl import threadpool_info, threadpool_limits

from polymodal.plain.learners import LEARNERS
from polymodal.plain.model import PlainModel
from polymodal.training.loop import thread_timing
from polymodal.utils import threads
from polymodal.utils.threads import ThreadChoice, available_threads, choose_threads, computing_threads
from tests.support.command import polymodal, settings


@pytest.fixture
def free(monkeypatch):
    """Nobody fixed the number, and the machine has four cores."""
    monkeypatch.delenv(threads.FIXED, raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "ROUNDS", 3)
    with computing_threads():
        yield


class Clock:
    """A clock that a step moves on, by what it takes with the threads at hand."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def perf_counter(self):
        return self.now

    def step(self):
        self.now += self.seconds[torch.get_num_threads()]


@pytest.mark.parametrize(
    ("seconds", "best", "timed"),
    [
        ({1: 0.02, 2: 0.02}, 1, [1, 2]),  # in doubt
        ({1: 0.02, 2: 0.04}, 1, [1, 2]),
        ({1: 0.04, 2: 0.02, 4: 0.02}, 2, [1, 2, 4]),
        ({1: 0.04, 2: 0.02, 4: 0.005}, 4, [1, 2, 4]),
    ],
)
def test_the_fastest_number_is_taken_and_one_in_doubt(free, monkeypatch, seconds, best, timed):
    before = torch.get_num_threads()
    clock = Clock(seconds)
    monkeypatch.setattr(threads, "time", clock)
    choice = choose_threads(clock.step, 4)
    assert (choice.threads, list(choice.seconds), choice.reason) == (best, timed, "timed")
    assert torch.get_num_threads() == before
    assert ThreadChoice.from_json(json.loads(json.dumps(choice.to_json()))) == choice
    assert str(choice).startswith(f"{best} of 4 threads (a step takes ")


def test_workers_and_the_environment_count_into_the_budget(free, monkeypatch):
    assert [available_threads(workers) for workers in (0, 1, 3, 9)] == [4, 3, 1, 1]
    monkeypatch.setenv(threads.FIXED, "2")
    assert available_threads() == 2
    assert threads.fixed_threads() == ThreadChoice(2, 2, "fixed")
    assert threads.fixed_threads(fixed=3) == ThreadChoice(3, 2, "fixed")


def write_numbers(folder: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(80, 2)).round(3)
    pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.where(x[:, 0] > 0, "hi", "lo")}).to_csv(
        folder / "t.csv", index=False
    )


def fit(folder, run, *more):
    return polymodal("fit", "t.csv", "-t", "y", "-o", run, *settings(), *more, folder=folder)


@pytest.mark.slow
def test_timing_changes_nothing_but_the_threads(free, tmp_path, monkeypatch):
    write_numbers(tmp_path)
    monkeypatch.setattr(threads, "GAIN", 0.0)  # whatever is timed, one thread is taken
    timed = fit(tmp_path, "timed")
    assert "computing with 1 of 4 threads (a step takes " in timed.err
    assert " steps, whose forward and backward passes take about " in timed.err
    before = torch.get_num_threads()
    fixed = fit(tmp_path, "fixed", "--threads", "1")
    assert "computing with" not in fixed.err and "forward and backward" not in fixed.err
    assert torch.get_num_threads() == before
    weights = [load_file(tmp_path / run / "model.safetensors") for run in ("timed", "fixed")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for run in ("timed", "fixed"):
        assert json.loads((tmp_path / run / "metrics.json").read_text())["train"]["threads"] == 1


def test_a_resumed_training_keeps_its_number(free, tmp_path, monkeypatch):
    write_numbers(tmp_path)
    monkeypatch.setattr(
        thread_timing, "choose_threads", lambda step, available: ThreadChoice(3, available, "timed", {})
    )

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(
            "polymodal.training.prediction_training.calibrate", interrupt
        )  # the training has ended, the fit has not
        assert fit(tmp_path, "run").status == 130
    monkeypatch.setattr(thread_timing, "choose_threads", interrupt)
    done = fit(tmp_path, "run", "--resume")
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["train"]["threads"] == 3
    predicted = polymodal("predict", "run", "t.csv", "-o", "o.parquet", folder=tmp_path)
    assert predicted.status == 0 and torch.get_num_threads() == 3
    polymodal("predict", "run", "t.csv", "-o", "o.parquet", "--threads", "2", folder=tmp_path)
    assert torch.get_num_threads() == 2


def test_waiting_threads_sleep_unless_the_user_wants_otherwise():
    code = "import os, polymodal; print(os.environ['OMP_WAIT_POLICY'])"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    for given, policy in ({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE"):
        out = subprocess.run([sys.executable, "-c", code], env=environment | given, capture_output=True)
        assert out.stdout.decode().strip() == policy


def test_commands_on_plain_models_compute_with_so_many_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(PlainModel, "kinds", {"linear": LEARNERS["linear"]})
    frame = pd.DataFrame(
        {"rooms": np.arange(40) % 9, "kind": np.where(np.arange(40) % 9 > 4, "big", "small")}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert (
        polymodal("fit", "t.csv", "-t", "kind", "--preset", "fast", "-o", "run", folder=tmp_path).status == 0
    )
    with threadpool_limits(1):
        for command, count in (("predict", 3), ("evaluate", 2), ("predict", 1)):
            assert polymodal(command, "run", "t.csv", "--threads", f"{count}", folder=tmp_path).status == 0
            assert {pool["num_threads"] for pool in threadpool_info()} == {count}
