"""The kept rows through the service, which ``verify`` starts and ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import polymodal

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")


def test_the_service_answers_as_the_fit_did(fitted_houses: Path) -> None:
    made = polymodal("verify", "run", "--paths", "service", folder=fitted_houses)
    assert made.status == 0, made.out + made.err
    (line,) = made.out.splitlines()[1:]
    assert line.startswith("service: 4 rows, largest difference ") and line.endswith(", equal")


@contextmanager
def in_this_process(folder: Path) -> Iterator[str]:
    """A service of the run in ``folder``; that ``verify`` starts one of its own, another test shows."""
    from polymodal.serving.app import create_app
    from polymodal.serving.service import Service
    from tests.support.live_servers import live

    with live(create_app(Service.load([folder], device="cpu", decoders=1))) as address:
        yield address


@pytest.mark.slow
def test_a_row_that_the_service_refuses_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polymodal.verification.service_path.running", in_this_process)
    (folder / "run/checksums.json").unlink()
    path = folder / "run/samples/rows.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["rows"][0]["cells"]["bedrooms"] = "many"
    path.write_text(json.dumps(content), encoding="utf-8")
    made = polymodal("verify", "run", "--paths", "service", folder=folder)
    row = content["rows"][0]["row"]
    assert made.status == 1 and f"service: failed (row {row}: status 422: " in made.out


def test_a_lacking_extra_is_named_and_no_failure(
    fitted_houses: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polymodal.verification import service_path

    monkeypatch.setattr(service_path, "find_spec", lambda name: None if name == "uvicorn" else name)
    made = polymodal("verify", "run", "--paths", "service", folder=fitted_houses)
    assert made.status == 0
    assert "service: not replayed (uvicorn is not installed: pip install 'polymodal[serve]')" in made.out
