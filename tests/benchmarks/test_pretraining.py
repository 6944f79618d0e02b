"""The benchmark of pre-training runs at toy size, and refuses to compare what is not the same."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from polymodal.data.collator import Collator
from polymodal.demo.demo_table import write_demo

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of the folder, imported as Python runs it: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module(request.param)


@pytest.mark.parametrize("script", ["pretraining"], indirect=True)
def test_it_prints_a_ratio_a_line(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--parts", "speed"])
    heading, _, *lines = capsys.readouterr().out.splitlines()
    assert "image + audio, 32 rows, batches of 16" in heading
    for name, line in zip(script.LINES, lines[:2], strict=True):
        ours, plain, ratio = map(float, re.match(rf"{name} +(\S+) +(\S+) +(\S+)", line).groups())
        assert ours > 0 and ratio == pytest.approx(ours / plain, abs=0.01)


@pytest.mark.slow  # two processes that import torch
@pytest.mark.parametrize("script", ["pretraining"], indirect=True)
def test_it_prints_the_memory_of_pieces(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--smoke", "--parts", "memory"])
    lines = capsys.readouterr().out.splitlines()
    steps = {line[:26].strip(): [float(cell) for cell in line[26:].split()] for line in lines[1:3]}
    assert list(steps) == ["whole", "in pieces of 5"]
    for peak, before, seconds, _, _ in steps.values():
        assert peak >= before > 100 and seconds > 0
    assert steps["whole"][3:] == pytest.approx(steps["in pieces of 5"][3:], rel=1e-4)


@pytest.mark.parametrize("script", ["pairs"], indirect=True)
def test_infonce_by_hand_is_ours_where_no_rows_are_equal(script: Any, tmp_path: Path) -> None:
    job = script.open_pairs(write_demo(tmp_path, rows=60), ["image", "audio"], 8, ["train.augment=false"])
    rows = job.rows("train")
    assert len(rows) == 8
    batch = Collator(job.processor, for_objectives=True)(rows.__getitems__(range(8)))
    assert all(len(values["row"]) == 8 for values in batch["inputs"].values())
    assert all(len(values.unique()) == 8 for values in batch["contents"].values())
    model = script.built(job).train()
    plain = script.PlainPairs(model)
    for name, module in model.named_modules():
        if name.endswith("dropout"):
            module.p = 0.0
    torch.testing.assert_close(plain(batch["index"], batch["inputs"]).loss, model(**batch).loss)
    with torch.no_grad():
        plain.log_scale += 1
    assert not torch.isclose(plain(batch["index"], batch["inputs"]).loss, model(**batch).loss)


@pytest.mark.parametrize("script", ["pairs"], indirect=True)
def test_what_differs_is_not_compared(script: Any) -> None:
    script.equal([3.27, 3.27 * (1 + 1e-6)], "the two sides")
    for other in (3.3, float("nan")):
        with pytest.raises(SystemExit, match="the two sides make another loss"):
            script.equal([3.27, other], "the two sides")


@pytest.mark.parametrize("script", ["pretraining"], indirect=True)
def test_the_gpu_part_prints_its_line_beside_the_published_one(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--gpu", "--smoke"])
    ours, published = capsys.readouterr().out.splitlines()[2:]
    speed, flops, _, waiting, _ = re.match(
        r"picture . caption +(\S+) +(\S+) +(\S+) +(\S+)% +(\S+)$", ours
    ).groups()
    assert float(speed) > 0 and float(flops) > 0 and 0 <= float(waiting) < 100
    assert re.match(r"open_clip, one of 344 A100 +396\.4 +123\.270 +15\.7%", published)


@pytest.mark.parametrize("script", ["pretraining"], indirect=True)
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_the_gpu_part_wants_a_gpu(script: Any) -> None:
    with pytest.raises(SystemExit, match="there is no GPU here"):
        script.main(["--gpu"])


@pytest.mark.parametrize("script", ["memory"], indirect=True)
def test_memory_is_that_of_the_other_process(script: Any, tmp_path: Path) -> None:
    code = "block = b'x' * {}; print('done')"
    small, large = (
        script.peak([sys.executable, "-c", code.format(size)], tmp_path) for size in (1, 200_000_000)
    )
    assert small[1] == large[1] == "done\n"
    assert large[0] - small[0] == pytest.approx(200e6, rel=0.1)
