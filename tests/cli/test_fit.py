"""``polymodal fit``: how rows are split, what is replaced, resumed and overridden, tables of every kind."""

import shutil
from unittest import mock

import pandas as pd
import pytest
import yaml

from polymodal.training.loop.training_progress import TrainingProgress
from tests.support.command import polymodal, settings
from tests.support.tables import house_rows, write_houses, write_table


def test_groups_are_never_torn_apart(tmp_path):
    rows = [row | {"owner": f"owner {number // 4}"} for number, row in enumerate(house_rows(tmp_path, 60))]
    write_table(tmp_path / "t.csv", rows)
    result = polymodal("fit", "t.csv", "-t", "kind", "-i", "bedrooms", "-o", "run", "--json", *settings(),
                       "--set", "data.group=owner", "--set", "data.test=0.2", folder=tmp_path)  # fmt: skip
    assert result.status == 0, result.err
    test_rows = set(pd.read_parquet(tmp_path / "run/predictions.parquet")["row"] - 1)
    assert test_rows and all((row // 4 * 4 + i) in test_rows for row in test_rows for i in range(4))
    assert all(size % 4 == 0 for size in result.json["rows"].values())


def test_validation_and_test_rows_may_lie_in_files_of_their_own(tmp_path):
    rows = house_rows(tmp_path / "data", 40)
    write_table(tmp_path / "data/train.csv", rows[:24])
    write_table(tmp_path / "data/val.csv", rows[24:32])
    shutil.copytree(tmp_path / "data/photos", tmp_path / "elsewhere/photos")
    write_table(tmp_path / "elsewhere/test.csv", rows[32:])
    (tmp_path / "run.yaml").write_text(
        "data: {train: data/train.csv, validation: data/val.csv, test: elsewhere/test.csv}\n"
        "inputs: {photo: {modality: image}}\ntargets: {kind: {}}\n"
    )
    result = polymodal("fit", "run.yaml", "-o", "run", "--json", *settings("photo"), folder=tmp_path)
    assert result.status == 0, result.err
    assert result.json["rows"] == {"train": 24, "validation": 8, "test": 8}


def test_a_split_column_wins(tmp_path):
    marks = ["train"] * 20 + ["val"] * 8 + ["test"] * 12
    rows = [row | {"split": mark} for row, mark in zip(house_rows(tmp_path, 40), marks, strict=True)]
    write_table(tmp_path / "t.csv", rows)
    result = polymodal("fit", "t.csv", "-t", "kind", "-o", "run", "--json", *settings("photo", "voice"),
                       folder=tmp_path)  # fmt: skip
    assert result.json["rows"] == {"train": 20, "validation": 8, "test": 12}
    assert pd.read_parquet(tmp_path / "run/predictions.parquet")["row"].tolist() == list(range(29, 41))
    assert "split" not in yaml.safe_load((tmp_path / "run/run.yaml").read_text())["inputs"]


def test_a_finished_run_is_replaced_on_demand_only(tmp_path):
    write_houses(tmp_path)
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "run", *settings()]
    assert polymodal(*fit, folder=tmp_path).status == 0
    before = (tmp_path / "run/metrics.json").read_bytes()
    again = polymodal(*fit, "--set", "train.seed=1", folder=tmp_path)
    assert again.status == 1 and again.errors == [
        "run: holds a run already. Give another folder with -o, or --overwrite, or --resume"
    ]
    assert (tmp_path / "run/metrics.json").read_bytes() == before
    table = (tmp_path / "houses.csv").read_bytes()
    (tmp_path / "houses.csv").write_bytes(table[: table.rindex(b"\n", 0, -1) + 1])  # a row less
    said = "run: was finished with another houses.csv: the file has changed since. Fit anew with --overwrite"
    assert polymodal(*fit, "--resume", folder=tmp_path).errors[0].startswith(said)
    (tmp_path / "houses.csv").write_bytes(table)
    assert polymodal(*fit, "--set", "train.seed=1", "--overwrite", folder=tmp_path).status == 0
    assert (tmp_path / "run/metrics.json").read_bytes() != before


def test_an_interrupted_run_goes_on(tmp_path):
    write_houses(tmp_path)
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "run", *settings(train__epochs=3)]

    def stop(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt

    with mock.patch.object(TrainingProgress, "on_step_end", stop):
        broken = polymodal(*fit, folder=tmp_path)
    assert broken.status == 130 and "interrupted: the same command with --resume goes on" in broken.err
    other = polymodal(*fit, "--resume", "--set", "train.seed=1", folder=tmp_path)
    assert other.status == 1 and "its run.yaml declares something else" in other.errors[0]
    resumed = polymodal(*fit, "--resume", folder=tmp_path)
    assert resumed.status == 0 and "epoch 1/3" not in resumed.err and "epoch 3/3" in resumed.err


def test_without_a_checkpoint_resuming_is_beginning_and_says_so(tmp_path):
    write_houses(tmp_path)
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "bedrooms", "-o", "run", *settings()]
    result = polymodal(*fit, "--resume", folder=tmp_path)
    assert result.status == 0
    assert "run: no checkpoint to resume from, training starts at the first step" in result.err
    before = (tmp_path / "run/metrics.json").read_bytes()
    again = polymodal(*fit, "--resume", folder=tmp_path)
    assert again.status == 0 and "run: was finished already" in again.err and again.out == result.out
    assert (tmp_path / "run/metrics.json").read_bytes() == before
    (tmp_path / "run/run.yaml").unlink()
    assert polymodal(*fit, "--resume", folder=tmp_path).errors == [
        "run: its run.yaml is missing, so that nothing says what to resume. "
        "Put it back, or begin anew with --overwrite"
    ]


def test_a_fit_that_never_began_does_not_block_the_next(tmp_path):
    write_houses(tmp_path)
    (tmp_path / "photos/1.png").unlink()
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "photo,bedrooms", "-o", "run", *settings("photo")]
    assert polymodal(*fit, folder=tmp_path).status == 1
    write_houses(tmp_path)
    result = polymodal(*fit, folder=tmp_path)
    assert result.status == 0, result.err


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet"])
def test_tables_of_other_kinds(tmp_path, suffix):
    frame = pd.DataFrame(house_rows(tmp_path, 30)).convert_dtypes()
    path = tmp_path / f"houses{suffix}"
    if suffix == ".tsv":
        frame.to_csv(path, sep="\t", index=False)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    fit = ["fit", path.name, "-t", "kind", "-i", "photo,bedrooms", "-o", "run", *settings("photo")]
    result = polymodal(*fit, folder=tmp_path)
    assert result.status == 0, result.err
