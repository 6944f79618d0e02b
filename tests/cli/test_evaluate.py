"""``polymodal evaluate``: retrieval, labels without training and linear probes, as a user asks for them."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from polymodal.run import Run
from tests.support.command import error, polymodal, settings
from tests.support.planted import numbered, plant, share_space, write_pairs
from tests.support.tables import write_picture


@pytest.fixture
def pairs(folder, monkeypatch):
    """A folder with a run that knows which photo and note of ``pairs.csv`` belong together."""
    ways = {"flat": np.eye(8)[0], "house": np.eye(8)[1]}

    def vector(name, cell):
        if cell in ways or str(cell).startswith("a "):
            return ways[str(cell).removeprefix("a ")]
        number = int(re.sub(r"\D", "", str(cell)) or 0)
        return 2 * ways[("flat", "house")[number % 2]] + 0.2 * numbered(number, 8)

    plant(monkeypatch, vector, 8)
    numbers = range(40)
    write_pairs(
        folder,
        kind=[("flat", "house")[n % 2] for n in numbers],
        split=["train"] * 20 + ["val"] * 8 + ["test"] * 12,
        name=[f"nom {n}" if n % 4 else "" for n in numbers],
        wrong=[f"nom {(n + 1) % 40}" for n in numbers],
    )
    return folder


def test_retrieval_stands_beside_the_targets(folder, monkeypatch):
    share_space(monkeypatch)
    result = polymodal("evaluate", "run", "houses.csv", "--retrieval", folder=folder)
    assert result.status == 0 and not result.err
    for word in (
        "accuracy",
        "rmse",
        "photo → note",
        "bedrooms → note",
        "recall@10",
        "95 % interval",
        "by chance",
    ):
        assert word in result.out
    found = polymodal("evaluate", "run", "houses.csv", "--retrieval", "--json", folder=folder).json
    assert [*found] == ["targets", "retrieval"] and found["targets"]["kind"].keys() >= {"accuracy"}
    plain = polymodal("evaluate", "run", "houses.csv", "--json", folder=folder).json
    assert plain == found["targets"]


def test_a_run_without_targets_is_measured_by_retrieval(pairs, monkeypatch):
    load = Run.load.__func__

    def untrained(cls, folder, **more):
        run = load(cls, folder, **more)
        run.model.config.heads = []
        return run

    monkeypatch.setattr(Run, "load", classmethod(untrained))
    result = polymodal("evaluate", "run", "pairs.csv", "--json", folder=pairs)
    assert [*result.json] == ["retrieval"] and result.json["retrieval"]["photo → note"]["queries"] == 40
    assert (
        result.err == "note: 20 of these 40 rows are marked for training; --split test measures the others\n"
    )
    tested = polymodal("evaluate", "run", "pairs.csv", "--split", "test", "--json", folder=pairs)
    assert tested.json["retrieval"]["photo → note"]["queries"] == 12 and not tested.err
    monkeypatch.setattr(Run, "shares_space", False)
    said = error(pairs, "evaluate", "run", "pairs.csv")
    assert said.startswith(
        "run: it has no targets, and its inputs share no space. Measure its vectors with --linear"
    )


def test_columns_are_read_in_the_place_of_inputs(pairs):
    asked = ["evaluate", "run", "pairs.csv", "--retrieval", "--zero-shot", "kind", "--json"]
    named = polymodal(*asked, "--as", "note=name", folder=pairs).json["retrieval"]["note → photo"]
    assert named["rows"] == 30 and named["recall_at_1"]["value"] == 1  # every fourth name is empty
    wrong = polymodal(*asked, "--as", "note=wrong", folder=pairs).json["retrieval"]["note → photo"]
    assert wrong["rows"] == 40 and wrong["recall_at_1"]["value"] == 0


def test_a_target_is_measured_with_other_columns_too(folder):
    """The same model, another drawing style: here one that is all black."""
    write_picture(folder / "black.png", 0.0, np.random.default_rng(0))
    frame = pd.read_csv(folder / "houses.csv").assign(dark="black.png")
    frame.to_csv(folder / "dark.csv", index=False)
    own, dark = (
        polymodal("evaluate", "run", "dark.csv", *more, "--json", folder=folder).json
        for more in ([], ["--as", "photo=dark"])
    )
    frame.assign(photo="black.png").to_csv(folder / "black.csv", index=False)
    assert dark == polymodal("evaluate", "run", "black.csv", "--json", folder=folder).json != own


def test_labels_without_training(pairs):
    asked = ["evaluate", "run", "pairs.csv", "--zero-shot", "kind", "--prompts", "a {}", "--prompts", "{}"]
    result = polymodal(*asked, "--split", "test", folder=pairs)
    assert result.status == 0 and not result.err
    assert "run on pairs.csv: kind without training, 12 rows" in result.out
    assert re.search(r"accuracy +100\.0 % +100\.0 to 100\.0 % +50\.0 % +50\.0 %", result.out)
    assert "named to ‘note’ as ‘a {}’, ‘{}’" in result.out and "Fewer than 30 independent rows" in result.out
    found = polymodal(*asked, "--classes", "house,flat", "--inputs", "photo", "--json", folder=pairs).json
    assert [*found] == ["zero_shot"] and found["zero_shot"]["classes"] == ["house", "flat"]
    assert found["zero_shot"]["inputs"] == ["photo"] and found["zero_shot"]["rows"] == 40


def test_linear_probes_of_classes_and_numbers(pairs, folder):
    result = polymodal("evaluate", "run", "pairs.csv", "--linear-probe", "kind", folder=pairs)
    assert "run on pairs.csv: linear probe of kind, 20 train, 8 validation, 12 test rows" in result.out
    assert re.search(r"accuracy +100\.0 % +100\.0 to 100\.0 % +50\.0 %", result.out)
    lacks = "pairs.csv: no column 'bedrooms', which the run reads: missing in all 40 rows"
    assert result.err == f"warning: {lacks}\n"
    assert "On the fused vector (8 numbers); C " in result.out
    asked = ["evaluate", "run", "houses.csv", "--linear-probe", "price", "--input", "photo"]
    pd.read_csv(folder / "houses.csv").to_csv(folder / "houses.csv", index=False)
    priced = polymodal(*asked, "--json", folder=folder).json["linear_probe"]
    assert priced["task"] == "regression" and priced["input"] == "photo" and "rmse" in priced["metrics"]
    shown = polymodal(*asked, folder=folder).out
    assert (
        "R²" in shown
        and "root mean squared error" in shown
        and "the mean" in shown
        and "On the vector of ‘photo’" in shown
    )


def test_rows_that_cannot_be_read_are_left_out_once_and_named_by_their_own_column(pairs):
    frame = pd.read_csv(pairs / "pairs.csv", dtype=str)
    frame["other"] = frame["photo"].where(frame.index != 30, "none.png")
    frame.to_csv(pairs / "pairs.csv", index=False)
    unplanted = Run.batches
    asked = ["evaluate", "run", "pairs.csv", "--as", "photo=other", "--retrieval", "--linear-probe", "kind"]
    Run.batches = planted_after_reading(unplanted)
    try:
        said = error(pairs, *asked)
        assert re.match(r"pairs.csv, row 31, column 'other': none.png does not exist. ", said)
        result = polymodal(*asked, "--on-error", "skip", "--json", folder=pairs)
    finally:
        Run.batches = unplanted
    left = [line for line in result.err.splitlines() if line.startswith("left out: ")]
    assert len(left) == 1 and "row 31, column 'other'" in left[0]
    assert result.json["retrieval"]["photo → note"]["rows"] == 39
    assert result.json["linear_probe"]["left_out"]["test"] == {"no_answer": 0, "no_input": 0, "unread": 1}


def planted_after_reading(planted):
    """The planted vectors of rows that are read as the model's own are."""

    def batches(self, rows, batch_size):
        read = rows.__getitems__(range(len(rows)))
        bad = {number: row["problems"] for number, row in enumerate(read) if "problems" in row}
        for batch in planted(self, rows, batch_size):
            batch.problems = {number: bad[number] for number in batch.index if number in bad}
            batch.output.present[batch.unread] = False
            yield batch

    return batches


