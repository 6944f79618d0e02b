"""The benchmark scripts of prediction, frozen encoders and a GPU run at toy size; so do made photographs."""

from __future__ import annotations

import re
import wave
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from tests.support.checkpoints import CHECKPOINTS
from tests.support.tables import write_houses

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of the folder, imported as Python runs it: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module(request.param)


def compared(line: str, name: str) -> None:
    """``line`` holds the speeds of both sides and their ratio."""
    ours, plain, ratio = map(float, re.match(rf"{name} +(\S+) +(\S+) +(\S+)", line).groups())
    assert ours > 0 and ratio == pytest.approx(ours / plain, abs=0.01)


class Layer(nn.Linear):
    """A model with a loss."""

    def forward(self, x: torch.Tensor) -> Any:
        return SimpleNamespace(loss=super().forward(x).sum())


@pytest.mark.parametrize("script", ["training"], indirect=True)
def test_photographs_are_trained_on(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--photographs", "16", "--lines", "from the second epoch on"])
    lines = capsys.readouterr().out.splitlines()
    assert "photo,sound -> place, 16 rows" in lines[0] and len(lines) == 3
    compared(lines[2], "from the second epoch on")


@pytest.mark.parametrize("script", ["photographs"], indirect=True)
def test_every_photograph_and_recording_is_another_one(script: Any, tmp_path: Path) -> None:
    table = pd.read_csv(script.write_photographs(tmp_path, 12, size=(160, 120), seconds=0.2))
    assert table.split.value_counts().to_dict() == {"train": 12, "val": 8}
    for column in ("photo", "sound"):
        assert len({(tmp_path / name).read_bytes() for name in table[column]}) == len(table)
    with Image.open(tmp_path / table.photo[0]) as picture, wave.open(str(tmp_path / table.sound[0])) as sound:
        assert (picture.format, picture.size) == ("JPEG", (160, 120))
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (2, 44100, 8820)


@pytest.mark.parametrize("script", ["frozen"], indirect=True)
def test_frozen_prints_a_ratio(script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CHECKPOINTS["bert"].save(tmp_path / "bert")
    table = write_houses(tmp_path, empty=0.0)
    given = [
        "--table",
        str(table),
        "--input",
        "note",
        "--target",
        "kind",
        "--checkpoint",
        str(tmp_path / "bert"),
    ]
    script.main([*given, "--epochs", "2", "--rounds", "1", "--batch-size", "16"])
    lines = capsys.readouterr().out.splitlines()
    assert "note, frozen -> kind, 32 rows" in lines[0]
    compared(lines[2], script.LINE)


@pytest.mark.parametrize("script", ["prediction"], indirect=True)
def test_prediction_prints_a_ratio(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--parts", "speed"])
    lines = capsys.readouterr().out.splitlines()
    assert "image,audio -> digit, 60 rows" in lines[0] and len(lines) == 3
    compared(lines[2], "predict")


@pytest.mark.slow  # four processes that import torch
@pytest.mark.parametrize("script", ["prediction"], indirect=True)
def test_prediction_prints_the_memory(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--parts", "memory"])
    for line, rows in zip(capsys.readouterr().out.splitlines()[1:], (40, 80), strict=True):
        found, most = re.match(rf" +{rows} +(\S+) .* (\S+)$", line).groups()
        assert float(found) > 100 and float(most) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("script", ["prediction"], indirect=True)
def test_a_failed_prediction_is_not_measured(script: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no such"):
        script.peak(["cat", "no such file"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["gpu"], indirect=True)
def test_gpu_prints_a_line_a_tower(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--lines", "2"])
    lines = capsys.readouterr().out.splitlines()
    for name, line in zip(("image", "image, compiled"), lines[2:], strict=True):
        speed, flops, _, waiting = re.match(rf"{name} +(\S+) +(\S+) +(\S+) +(\S+)%$", line).groups()
        assert float(speed) > 0 and float(flops) > 0 and 0 <= float(waiting) < 100


@pytest.mark.parametrize("script", ["gpu"], indirect=True)
def test_the_flops_of_a_layer_are_those_of_its_products(script: Any) -> None:
    counted = script.count_flops(Layer(5, 7), {"x": torch.ones(2, 5)}, rows=2)
    assert counted == 2 * 2 * 5 * 7  # forward, and the weights' gradient; the input has none


@pytest.mark.parametrize("script", ["search"], indirect=True)
def test_search_prints_recall_and_both_sides(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke"])
    out = capsys.readouterr().out
    assert "3000 vectors of 16 dimensions around 30 centres\nsearched: exact\n" in out
    assert "recall@10 against exact: 1.0000 (floor 0.95)" in out
    ours, plain = (float(re.search(rf"^{name} +(\S+) +(\S+)$", out, re.M)[1]) for name in ("ours", "plain"))
    assert float(re.search(r"ours/plain (\S+)", out)[1]) == pytest.approx(ours / plain, rel=0.2)


@pytest.mark.parametrize("script", ["search"], indirect=True)
def test_vectors_lie_around_their_centres(script: Any) -> None:
    clusters = script.Clusters.drawn(5, 64, spread=0.5)
    vectors = clusters.draw(200, seed=3)
    nearest = (vectors @ clusters.centres.T).max(axis=1)
    assert nearest.mean() == pytest.approx(1 / (1 + 0.5**2) ** 0.5, abs=0.02)
    assert (clusters.draw(200, seed=3) == vectors).all()


@pytest.mark.parametrize("script", ["threads"], indirect=True)
def test_threads_prints_the_choice_over_the_better(
    script: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    speeds = iter([50.0, 100.0, 150.0, 140.0] * 2)
    monkeypatch.setattr(script, "fit", lambda *_: (next(speeds), 2))
    script.main(["--rounds", "1", "--tables", "demo"])
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"demo, alone +100 +150 +140 +0.93  2$", lines[2])
    assert lines[3].startswith("demo, beside a busy core")
