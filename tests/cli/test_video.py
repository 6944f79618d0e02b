"""Clips through the command line: the whole road, empty cells, and one clear line for each that is broken."""

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.support.clips import moving, ramp, write_clip, write_moves
from tests.support.command import errors, polymodal, settings

SMALL = settings(inputs__clip__size=16, inputs__clip__frames=4, train__epochs=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of clips, and ``run``, fitted to it."""
    folder = tmp_path_factory.mktemp("moves")
    write_moves(folder)
    result = polymodal("fit", "moves.csv", "-t", "way", "-o", "run", *SMALL, folder=folder)
    assert result.status == 0, result.err
    return folder


def test_check_recognises_opens_and_measures_clips(folder):
    result = polymodal("check", "moves.csv", "-t", "way", folder=folder)
    assert result.status == 0 and result.out.endswith("A fit would start.\n")
    assert "0.32 s, 8 frames of 16×16 pixels" in result.out and "cells end in .mp4" in result.out
    columns = polymodal("check", "moves.csv", "-t", "way", "--json", folder=folder).json["columns"]
    assert columns[0]["modality"] == "video" and columns[0]["role"] == "input" and columns[0]["empty"] > 0


def test_init_writes_a_declaration_that_fits(folder):
    text = polymodal("init", "moves.csv", "-t", "way", folder=folder).out
    assert "clip: {modality: video}  # " in text and "cells end in .mp4" in text
    (folder / "run.yaml").write_text(text)
    assert polymodal("fit", "run.yaml", "-o", "declared", *SMALL, folder=folder).status == 0
    declared = yaml.safe_load((folder / "declared/run.yaml").read_text())
    assert declared["inputs"]["clip"]["frames"] == 4 and declared["inputs"]["clip"]["modality"] == "video"


def test_predict_evaluate_and_embed_with_empty_cells(folder):
    assert polymodal("predict", "run", "moves.csv", "-o", "a.parquet", folder=folder).status == 0
    answers, table = pd.read_parquet(folder / "a.parquet"), pd.read_csv(folder / "moves.csv")
    empty = table["clip"].isna()
    assert empty.any() and answers["way"].isin(["left", "right"]).all()
    assert (answers["missing"].str.contains("clip") == empty).all()
    measured = polymodal("evaluate", "run", "moves.csv", "--json", folder=folder).json
    assert 0 <= measured["way"]["accuracy"] <= 1
    result = polymodal("embed", "run", "moves.csv", "--input", "clip", "-o", "e.parquet", folder=folder)
    assert result.status == 0, result.err
    vectors = pd.read_parquet(folder / "e.parquet").filter(regex=r"\d").to_numpy(dtype=float)
    assert np.isnan(vectors[empty]).all() and np.isfinite(vectors[~empty]).all()


@pytest.mark.slow
def test_what_is_learnt_of_movement_is_kept(tmp_path):
    """Which way a square goes, which none of its frames shows: learnt, saved, and answered by the command."""
    write_moves(tmp_path, rows=100, empty=0)
    more = settings(inputs__clip__size=16, inputs__clip__augment="false", fusion__width=32,
                    train__epochs=12, train__learning_rate=0.003, train__batch_size=16)  # fmt: skip
    fit = ["fit", "moves.csv", "-t", "way", "-i", "clip", "-o", "run", *more]
    assert polymodal(*fit, folder=tmp_path).status == 0
    for number in range(20):
        write_clip(tmp_path / f"new/{number}.mp4", moving((1, -1)[number % 2], 1000 + number), crf="10")
    rows = [{"clip": f"new/{n}.mp4", "way": ("right", "left")[n % 2]} for n in range(20)]
    pd.DataFrame(rows).to_csv(tmp_path / "new.csv", index=False)
    measured = polymodal("evaluate", "run", "new.csv", "--json", folder=tmp_path).json
    assert measured["way"]["accuracy"] >= 0.9


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_every_clip_that_cannot_be_read_is_one_line(folder, tmp_path, command):
    bad = folder / "bad"
    bad.mkdir(exist_ok=True)
    whole = write_clip(bad / "whole.mp4", ramp(32, 16, 16), movflags="+faststart").read_bytes()
    (bad / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (bad / "page.mp4").write_text("This is no clip but a page of text.\n" * 50)
    (bad / "nothing.mp4").write_bytes(b"")
    write_clip(bad / "long.mp4", ramp(2, 16, 16), rate=Fraction(1, 400))
    table = pd.read_csv(folder / "moves.csv", dtype=str)
    names = ["cut", "page", "nothing", "none", "long"]
    table.loc[2:6, "clip"] = [f"bad/{name}.mp4" for name in names]
    table.to_csv(folder / "bad.csv", index=False)
    arguments = {
        "fit": ["bad.csv", "-t", "way", "-o", tmp_path / "other", *SMALL],
        "predict": ["run", "bad.csv", "-o", tmp_path / "a.parquet"],
    }[command]
    said = sorted(
        errors(folder, command, *arguments), key=lambda line: int(line.split("row ")[1].split(",")[0])
    )
    expected = [
        "row 3, column 'clip': bad/cut.mp4 is cut short: it ends after 0.",
        "row 4, column 'clip': bad/page.mp4 cannot be decoded (Invalid data found when processing input), "
        "expected a clip. Replace the file, or leave the cell empty.",
        "row 5, column 'clip': bad/nothing.mp4: the file is empty. Replace the file, or leave",
        "row 6, column 'clip': bad/none.mp4 does not exist. Relative paths start from the table's folder: ",
        "row 7, column 'clip': bad/long.mp4 is longer than 600 seconds, expected at most 600 seconds. Cut",
    ]
    assert len(said) == len(expected)
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(f"bad.csv, {start}"), line
    assert not any(tmp_path.iterdir())


def test_a_cell_may_hold_several_clips_and_the_bad_one_is_named(folder):
    table = pd.read_csv(folder / "moves.csv", dtype=str)
    first, second = table["clip"].dropna()[:2]
    table["clip"] = [json.dumps([clip, first]) if isinstance(clip, str) else "" for clip in table["clip"]]
    table.to_csv(folder / "several.csv", index=False)
    result = polymodal("check", "several.csv", "-t", "way", folder=folder)
    assert "0.32 s, 8 frames of 16×16 pixels, at most 2 a cell" in result.out
    assert polymodal("fit", "several.csv", "-t", "way", "-o", "both", *SMALL, folder=folder).status == 0
    assert polymodal("predict", "both", "several.csv", "-o", "b.parquet", folder=folder).status == 0
    answers = pd.read_parquet(folder / "b.parquet")
    assert (answers["missing"].str.contains("clip") == (table["clip"] == "")).all()
    table.loc[1, "clip"] = json.dumps([second, "gone.mp4"])
    table.to_csv(folder / "gone.csv", index=False)
    for command in (["fit", "gone.csv", "-t", "way", "-o", "no", *SMALL],
                    ["predict", "both", "gone.csv", "-o", "no.parquet"]):  # fmt: skip
        said = errors(folder, *command)
        assert len(said) == 1
        assert said[0].startswith("gone.csv, row 2, column 'clip': item 2: gone.mp4 does not exist.")


def test_a_checkpoint_of_clips_that_is_asked_for_other_frames_is_refused(folder):
    from transformers import VideoMAEConfig, VideoMAEImageProcessorPil, VideoMAEModel

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    sizes = VideoMAEConfig(num_frames=4, image_size=16, patch_size=8, **small)
    VideoMAEModel(sizes).save_pretrained(folder / "mae")
    shape = {"height": 16, "width": 16}
    VideoMAEImageProcessorPil(size={"shortest_edge": 16}, crop_size=shape).save_pretrained(folder / "mae")
    fit = ["fit", "moves.csv", "-t", "way", "-o", "tuned", *settings(inputs__clip__encoder="mae")]
    said = errors(folder, *fit, "--set", "inputs.clip.frames=8")
    assert said == ["'frames' cannot be 8: the encoder of 'clip' reads 4. Leave 'frames' out"]
    result = polymodal(*fit, "--set", "inputs.clip.freeze=true", "--json", folder=folder)
    assert result.status == 0, result.err
    kept = json.loads((folder / "tuned/processor_config.json").read_text())["readers"]
    assert kept[0]["part"] and kept[0]["settings"]["frames"] == 4
    assert polymodal("evaluate", "tuned", "moves.csv", folder=folder).status == 0
