"""Two processes train what one trains: the same weights, the same metrics, and each line is said once."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import torch

from tests.support.command import polymodal
from tests.support.killing import weights
from tests.support.processes import polymodal_together
from tests.support.tables import ALONE, house_rows, tiny, write_houses, write_table

INPUTS = ("photo", "voice", "note", "bedrooms", "district")
STILL = {
    "train.epochs": 2, "fusion.dropout": 0, "inputs.photo.augment": False, "inputs.voice.augment": False,
    "inputs.note.encoder": "{type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, "
                           "intermediate_size: 16, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0}",
}  # fmt: skip
"""Settings without any chance that hangs on the process; that of modality dropout hangs on the row alone."""


def words(batch, *more):
    """A fit to two targets, ``batch`` rows in a process at once."""
    given = [*tiny(*INPUTS, **ALONE), *(f"{name}={value}" for name, value in STILL.items()), *more]
    options = [word for setting in [*given, f"train.batch_size={batch}"] for word in ("--set", setting)]
    return ["fit", "houses.csv", "-t", "kind", "-t", "price", "-i", ",".join(INPUTS), *options]


def results(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def houses(tmp_path):
    """A folder with a table in which one row alone has a picture, and answers are empty here and there."""
    rows = house_rows(tmp_path, 40, empty=0.2)
    for number, row in enumerate(rows):
        row["photo"] = "photos/5.png" if number == 5 else None
        row["price"] = row["price"] if number % 3 else None
        row["kind"] = row["kind"] if number < 30 else None
        row["split"] = "test" if number < 5 else "validation" if number < 12 else "train"
    rows[5]["split"] = "train"
    write_table(tmp_path / "houses.csv", rows)
    return tmp_path


def test_two_processes_give_the_weights_and_metrics_of_one(houses):
    """29 rows for training: in the last step of an epoch the second of two processes has none left."""
    more = ["targets.kind.class_weights=balanced", "train.optim=sgd", "train.learning_rate=0.1"]
    one = polymodal(*words(12, *more), "-o", "one", folder=houses)
    assert one.status == 0, one.err
    main, other = polymodal_together(*words(6, *more), "-o", "two", "--json", folder=houses)
    assert main[0] == other[0] == 0, main[2] + other[2]
    assert json.loads(main[1])["run"] == "two" and not main[2]
    assert not other[1] and not other[2]
    expected, found = weights(houses / "one"), weights(houses / "two")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=5e-6, rtol=1e-5, msg=name)
    for part in ("test", "validation"):
        for target, measured in results(houses / "one")[part].items():
            assert results(houses / "two")[part][target] == pytest.approx(measured, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_a_mistake_is_told_once(houses):
    (houses / "photos/5.png").write_bytes(b"no picture")
    for more, line in ((["train.epocs=1"], "unknown key 'train.epocs'"), ([], "row 6, column 'photo'")):
        main, other = polymodal_together(*words(6, *more), "-o", "bad", folder=houses)
        assert main[0] == other[0] == 1
        assert line in main[2] and len(main[2].splitlines()) == 1
        assert not main[1] and not other[1] and not other[2]
    assert not (houses / "bad").exists()


@pytest.mark.slow
def test_rows_that_one_process_finds_unreadable_are_left_out_by_all(houses):
    frame = pd.read_csv(houses / "houses.csv", dtype=str)
    frame.loc[[14, 20], "photo"] = "none.png"
    frame.loc[30, "bedrooms"] = "many"
    frame.to_csv(houses / "houses.csv", index=False)
    skip = ["--on-error", "skip"]
    still = ["train.optim=sgd", "train.learning_rate=0.1", "train.epochs=1"]
    one = polymodal(*words(12, *still), *skip, "-o", "one", folder=houses)
    assert one.status == 0, one.err
    main, other = polymodal_together(*words(6, *still), *skip, "-o", "two", folder=houses)
    assert main[0] == other[0] == 0, main[2] + other[2]
    assert main[2].count("3 rows left out") == 1 and not other[1] and not other[2]
    assert sorted(pd.read_csv(houses / "two/rejected.csv")["row"]) == [15, 21, 31]
    assert results(houses / "two")["rows"] == results(houses / "one")["rows"]
    expected, found = weights(houses / "one"), weights(houses / "two")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=5e-6, rtol=1e-5, msg=name)


@pytest.mark.slow
def test_an_interrupted_run_of_two_goes_on(tmp_path):
    write_houses(tmp_path)
    given = tiny(train__epochs=3, train__batch_size=8, **ALONE)
    options = [word for setting in given for word in ("--set", setting)]
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms,district", *options]
    assert [status for status, _, _ in polymodal_together(*fit, "-o", "unbroken", folder=tmp_path)] == [0, 0]
    broken = polymodal_together(*fit, "-o", "run", folder=tmp_path, die_at=".part/checkpoint-4/trainer_state")
    assert broken[0][0] == -9
    assert [path.name for path in (tmp_path / "run/checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]
    main, other = polymodal_together(*fit, "-o", "run", "--resume", folder=tmp_path)
    assert main[0] == other[0] == 0, main[2] + other[2]
    assert "epoch 1/3" not in main[2] and "epoch 3/3" in main[2]
    expected, found = weights(tmp_path / "unbroken"), weights(tmp_path / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.slow
def test_torchrun(tmp_path):
    write_houses(tmp_path, rows=20)
    options = [word for setting in tiny() for word in ("--set", setting)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    fit = ["-m", "polymodal", "fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "run", "--json"]
    command = [*torchrun, *fit, *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and json.loads(done.stdout)["run"] == "run"
    assert done.stderr == ""
