"""The benchmark scripts run at toy size and print ratios; what they measure is not looked at."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from polymodal.data.media.sequence import load_sequence
from polymodal.data.tables.table import read_table
from tests.support.tables import write_sound

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of the folder, imported as Python runs it: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module(request.param)


@pytest.mark.parametrize("script", ["training"], indirect=True)
def test_training_prints_a_ratio_a_line(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke"])
    lines = capsys.readouterr().out.splitlines()
    assert "41 rows" in lines[0]
    for name, line in zip(script.LINES, lines[2:], strict=True):
        ours, plain, ratio = map(float, re.match(rf"{name} +(\S+) +(\S+) +(\S+)", line).groups())
        assert ours > 0 and ratio == pytest.approx(ours / plain, abs=0.01)


@pytest.mark.parametrize("script", ["training"], indirect=True)
def test_both_sides_must_read_the_same(script: Any) -> None:
    torch = pytest.importorskip("torch")
    batch = {"index": torch.arange(2), "inputs": {"image": {"row": torch.arange(2)}}}
    script.check_equal(batch, batch)
    for other in ({"row": torch.arange(2) + 1}, {}):
        with pytest.raises(SystemExit, match=r"batch\.inputs\.image"):
            script.check_equal(batch, {**batch, "inputs": {"image": other}})


@pytest.mark.parametrize("script", ["plain_loop"], indirect=True)
def test_the_plain_loop_leaves_out_what_a_row_lacks(script: Any) -> None:
    picture, sound = np.zeros((3, 4, 4), np.uint8), np.ones(3, np.float32)
    rows = [(0, {"a": picture, "b": None, "c": None}, 1), (1, {"a": None, "b": sound, "c": None}, 0)]
    batch = script.collate(rows, "label", samples=5)
    assert list(batch["inputs"]) == ["a", "b"]
    assert batch["inputs"]["a"]["row"].tolist() == [0] and batch["inputs"]["b"]["row"].tolist() == [1]
    assert batch["inputs"]["b"]["waveform"].tolist() == [[1, 1, 1, 0, 0]]
    assert batch["targets"]["label"].tolist() == [1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["startup"], indirect=True)
def test_startup_prints_a_ratio_a_line(
    script: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "REFERENCE", "import json")  # the real one takes seconds
    script.main(["--smoke"])
    out = capsys.readouterr().out
    for name in ("polymodal --help", "import polymodal", "load [+] predict"):
        assert re.search(rf"{name} +\d+\.\d+ .* +\d+\.\d\d   \(", out)
    assert "import polymodal loads torch: no" in out
    assert "first prediction" in out


@pytest.mark.parametrize("script", ["motion"], indirect=True)
def test_motion_makes_its_clips_once_and_fits_with_many_frames_and_with_one(
    script: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOTION", "")  # so that it is put back
    arguments = ["--smoke", "--output", str(tmp_path)]
    script.main(arguments)
    first = capsys.readouterr().out.splitlines()[-2:]
    for count, line in zip(("8 frames", "1 frame"), first, strict=True):
        assert re.match(rf"motion, {count}, seed 0: test accuracy [01]\.\d+ \(at (least|most) ", line)
    made = {
        path: path.stat().st_mtime_ns for path in tmp_path.glob("*/**/*.mp4") if "samples" not in path.parts
    }
    assert len(made) == 24
    script.main(arguments)
    assert capsys.readouterr().out.splitlines() == first  # nothing is fitted or made again
    assert made.items() <= {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}.items()


@pytest.mark.parametrize("script", ["motion"], indirect=True)
def test_where_a_digit_is_says_nothing_of_where_it_goes(script: Any) -> None:
    """Of bare digits without noise, the mean picture of any frame is the same for all directions."""
    ways = list(script.DIRECTIONS)
    dot = np.ones((script.DIGIT, script.DIGIT))
    draws = [
        [script.draw(way, dot, np.random.default_rng([number, seed]))[8] for seed in range(100)]
        for number, way in enumerate(ways)
    ]
    spread = np.ptp(np.mean(draws, axis=1), axis=0).max()
    assert spread < 70  # of 155 between digit and noise; chance alone gives about 35
    clip = script.draw("south-east", dot, np.random.default_rng(0)).astype(float)
    moved = [np.abs(np.roll(clip[0], (step, step), (0, 1)) - clip[1]).mean() for step in (-3, 0, 2, 3, 4)]
    assert min(moved[2:]) < min(moved[:2])


@pytest.mark.parametrize("script", ["real_input"], indirect=True)
def test_recordings_become_frames_of_their_own_length(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "data" / "av_digits"
    for name, seconds in {"one": 0.2, "two": 0.5}.items():
        write_sound(source / "audio" / f"{name}.wav", 440, seconds, rate=8000)
    lines = ["image,image_degraded,audio,label,split"]
    lines += [f"images/{place}.png,blur/{place}.png,audio/{name}.wav,{place},train"
              for place, name in enumerate(["one", "two", "one"])]  # fmt: skip
    (source / "digits.csv").write_text("\n".join(lines))
    monkeypatch.setattr(script, "DATA", tmp_path / "data")
    table = read_table(script.write_frames(tmp_path / "frames"))
    shapes = [load_sequence(row["frames"], table.root).shape for row in table.rows()]
    assert shapes == [(21, 64), (51, 64), (21, 64)]
    assert table.columns == ["image_degraded", "frames", "label", "split"]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["every_modality"], indirect=True)
def test_every_pattern_of_missing_inputs_is_predicted(
    script: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script.main(["--smoke", "--output", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    for modality in ("video", "audio", "image", "text", "number", "category", "sequence"):
        assert modality in lines[0]
    assert [line.split()[0] for line in lines[3:]] == [*script.INPUTS, *map(str, range(8))]
    table = pd.read_csv(tmp_path / "data" / "half.csv")
    assert 0.4 < table[list(script.INPUTS)].isna().mean(axis=None) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("script", ["report"], indirect=True)
def test_the_report_is_measured_in_parts(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--rounds", "1", "--rows", "90"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "six inputs, 64 subsets: 30 rows"
    calls = {line[:26].strip(): float(line.split()[-5]) for line in lines[1:]}
    assert next(iter(calls)) == "full report" and list(calls)[-1] == "plain evaluation"
    assert calls["plain evaluation"] == 1 < calls["sections 1 and 2"] < calls["full report"]
