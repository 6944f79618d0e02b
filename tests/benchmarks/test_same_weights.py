"""The script that compares the weights of two checkouts prints digests, and names those that differ."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, imported as Python runs it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("same_weights")


@pytest.mark.slow
def test_a_recipe_prints_its_digests(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--recipes", "checkpoints"])
    heads, line = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heads == ["weights", "predictions", "metrics", "report", "files"]
    assert line[:2] == ["this", "checkpoints"] and line[5] == "-"
    assert all(len(line[place]) == 12 for place in (2, 3, 4, 6))


def test_a_difference_is_named(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert not script.compare({"a": {"weights": "1", "files": "2"}}, {"a": {"weights": "1", "files": "3"}})
    assert script.compare({"a": {"weights": "1"}}, {"a": {"weights": "1"}})
    assert capsys.readouterr().out.split() == ["a", "same", "DIFFERENT", "a", "same"]


def test_names_and_contents_of_tensors_count_and_their_order_does_not(script: Any, tmp_path: Path) -> None:
    def digest(**tensors: list[float]) -> str:
        path = tmp_path / "model.safetensors"
        save_file({name: np.float32(values) for name, values in tensors.items()}, path)
        return script.sha(list(script.tensors(path)))

    first = digest(a=[1, 2], b=[3])
    assert first == digest(b=[3], a=[1, 2])
    assert len({first, digest(a=[1, 2], c=[3]), digest(a=[1, 2.5], b=[3]), digest(a=[1, 2])}) == 4


def test_measures_of_time_do_not_count(script: Any) -> None:
    found = {"made": 1, "test": {"loss": 2}, "history": [{"train_runtime": 3, "step": 4}]}
    assert script.untimed(found) == {"test": {"loss": 2}, "history": [{"step": 4}]}
