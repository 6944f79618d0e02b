"""One row on one thread: a run in PyTorch beside its export to ONNX, and how long the export takes to start.

    python benchmarks/exported.py --rounds 40

The sides take turns in one process; each figure is the median of their turns, and the ratio is ONNX over
PyTorch. "Model" is the tensors' part alone, "predict" a row from its cells to its answer. The start is that
of whole processes: `polymodal.runtime` imported, the export loaded, the first row answered. Without `--run`
a small run on made data (picture, tone, word) is trained and exported first, in a temporary folder. The name
is not `onnx.py`: beside it, `import onnx` would import the script.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

GOAL, START_GOAL = 0.35, 2.0
START = """
import json, sys, time
began = time.perf_counter()
from polymodal import runtime
runtime.load(sys.argv[1], threads=1).predict([json.loads(sys.argv[2])])
print(time.perf_counter() - began)
"""


def make_run(folder: Path) -> tuple[Path, dict[str, Any]]:
    """A run of one epoch on a small table, and a row of it."""
    import csv

    import polymodal as pm
    from polymodal.demo.demo_table import write_demo

    table = write_demo(folder / "data", rows=40)
    settings = ["train.epochs=1", "report.write=false", "train.candidates=[fused]"]
    run = pm.fit(table, target="digit", output=folder / "run", settings=settings)
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    row = next(row for row in rows if all(row.values()))
    place = str(table.parent)
    cells = {name: row[name] for name in run.declaration.inputs}
    return folder / "run", {name: os.path.join(place, c) if "/" in c else c for name, c in cells.items()}


def medians(sides: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each side, the median of ``rounds`` turns, after three to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 3):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in seconds.items()}


def sides(run: Path, export: Path, row: dict[str, Any]) -> dict[str, dict[str, Callable[[], Any]]]:
    """By what is measured, the calls of PyTorch and of ONNX."""
    import torch

    import polymodal as pm
    from polymodal import runtime
    from polymodal.models.inference import run_model

    torch.set_num_threads(1)
    torch_run, onnx_run = pm.load(run, device="cpu"), runtime.load(export, threads=1)
    batch = torch_run.processor([row])
    cells = [onnx_run.processor.read_row(row)[0]["cells"]]
    feeds = onnx_run.processor.feeds(onnx_run.manifest.inputs, cells)
    return {
        "model": {
            "torch": lambda: run_model(torch_run.model, batch),
            "onnx": lambda: onnx_run.session.run(None, feeds),
        },
        "predict": {
            "torch": lambda: torch_run.predict([row], quiet=True),
            "onnx": lambda: onnx_run.predict([row]),
        },
    }


def starts(export: Path, row: dict[str, Any], rounds: int) -> float:
    """Seconds from the start of the imports to the first answer, the median of whole processes."""
    command = [sys.executable, "-c", START, str(export.absolute()), json.dumps(row)]
    return median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run of one neural model")
    parser.add_argument("--row", type=json.loads, help="a row for it, as JSON")
    parser.add_argument("--int8", action="store_true", help="export with weights of 8 bits")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()

    import polymodal as pm

    with TemporaryDirectory() as folder:
        made = (given.run, given.row) if given.run else make_run(Path(folder))
        run, row = made
        export = Path(folder) / "export"
        began = time.perf_counter()
        note = pm.export(run, to="onnx", output=export, int8=given.int8).notes[0]
        print(f"exported in {time.perf_counter() - began:.1f} s; {note}")
        print(f"{'one row':10} {'torch ms':>9} {'onnx ms':>9} {'ratio':>6}")
        for name, calls in sides(run, export, row).items():
            found = medians(calls, given.rounds)
            ratio = found["onnx"] / found["torch"]
            print(f"{name:10} {found['torch'] * 1e3:9.2f} {found['onnx'] * 1e3:9.2f} {ratio:6.3f}")
        first = starts(export, row, max(1, given.rounds // 8))
        print(f"start to first answer {first:.2f} s (goal {START_GOAL:g}); ratio of the model: goal {GOAL:g}")


if __name__ == "__main__":
    main()
