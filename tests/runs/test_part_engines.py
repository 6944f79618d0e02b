"""Parts that are computed elsewhere: refused in a line without Ray, and those of one process with it."""

import sys

import pandas as pd
import pytest

import polymodal as pm
from polymodal.errors import RunError
from polymodal.runs.part_engines import require_ray
from tests.support.command import polymodal


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(pm.ConfigError, match=r"^--engine ray needs Ray: pip install 'polymodal\[ray\]'$"):
        require_ray()


def test_an_engine_takes_a_number_of_workers(tmp_path):
    result = polymodal("predict", "run", "houses.csv", "-o", "answers", "--engine", "ray", folder=tmp_path)
    assert result.status == 2 and "it takes --workers N" in " ".join(result.err.split())


@pytest.mark.slow
def test_the_parts_of_ray_are_those_of_one_process(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'polymodal[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    try:
        require_ray()
    except RunError as error:
        pytest.skip(str(error))
    rooms = [number % 9 for number in range(40)]
    kinds = ["house" if number > 4 else "flat" for number in rooms]
    table = tmp_path / "houses.csv"
    pd.DataFrame({"rooms": rooms, "kind": kinds}).to_csv(table, index=False)
    settings = {"report.write": False}
    run = pm.fit(table, target="kind", preset="fast", output=tmp_path / "run", quiet=True, settings=settings)
    monkeypatch.setattr("polymodal.runs.parts.ROWS", 16)
    try:
        words = ["predict", "run", "houses.csv", "-o", "answers", "--workers", "2", "--engine", "ray"]
        for skipped in (False, True):
            result = polymodal(*words, "--batch-size", "8", folder=tmp_path)
            assert result.status == 0, result.err
            assert ("complete parts that are skipped: 3 of 3" in result.out) is skipped
    finally:
        ray.shutdown()
    parts = [pd.read_parquet(path) for path in sorted((tmp_path / "answers").glob("part-*.parquet"))]
    expected = run.predict(table, quiet=True)
    assert len(parts) == 3
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), expected, check_dtype=False)
