"""How long one waits before anything happens: help, import, and a run loaded for one prediction.

    python benchmarks/startup.py --rounds 7

Each figure is the median of whole processes, which take turns. It stands beside its reference: the promised
0.3 s for what must not load torch; for load + predict, a process that only imports what every model of
Transformers needs. Below it, what that process did: importing, loading, the first prediction, the second.
Without `--run` a small run on made data (picture, tone, word) is trained first, in a temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

LIMIT = 0.3
IMPORT = "import polymodal, sys; print('torch' in sys.modules)"
REFERENCE = "from transformers import PreTrainedModel, ProcessorMixin"
PREDICT = """
import json, sys, time
times = [time.perf_counter()]
def lap(): times.append(time.perf_counter())
import polymodal as pm
load = pm.load; lap()
run = load(sys.argv[1]); lap()
row = json.loads(sys.argv[2])
run.predict([row]); lap()
run.predict([row]); lap()
print(json.dumps([after - before for before, after in zip(times, times[1:])]))
"""


def timed(command: Sequence[str], folder: Path | None = None) -> tuple[float, str]:
    """Seconds of a whole process, and the last line that it printed.

    Raises:
        SystemExit: If it failed.
    """
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr}")
    return seconds, done.stdout.strip().rpartition("\n")[2]


def command_line() -> list[str]:
    """The `polymodal` command of this environment."""
    script = Path(sys.executable).with_name("polymodal")
    return [str(script)] if script.exists() else [sys.executable, "-m", "polymodal"]


def make_run(folder: Path) -> tuple[Path, Path]:
    """A run of one epoch on a small table, and the table."""
    import polymodal as pm
    from polymodal.demo.demo_table import write_demo

    table = write_demo(folder / "data", rows=40)
    pm.fit(table, target="digit", output=folder / "run", settings=["train.epochs=1", "report.write=false"])
    return folder / "run", table


def full_row(table: Path) -> dict[str, str]:
    """The first row of a CSV whose cells are all filled, or else the first row."""
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return next((row for row in rows if all(row.values())), rows[0])


def measure(run: Path, table: Path, rounds: int) -> dict[str, list[tuple[float, str]]]:
    """Seconds and last line of each process, ``rounds`` times, after one round to warm up."""
    python, row = [sys.executable, "-c"], json.dumps(full_row(table))
    commands = {
        "polymodal --help": [*command_line(), "--help"],
        "import polymodal": [*python, IMPORT],
        "import transformers": [*python, REFERENCE],
        "load + predict": [*python, PREDICT, str(run.absolute()), row],
    }
    results: dict[str, list[tuple[float, str]]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            if turn or rounds > 1:  # a single round, to see that it runs, needs no warming up
                result = timed(command, table.parent)
                results[name] += [result] if turn else []
    return results


def report(results: dict[str, list[tuple[float, str]]]) -> None:
    """Print medians, their references and ratios."""
    seconds = {name: [spent for spent, _ in runs] for name, runs in results.items()}
    transformers = median(seconds.pop("import transformers"))
    print(f"{'':18}{'median s':>10}{'range':>16}{'reference s':>14}{'ratio':>8}")
    for name, spent in seconds.items():
        reference, what = (
            (transformers, "import transformers") if name == "load + predict" else (LIMIT, "limit")
        )
        span, middle = f"{min(spent):.2f} to {max(spent):.2f}", median(spent)
        print(f"{name:18}{middle:10.3f}{span:>16}{reference:14.3f}{middle / reference:8.2f}   ({what})")
    inside = zip(*(json.loads(line) for _, line in results["load + predict"]), strict=True)
    imported, load, first, second = (median(times) for times in inside)
    print(f"  inside: import {imported:.2f} s, load {load:.2f} s", end=", ")
    print(f"first prediction {first * 1000:.0f} ms, second {second * 1000:.0f} ms")
    loaded = any(line == "True" for _, line in results["import polymodal"])
    print(f"  import polymodal loads torch: {'yes' if loaded else 'no'}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", type=Path, help="a run folder; by default a small one is trained")
    parser.add_argument("--table", type=Path, help="with --run: a CSV from which a row is predicted")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--smoke", action="store_true", help="one round without warming up, to see that it runs"
    )
    options = parser.parse_args(arguments)
    if (options.run is None) != (options.table is None):
        parser.error("--run and --table go together")
    with TemporaryDirectory() as folder:
        run, table = (options.run, options.table) if options.run else make_run(Path(folder))
        report(measure(run, table, 1 if options.smoke else options.rounds))


if __name__ == "__main__":
    main()
