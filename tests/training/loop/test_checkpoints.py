"""Checkpoints: whole or not there, the newest and the best kept, and a disk that is full."""

import errno
import json
import os
from unittest import mock

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

import polymodal as pm
from polymodal.data.processor import PolymodalProcessor
from polymodal.training.loop.checkpoints import checkpoints, last_readable, publish
from polymodal.utils.atomic import aside, folder_aside, why_not_written
from tests.support.command import polymodal, settings
from tests.support.tables import write_houses

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_checkpoint(folder, step):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"weight": torch.zeros(100)}, path / "model.safetensors")
    torch.save({"state": torch.zeros(100)}, path / "optimizer.pt")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return path


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_checkpoint_whose_file_was_cut_off_is_passed_over(tmp_path, file):
    whole, broken = write_checkpoint(tmp_path, 9), write_checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-notes").mkdir()
    assert checkpoints(tmp_path) == [whole, broken]
    content = (broken / file).read_bytes()
    (broken / file).write_bytes(content[: len(content) // 2])
    assert checkpoints(tmp_path) == [whole]


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": float("nan")},
        {"best_metric": "x"},
        {"log_history": [3]},
        {"save_steps": "x"},
        {"stateful_callbacks": {}},
        {"stateful_callbacks": {"TrainerControl": 3}},
    ],
)
def test_a_state_that_no_training_wrote_is_no_checkpoint_to_go_on_from(tmp_path, change):
    control = {"args": {"should_training_stop": False}, "attributes": {}}
    state = {"global_step": 9, "epoch": 1.0, "stateful_callbacks": {"TrainerControl": control}}
    file = write_checkpoint(tmp_path, 9) / "trainer_state.json"
    file.write_text(json.dumps(state))
    assert last_readable(tmp_path) == [file.parent]
    file.write_text(json.dumps(state | change))
    with pytest.raises(pm.RunError, match=r"trainer_state\.json"):
        last_readable(tmp_path)


