"""``--time-limit``: a fit under a clock that ticks whenever it is read ends in time with a usable run."""

import json
import re

import pandas as pd
import pytest

import polymodal as pm
from polymodal.config.parsing import declares, parse
from polymodal.utils.deadline import Deadline
from tests.support.command import polymodal
from tests.support.tables import house_rows, tiny

INPUTS = ["bedrooms", "district", "note"]


class TickingClock:
    """A clock that goes on by so many seconds at every look."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture(scope="session")
def houses(tmp_path_factory) -> pd.DataFrame:
    return pd.DataFrame(house_rows(tmp_path_factory.mktemp("timed"), 60))[[*INPUTS, "kind"]]


def fitted(houses, folder, limit, tick, *settings):
    """The results of a fit of ``houses``, whose run answers."""
    deadline = Deadline.start(limit, clock=TickingClock(tick))
    run = pm.fit(
        houses, target="kind", inputs=INPUTS, output=folder, time_limit=deadline,
        settings=[*tiny(), "train.encoders=scratch", *settings],
    )  # fmt: skip
    results = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert not list(folder.rglob("checkpoints"))
    assert len(run.predict(houses[INPUTS])) == len(houses)
    return results


@pytest.mark.slow
def test_the_neural_model_is_trained_for_the_epochs_that_fit(houses, tmp_path):
    results = fitted(
        houses,
        tmp_path / "run",
        60,
        0.05,
        "train.candidates=[fused]",
        "train.epochs=400",
        "report.write=true",
    )
    (note,) = [line for line in results["notes"] if "epochs fit" in line]
    assert re.fullmatch(r"[\d.]+ of 400 epochs fit into the time limit of 1m", note)
    assert 1 <= results["train"]["epochs"] < 200
    rates = [entry["learning_rate"] for entry in results["history"] if "learning_rate" in entry]
    assert rates[-1] < 0.1 * max(rates)
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert note in report["making"]["notes"] and "kind" in report["targets"]
    assert "time_limit: 60" in (tmp_path / "run" / "run.yaml").read_text(encoding="utf-8")


def test_what_there_is_no_time_for_is_left_out_with_a_line_each(houses, tmp_path):
    results = fitted(
        houses, tmp_path / "run", 40, 0.6, "train.candidates=[plain, fused]", "report.write=true"
    )
    notes = "\n".join(results["notes"])
    assert "the candidate 'fused' is left out: " in notes and "of the time limit" in notes
    assert "report is left out, for time" in notes
    assert "plain.linear" in results["candidates"]["models"] and results["test"]["kind"]


def test_a_limit_too_short_for_anything_names_the_shortest_that_works(houses, tmp_path):
    clock = TickingClock(0.01)
    deadline = Deadline.start(20, clock=clock)
    clock.now += 17
    with pytest.raises(
        pm.ConfigError, match=r"a time limit of 20s is too short .* shortest that works is about 40s"
    ):
        pm.fit(houses, target="kind", output=tmp_path / "run", settings=tiny(), time_limit=deadline)


def test_options_that_a_limit_does_not_go_with_and_wrong_ones_are_refused(houses, tmp_path):
    houses.to_csv(tmp_path / "houses.csv", index=False)
    command = ["fit", "houses.csv", "-t", "kind", "--time-limit"]
    refused = polymodal(*command, "soon", folder=tmp_path)
    assert refused.status == 2 and "expected seconds above 0, or such as 90s, 10m or 1h30m" in refused.err
    refused = polymodal(*command, "10m", "--search", "3", folder=tmp_path)
    assert refused.status == 2 and "it does not go with --time-limit" in refused.err
    with pytest.raises(pm.ConfigError, match="time_limit: 'soon' is no length of time"):
        pm.fit(houses, target="kind", output=tmp_path / "run", time_limit="soon")


def test_another_limit_is_not_another_declaration():
    values = {
        "data": {"train": "t.csv"},
        "inputs": {"note": {"modality": "text"}},
        "targets": {"kind": {"task": "classification"}},
    }
    plain = parse(values)
    timed = parse(values | {"train": {"time_limit": "10m"}})
    assert timed.train.time_limit == 600
    assert "time_limit" not in plain.to_yaml()
    assert declares(plain.to_yaml(), timed) and declares(timed.to_yaml(), plain)
    with pytest.raises(pm.ConfigError, match=r"'train.time_limit': 'soon' is no length of time"):
        parse(values | {"train": {"time_limit": "soon"}})