def test_slips_are_told_in_one_line(pairs):
    def said(*more):
        return error(pairs, "evaluate", "run", "pairs.csv", *more)

    assert said("--retrieval", "--as", "note").startswith(
        "'note' says no column to read, expected input=column"
    )
    assert said("--retrieval", "--as", "=name").startswith("'=name' says no column to read")
    twice = said("--retrieval", "--as", "note=name", "--as", "note=wrong")
    assert twice == "both 'name' and 'wrong' are to be read as 'note'. Leave one out"
    assert "no column 'names' to read as 'note'. Did you mean 'name'?" in said(
        "--retrieval", "--as", "note=names"
    )
    assert "there is no input 'notes'. Did you mean 'note'?" in said("--retrieval", "--as", "notes=name")
    assert said("--retrieval", "--as", "note=photo").endswith(
        "end in .png, expected text, as 'note' reads it"
    )
    assert said("--inputs", "photo,note").startswith("--inputs goes with retrieval")
    assert "no row is for test" in error(
        pairs, "evaluate", "run", "none.csv", "--retrieval", "--split", "test"
    )
    assert "the prompt 'a' has no {}" in said("--zero-shot", "kind", "--prompts", "a")


@pytest.fixture(autouse=True)
def none(folder):
    """A table whose split column has no test rows."""
    frame = pd.read_csv(folder / "houses.csv").assign(split=["train"] * 30 + ["val"] * 10)
    frame.to_csv(folder / "none.csv", index=False)


