"""Plain models of an export answer as the run does, with numpy alone."""

import json
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import polymodal as pm
from polymodal.candidates.choosing import Choice
from tests.support.tables import write_picture, write_sound

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
WORDS = ["bright balcony", "garden, garage!", "", "Third FLOOR lift?", "naïve 日本語 quiet", "x"]
LEARNERS = {"linear", "kernel", "boosting", "forest"}
BLOCKED = (
    "scipy", "sklearn", "lightgbm", "pandas", "pyarrow", "torch", "transformers", "pydantic",
    "safetensors", "yaml",
)  # fmt: skip
SCRIPT = f"""
import json, sys
for name in {BLOCKED}:
    sys.modules[name] = None
from polymodal import runtime
rows = json.load(open(sys.argv[2]))
print(json.dumps(runtime.load(sys.argv[1], threads=1).predict(rows, probabilities=True)))
"""


def made(count, seed, folder, spread=1.0):
    """Rows with missing cells, empty texts, several items in a cell, and pictures and sounds."""
    random = np.random.default_rng(seed)
    photo, voice = folder / f"{seed}.png", folder / f"{seed}.wav"
    write_picture(photo, 0.3 + 0.2 * seed, random)
    write_sound(voice, 300 + 200 * seed)
    rows = []
    for _ in range(count):
        size = float(random.normal() * spread)
        cells = {
            "size": size, "place": str(random.choice(list("abc") if spread == 1 else list("abz"))),
            "tags": random.choice(["new", "old", "odd"], 2).tolist(),
            "built": f"19{random.integers(60, 99)}-05-0{random.integers(1, 9)}",
            "note": str(random.choice(WORDS)) + (" garden" if size > 0 else " lift"),
            "photo": str(photo), "voice": str(voice),
            "curve": (random.normal(size=(int(random.integers(2, 6)), 2)) + size).round(3).tolist(),
        }  # fmt: skip
        missing = random.random(len(cells)) < 0.2
        rows.append({k: None if gone else v for (k, v), gone in zip(cells.items(), missing, strict=True)})
        rows[-1] |= {"kind": "yes" if size > 0 else "no", "price": 3 * size + random.normal()}
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that weighs every learner alike, of a class and of a number."""
    folder = tmp_path_factory.mktemp("plain")
    inputs = {"note": "text", "curve": "sequence", "built": "date", "tags": "categories"}
    declared = [f"inputs.{name}.modality={kind}" for name, kind in inputs.items()]

    def alike(job, tried, decoders, truth):
        names = {target: [n for each in tried.values() for n in each.models[target]] for target in decoders}
        return {
            target: Choice(
                weights=dict.fromkeys(each, 1 / len(each)), reason="", losses={}, loss=None, rows=0
            )
            for target, each in names.items()
        }

    with mock.patch("polymodal.pipelines.portfolio_fit.choose_blend", alike):
        return pm.fit(
            made(60, 0, folder), target=["kind", "price"], output=folder / "run",
            settings=["train.candidates=[plain]", "report.write=false", *declared],
        )  # fmt: skip


def test_answers_need_no_library_of_training(run, tmp_path):
    out = pm.export(run, to="onnx", output=tmp_path / "out")
    assert out.notes[0].startswith("largest difference to the run")
    rows = [
        {k: v for k, v in row.items() if k not in ("kind", "price")} for row in made(24, 1, tmp_path, 2.0)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "out"), str(tmp_path / "rows.json")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = run.predict(rows, probabilities=True)
    assert {path.name for path in tmp_path.glob("out/candidates/plain/target1/*")} >= LEARNERS
    for row, answer in enumerate(json.loads(printed)):
        assert answer.keys() == set(expected.columns)
        for name, value in answer.items():
            other = expected[name][row]
            assert value == (pytest.approx(other, rel=1e-6, abs=1e-6) if isinstance(value, float) else other)
