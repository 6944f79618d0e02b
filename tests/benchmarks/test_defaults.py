"""The benchmark of the presets: its tables, scripts and scores."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def defaults(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, imported as Python runs it: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("defaults")


def source(defaults: Any, task: str = "regression") -> Any:
    random = np.random.default_rng(0)
    number = random.random(80)
    rows = pd.DataFrame({
        "number": number, "kind": np.where(number > 0.5, "high", None), "name": ["good day"] * 80,
        "day": pd.date_range("2020-01-01", periods=80).astype(str), "price": (100 * number).astype(int),
    })  # fmt: skip
    rows["size"] = np.where(number > 0.5, "large", "small")
    return defaults.Source(
        "price" if task == "regression" else "size", task, lambda: rows, numbers=("number",),
        categories=("kind",), text=("name",), dates=("day",),
    )  # fmt: skip


def test_a_package_that_is_not_installed_costs_its_tables(
    defaults: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tables = import_module("tables")
    monkeypatch.setattr(tables, "find_spec", lambda package: None)
    assert set(defaults.sources(tmp_path / "no")) == {"breast_cancer", "diabetes", "digits", "iris", "wine"}
    assert "statsmodels is not installed" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_scripts_answer_the_test_rows_and_are_scored(defaults: Any, task: str) -> None:
    table = source(defaults, task)
    frame = defaults.split_frame(table, 1)
    assert frame["split"].value_counts().to_dict() == {"train": 48, "val": 16, "test": 16}
    answers = defaults.run_scripts(table, frame)
    logs = {f"{name} of log" for name in ("linear", "lightgbm", "forest", "svm")}
    assert set(answers) == {"linear", "lightgbm", "forest", "svm"} | (logs if task == "regression" else set())
    scored = defaults.scores(table, frame, answers)
    assert set(scored) == ({"R²", "MAE"} if task == "regression" else {"accuracy"})
    first = scored["R²" if task == "regression" else "accuracy"]["forest"]
    assert first.shape == (1 + defaults.SAMPLES,) and first[0] > 0.9


def test_a_smaller_error_ranks_first(defaults: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table = source(defaults)
    frame = defaults.split_frame(table, 0)
    truth = frame.loc[frame["split"] == "test", "price"].to_numpy()
    scored = defaults.scores(table, frame, {"linear": truth + 2, "preset fast": truth + 1})
    assert scored["MAE"]["preset fast"][0] == pytest.approx(1)
    assert defaults.compare("toy", [scored, scored], ["fast"]) == {"R²": [2.0, 1.0], "MAE": [2.0, 1.0]}
    assert "| toy | MAE | linear 2 | fast 1 | -1 (-1 to -1) | -1, -1 |" in capsys.readouterr().out