@pytest.mark.parametrize(
    "options",
    [
        ["--prompts", "a {}"],
        ["--classes", "a,b"],
        ["--prompt-input", "note", "--linear-probe", "kind"],
        ["--input", "photo"],
        ["--task", "regression", "--zero-shot", "kind"],
        ["--linear-probe", "kind", "--split", "test"],
        ["--split", "tests"],
        ["--task", "guess", "--linear-probe", "kind"],
    ],
)
def test_options_that_would_have_no_effect_are_misuse(folder, options):
    result = polymodal("evaluate", "run", "houses.csv", *options, folder=folder)
    assert result.status == 2 and not result.out and "Traceback" not in result.err


def test_on_real_emoji(data_folder, tmp_path):
    """Names in other languages and another drawing style, through a model that was hardly trained."""
    whole = pd.read_csv(data_folder / "emoji_captions/emoji.csv", dtype=str)
    counts = {"train": 60, "val": 20, "test": 40}
    rows = pd.concat(
        [whole[whole.split == name].sample(count, random_state=0) for name, count in counts.items()]
    )
    for column in ("image", "image_fxemoji"):
        rows[column] = rows[column].map(
            lambda cell: str(data_folder / "emoji_captions" / cell), na_action="ignore"
        )
    rows.to_csv(tmp_path / "emoji.csv", index=False)
    tiny = [*settings(), "--set", "inputs.image.size=16"]
    fit = [
        "fit",
        "emoji.csv",
        "-t",
        "group",
        "-i",
        "image,label_en",
        "-o",
        "emoji",
        *tiny,
        "--media-anywhere",
    ]
    assert polymodal(*fit, folder=tmp_path).status == 0
    others = ["--as", "label_en=label_zh", "--as", "image=image_fxemoji"]
    asked = [
        "evaluate",
        "emoji",
        "emoji.csv",
        "--retrieval",
        "--split",
        "test",
        "--json",
        *others,
        "--media-anywhere",
    ]
    with pytest.MonkeyPatch.context() as patch:
        share_space(patch)
        result = polymodal(*asked, folder=tmp_path)
    assert result.status == 0, result.err
    found = json.loads(result.out)["retrieval"]
    tested = rows[rows.split == "test"]
    assert found["image → label_en"]["rows"] == tested["image_fxemoji"].notna().sum() < 40
