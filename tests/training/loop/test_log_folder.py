"""Where the logs of a training go that TensorBoard shows: into the run folder, and they stay there."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from polymodal.training.loop.arguments import log_folder
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses


@pytest.mark.parametrize(
    ("checkpoints", "logs"),
    [
        ("runs/a/checkpoints", "runs/a/logs"),
        ("runs/a/candidates/fused/checkpoints", "runs/a/logs/fused"),
        ("runs/a/checkpoints/align/checkpoints", "runs/a/logs/align"),
    ],
)
def test_logs_are_outside_of_checkpoints_and_candidates(checkpoints, logs):
    assert log_folder(Path(checkpoints)) == Path(logs)


def test_tensorboard_gets_losses_and_metrics(tmp_path):
    write_houses(tmp_path)
    fit = ["fit", "houses.csv", "-t", "price", "-i", "bedrooms", "-o", "run", *settings(train__epochs=2)]
    assert polymodal(*fit, "--set", "train.report_to=tensorboard", folder=tmp_path).status == 0
    events = EventAccumulator(str(tmp_path / "run/logs"))
    events.Reload()
    assert {"train/loss", "eval/loss_total"} <= {*events.Tags()["scalars"]}
    assert not (tmp_path / "run/checkpoints").exists()
