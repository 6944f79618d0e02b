"""Reports of runs that were fitted to a table in memory: on their own test rows, or refused in one line."""

import json

import numpy as np
import pandas as pd
import pytest

import polymodal as pm


def make_frame(rows=80):
    random = np.random.default_rng(0)
    rooms = random.integers(1, 9, rows).astype(float)
    area = random.normal(100, 20, rows).round(1)
    return pd.DataFrame(
        {"rooms": rooms, "area": area, "kind": np.where(rooms + area / 50 > 6.5, "house", "flat")}
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A frame, and the run of plain models that was fitted to it."""
    frame, folder = make_frame(), tmp_path_factory.mktemp("memory") / "run"
    settings = {"report.write": False, "report.noise_rows": 0}
    return frame, pm.fit(frame, target="kind", preset="fast", output=folder, settings=settings, quiet=True)


def figures(page):
    content = json.loads(page.with_suffix(".json").read_text())
    return content["what"], content["rows"], content["targets"]["kind"]["metrics"]


def test_the_run_of_a_fit_knows_its_rows(fitted, tmp_path):
    frame, run = fitted
    what, rows, metrics = figures(run.report(output=tmp_path / "own", quiet=True))
    assert what == "test rows" and rows == 8
    loaded = pm.load(run.folder)
    again = frame.assign(note="of no column that was read")
    assert figures(loaded.report(data=again, output=tmp_path / "given", quiet=True)) == (what, rows, metrics)


def test_another_table_is_refused_in_one_line(fitted, tmp_path):
    frame, run = fitted
    other = frame.assign(area=frame.area + 1)
    loaded = pm.load(run.folder)
    with pytest.raises(pm.RunError, match=r"run: was fitted to a table in memory.*run\.report\(data=frame\)"):
        loaded.report()
    with pytest.raises(pm.RunError, match=r"^DataFrame: is not the table that .* \(its SHA-256 differs\)$"):
        loaded.report(data=other)
    other.to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(pm.RunError, match="cannot be compared with"):
        loaded.report(data=tmp_path / "other.csv")
    with pytest.raises(pm.ConfigError, match="give no other table"):
        run.report(frame, data=frame)
    options = {"target": "kind", "preset": "fast", "output": run.folder, "quiet": True}
    settings = {"report.write": False, "report.noise_rows": 0}
    with pytest.raises(pm.RunError, match="was finished with another table than this one"):
        pm.fit(other, resume=True, settings=settings, **options)


def test_a_run_shows_only_what_it_can_do(fitted):
    _, run = fitted
    assert {"predict", "evaluate", "report", "explain"} <= {*dir(run)}
    assert not {"embed", "embed_batches", "encode", "retrieval", "generate", "chat"} & {*dir(run)}
    with pytest.raises(pm.RunError, match=r"without the neural model.* Fit with settings=.*'fused'"):
        run.embed(make_frame(3))
    with pytest.raises(pm.RunError, match=r"answers no words, .*pm\.fit\(table, prompt="):
        run.generate(make_frame(3))