def test_an_optimizer_of_one_number_that_claims_terabytes_is_refused(tmp_path):
    control = {"args": {"should_training_stop": False}, "attributes": {}}
    state = {"global_step": 9, "epoch": 1.0, "stateful_callbacks": {"TrainerControl": control}}
    checkpoint = write_checkpoint(tmp_path, 9)
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    torch.save({"state": {0: {"exp_avg": torch.zeros(1).expand(10**10)}}}, checkpoint / "optimizer.pt")
    with pytest.raises(pm.RunError, match=r"optimizer\.pt"):
        last_readable(tmp_path)


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (2, 10, [10, 30]),
        (2, 30, [20, 30]),
        (1, 10, [10, 30]),
        (3, 10, [10, 20, 30]),
        (None, 10, [10, 20, 30]),
    ],
)
def test_the_newest_and_the_best_checkpoint_stay(tmp_path, limit, best, kept):
    for step in (10, 20):
        write_checkpoint(tmp_path, step)
    publish(write_checkpoint(tmp_path / ".part", 30), limit, str(tmp_path / f"checkpoint-{best}"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"checkpoint-{step}" for step in kept]


def test_a_write_that_fails_leaves_what_stood_there(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(OSError), aside(tmp_path / "a.json") as part:
        part.write_text("ne")
        raise FULL
    with pytest.raises(OSError), folder_aside(tmp_path, last="a.json") as part:
        (part / "a.json").write_text("ne")
        raise FULL
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize("was_there", [True, False])
def test_ctrl_c_between_two_files_leaves_an_empty_folder_empty(tmp_path, monkeypatch, was_there):
    def interrupted(source, target):
        if not str(target).endswith("b.json"):
            return replace(source, target)
        raise KeyboardInterrupt

    replace, folder = os.replace, tmp_path / "new" / "out"
    if was_there:
        folder.mkdir(parents=True)
    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), folder_aside(folder, last="b.json") as part:
        (part / "inner").mkdir()
        for name in ("a.json", "b.json", "inner/c.json"):
            (part / name).write_text("{}")
    assert list(tmp_path.rglob("*")) == ([tmp_path / "new", folder] if was_there else [])


def test_why_a_library_could_not_write():
    rust = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert why_not_written(FULL) == why_not_written(rust) == "No space left on device"
    torchs = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")
    assert why_not_written(torchs) == "the file was cut off; is the disk full?"
    assert why_not_written(RuntimeError("shapes cannot be multiplied")) is None


@pytest.fixture
def fit(tmp_path):
    """The words of a fit of four epochs of two steps, and the folder it is called in."""
    write_houses(tmp_path)
    options = settings("photo", train__epochs=4)
    return ["fit", "houses.csv", "-t", "kind", "-i", "photo,bedrooms", *options, "-o"], tmp_path


def weights(folder):
    return pm.load(folder).model.state_dict()


def assert_resumes(words, folder):
    """The run that was broken off goes on to the weights of an unbroken one."""
    result = polymodal(*words, "run", "--resume", folder=folder)
    assert result.status == 0, result.err
    assert polymodal(*words, "unbroken", folder=folder).status == 0
    expected, found = weights(folder / "unbroken"), weights(folder / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    names = [sorted(path.name for path in (folder / run).iterdir()) for run in ("run", "unbroken")]
    assert names[0] == names[1]


def test_a_full_disk_keeps_the_checkpoint_before_and_says_so(fit):
    words, folder = fit
    save = torch.save

    def fill(content, path, *more, **named):
        if "checkpoint-6" in str(path) and str(path).endswith("scheduler.pt"):
            raise FULL
        save(content, path, *more, **named)

    with mock.patch("torch.save", fill):
        result = polymodal(*words, "run", folder=folder)
    assert result.status == 1
    assert result.errors == [
        "run/checkpoints/checkpoint-6: cannot be written (No space left on device). checkpoint-4 is whole: "
        "free space, then the same command with --resume goes on"
    ]
    left = sorted(path.name for path in (folder / "run/checkpoints").iterdir() if path.is_dir())
    assert left == ["checkpoint-2", "checkpoint-4"]
    assert_resumes(words, folder)


def test_a_full_disk_at_the_end_leaves_a_run_that_can_be_finished(fit):
    words, folder = fit
    with mock.patch.object(PolymodalProcessor, "save_pretrained", side_effect=FULL):
        result = polymodal(*words, "run", folder=folder)
    assert result.errors == [
        "run: cannot be written (No space left on device). "
        "Free space: the same command with --resume finishes the run"
    ]
    with pytest.raises(pm.RunError, match="with resume=True if checkpoints/ is there"):
        pm.load(folder / "run")
    assert_resumes(words, folder)


@pytest.mark.slow
def test_patience_counts_on_where_a_resumed_run_left_off(fit):
    """It had stopped for lack of progress when it was killed: nothing more is trained."""
    words, folder = fit
    words = [*words[:-1], *("--set", "train.epochs=30", "--set", "train.patience=2"),
             *("--set", "train.learning_rate=1e-9"), words[-1]]  # fmt: skip
    with mock.patch("polymodal.pipelines.prediction_fit.measure_tests", side_effect=KeyboardInterrupt):
        assert polymodal(*words, "run", folder=folder).status == 130
    assert_resumes(words, folder)
    history = [
        json.loads((folder / run / "metrics.json").read_text())["history"] for run in ("run", "unbroken")
    ]
    steps = [[entry["step"] for entry in entries if "eval_selection" in entry] for entries in history]
    assert steps[0] == steps[1] and len(steps[0]) < 30


@pytest.mark.slow
def test_a_folder_that_was_moved_is_resumed_where_it_lies(fit):
    words, folder = fit
    with mock.patch("polymodal.pipelines.prediction_fit.measure_tests", side_effect=KeyboardInterrupt):
        assert polymodal(*words, "first", folder=folder).status == 130
    (folder / "first").rename(folder / "run")
    assert_resumes(words, folder)
