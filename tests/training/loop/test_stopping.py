"""SIGTERM and Ctrl-C: a whole checkpoint of the step, one line, and the same run when it is resumed."""

import signal
from unittest import mock

import pytest
import torch

from polymodal.training.loop.loss_monitor import LossMonitor
from tests.support.command import polymodal, settings
from tests.support.killing import weights
from tests.support.slow import mostly_slow
from tests.support.tables import write_houses


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    """A table, and an unbroken run of three epochs of four steps with dropout of inputs."""
    folder = tmp_path_factory.mktemp("houses")
    write_houses(folder, rows=40)
    more = settings("note", train__epochs=3, train__batch_size=8, train__modality_dropout=0.3)
    words = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms,note", *more, "-o"]
    assert polymodal(*words, "whole", folder=folder).status == 0
    return words, folder


@pytest.fixture
def heard():
    """SIGINT is heard, which a shell lets be ignored where it runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_ends_a_fit_with_a_checkpoint_in_the_middle_of_an_epoch(fit, heard, number, status, word):
    words, folder = fit
    add = LossMonitor.add

    def stop(self, loss, parts, step):
        add(self, loss, parts, step)
        if step == 5:  # the sixth is being taken
            signal.raise_signal(number)

    with mock.patch.object(LossMonitor, "add", stop):
        result = polymodal(*words, word, folder=folder)
    assert result.status == status
    assert result.err.splitlines()[-1].startswith(f"{word}: the same command with --resume goes on")
    assert "Traceback" not in result.err
    kept = folder / word / "checkpoints"
    assert (kept / "checkpoint-6").is_dir()
    assert not list(kept.rglob("training_args.bin"))
    assert str(folder) not in (kept / "checkpoint-6/trainer_state.json").read_text()
    assert polymodal(*words, word, "--resume", folder=folder).status == 0
    expected, found = weights(folder / "whole"), weights(folder / word)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


FILES = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]


@pytest.mark.parametrize("file", mostly_slow(FILES, ["optimizer.pt", "trainer_state.json"]))
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(fit, file, tmp_path):
    words, folder = fit
    output = str(tmp_path / "run")
    with mock.patch("polymodal.training.prediction_training.calibrate", side_effect=KeyboardInterrupt):
        assert polymodal(*words, output, folder=folder).status == 130
    last = max((tmp_path / "run/checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name[11:]))
    torch.save([1, 2], last / file) if file != "trainer_state.json" else (last / file).write_text("{}")
    result = polymodal(*words, output, "--resume", folder=folder)
    assert result.status == 0 and f"{last.name}: {file} cannot be read" in result.err
    torch.testing.assert_close(weights(folder / "whole"), weights(tmp_path / "run"), rtol=0, atol=0)
