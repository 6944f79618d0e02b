"""The benchmark of language models runs at toy size; what it measures is not looked at."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, imported as Python runs it: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("language")


def test_it_prints_a_ratio_a_way_and_the_padding_of_packs(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--smoke"])
    out = capsys.readouterr().out
    ways = re.findall(r"^(one length|mixed|pictures): (\S.*?) +[\d.]+ +([\d.]+)% +([\d.]+) ", out, re.M)
    assert len(ways) == 10 and all(float(ratio) > 0 for *_, ratio in ways)
    assert [way for name, way, *_ in ways if name == "mixed"][-1] == "ours, packed to 1024"
    (share,) = re.findall(r"in packs of 4096 tokens: padding ([\d.]+)%", out)
    assert float(share) <= 3
    assert re.search(r"^generate, 3 rows +[\d.]+ +[\d.]+ bare", out, re.M)
    assert re.search(r"^chat, 3 together +[\d.]+ +[\d.]+ one by one", out, re.M)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which would be measured")
def test_without_a_gpu_the_gpu_part_says_so(script: Any) -> None:
    with pytest.raises(SystemExit, match="GPU"):
        script.main(["--gpu"])
