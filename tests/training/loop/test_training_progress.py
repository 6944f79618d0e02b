"""The line of each evaluation, and the time of a training that was interrupted, all legs counted."""

import json
from unittest import mock

import pytest

from polymodal.training.loop.trainer_base import Legs
from polymodal.training.loop.training_progress import TrainingProgress
from polymodal.utils.progress import about
from tests.support.command import error, polymodal, settings
from tests.support.tables import write_houses

FIT = ["fit", "houses.csv", "-t", "price", "-i", "bedrooms", "-o", "run"]
SLOW = {"train__epochs": 12, "train__patience": 2, "train__learning_rate": 1e-30}


def interrupted(folder, fit, step):
    def stop(self, args, state, control, **kwargs):
        if state.global_step == step:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        assert polymodal(*fit, folder=folder).status == 130


def test_a_line_has_the_best_so_far_and_the_patience_left(tmp_path):
    write_houses(tmp_path)
    fit = [*FIT, *settings(**SLOW)]  # no epoch differs: the first is the best
    lines = [line for line in polymodal(*fit, folder=tmp_path).err.splitlines() if line.startswith("epoch ")]
    assert lines[0].startswith("epoch 1/12: loss ") and lines[0].endswith("; best so far")
    assert "(epoch 1)" in lines[1] and "patience" not in lines[1]  # the rate has not fallen yet
    assert lines[-2].endswith("(epoch 1); 1 epoch of patience left")
    assert lines[-1].endswith("(epoch 1); 0 epochs of patience left") and len(lines) < 12
    interrupted(tmp_path, [*fit, "--overwrite"], step=2 * (len(lines) - 1) + 1)
    resumed = polymodal(*fit, "--resume", folder=tmp_path)
    assert resumed.err.splitlines().count(lines[-1]) == 1 and lines[-2] not in resumed.err


def test_the_time_of_an_epoch_is_measured_once(tmp_path):
    write_houses(tmp_path)
    whole = polymodal(*FIT, *settings(train__epochs=3), folder=tmp_path)
    assert whole.err.count("an epoch takes about ") == 1 and " s: at most " in whole.err
    one = polymodal(*FIT, *settings(train__epochs=1), "--overwrite", folder=tmp_path)
    assert "an epoch takes" not in one.err  # none is left


def test_a_resumed_training_counts_all_its_legs(tmp_path):
    write_houses(tmp_path)
    fit = [*FIT, *settings(train__epochs=3)]
    interrupted(tmp_path, fit, step=3)
    (file,) = tmp_path.glob("run/checkpoints/checkpoint-*/seconds.json")
    assert 0 < json.loads(file.read_text()) < 60
    for damaged in ("{}", "-1", "x"):
        file.write_text(damaged)
        assert "(of the first, seconds.json)" in error(tmp_path, *fit, "--resume")
    file.write_text("1000")
    resumed = polymodal(*fit, "--resume", folder=tmp_path)
    assert "resumed at epoch 1, after 17 min\n" in resumed.err and "in 100" in resumed.out
    trained = json.loads((tmp_path / "run/metrics.json").read_text())["train"]
    assert 1000 < trained["seconds"] < 1060 and trained["epochs"] == 3
    assert trained["rows_per_second"] > 1  # of the last leg


def test_a_checkpoint_of_an_earlier_version_has_no_time(tmp_path):
    write_houses(tmp_path)
    fit = [*FIT, *settings(train__epochs=3)]
    interrupted(tmp_path, fit, step=3)
    (file,) = tmp_path.glob("run/checkpoints/checkpoint-*/seconds.json")
    file.unlink()
    resumed = polymodal(*fit, "--resume", folder=tmp_path)
    assert resumed.status == 0 and "resumed at epoch 1\n" in resumed.err


def test_the_speed_is_that_of_the_last_leg_that_trained():
    log = [{"train_runtime": 2.0}]
    assert Legs(4.0).per_second(100, log, 2) == 100
    assert Legs(12.0, 10.0, 1.0).per_second(100, log, 2) == 50
    assert Legs(10.5, 10.0, 2.0).per_second(100, [], 2) == pytest.approx(200 / 10.5)  # it had ended


def test_durations_are_rounded():
    shown = [about(seconds) for seconds in (0.34, 7.6, 89, 95, 3600, 7600)]
    assert shown == ["0.3 s", "8 s", "89 s", "2 min", "60 min", "2.1 h"]
