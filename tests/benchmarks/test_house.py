"""The script that counts how the source is built counts right on a small package, and runs on this one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, imported as Python runs it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module("house")


def test_a_small_package_is_counted_by_hand(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "__init__.py": "",
        "run.py": "def f():\n    from polymodal.data import table\n    return cast(int, table)\n",
        "data/__init__.py": "",
        "data/table.py": "from polymodal.run import f\nKIND = 'image'\nx = f()  # type: ignore\n",
        "data/rows.py": "class A: ...\nclass B(A): ...\ndef g() -> dict[str, Any]: ...\n",
        "config/facts.py": "MODALITIES = ('image', 'text')\n",
    }
    for name, text in files.items():
        path = tmp_path / "polymodal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(script, "SOURCE", tmp_path)
    found = script.measure(script.House(tmp_path))
    assert found["circles"] == {"polymodal.data.table, polymodal.run": 2}
    assert found["room circles"] == {"., data": 2}
    assert found["modality"] == {"data/table.py": 1} and found["cast"] == {"run.py": 1}
    assert found["ignore"] == {"data/table.py": 1} and found["dict"] == {"data/rows.py": 1}
    assert found["chain"] == {"B": 2} and [*found["root"]] == ["polymodal.run"]


@pytest.mark.slow
def test_it_prints_a_line_a_figure(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    script.main([])
    assert len(capsys.readouterr().out.splitlines()) == len(script.LINES)
    script.main(["--list", "short"])
    assert capsys.readouterr().out.splitlines()
