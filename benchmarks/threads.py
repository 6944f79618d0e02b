"""Rows a second that a fit trains with its own choice of threads, against one thread and all of them.

    python benchmarks/threads.py --rounds 3
    python benchmarks/threads.py --tables demo --rounds 5

Each fit is a process of its own, as a user starts it: `polymodal fit TABLE --threads 1`, `--threads N` and
without the option. The three take turns, and who begins changes from round to round; medians are printed,
and the choice over the better of the two. Then the same beside a process that keeps one core busy. The rows
of the first fit are decoded once and cached for the others. OMP_NUM_THREADS is left out of the fits'
environment, for it would fix the number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from joblib import cpu_count

from polymodal.demo.demo_table import write_demo

DATA = Path(os.environ.get("POLYMODAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BUSY = "while True: pass"
FITS = {
    "demo": ["--target", "digit", "--set", "train.epochs=3"],
    "av_digits": ["--target", "label", "--inputs", "image_degraded,audio", "--set", "train.epochs=1"],
}
SETTINGS = ["report.write=false", "train.patience=0"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line per table and neighbourhood."""
    options = parse_options(arguments)
    most = cpu_count()
    with TemporaryDirectory() as folder:
        tables = {"demo": Path(folder) / "demo", "av_digits": DATA / "av_digits" / "digits.csv"}
        tables["demo"] = write_demo(tables["demo"])
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        environment |= {"POLYMODAL_CACHE": str(Path(folder) / "cache"), "HF_HUB_OFFLINE": "1"}
        print(f"{options.rounds} rounds, {most} cores; rows a second, medians")
        heads = f"{'1 thread':>10}{f'{most} threads':>12}{'chosen':>10}{'chosen/best':>13}"
        print(f"{'':28}{heads}  threads chosen")
        for name in options.tables.split(","):
            for busy in (False, True):
                with neighbour(busy):
                    report(name, busy, measure(tables[name], name, most, options.rounds, environment))


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", default="demo,av_digits")
    return parser.parse_args(arguments)


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Another process that keeps one core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def measure(
    table: Path, name: str, most: int, rounds: int, environment: dict[str, str]
) -> dict[str, list[tuple[float, int]]]:
    """By way of choosing, each round's rows a second and threads."""
    ways = {"one": ["--threads", "1"], "all": ["--threads", str(most)], "chosen": []}
    found: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
    fit(table, name, ways["one"], environment)  # decodes
    for turn in range(rounds):
        order = list(ways)[turn % 3 :] + list(ways)[: turn % 3]
        for way in order:
            found[way].append(fit(table, name, ways[way], environment))
    return found


def fit(table: Path, name: str, more: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Rows a second of one fit, and its threads."""
    with TemporaryDirectory() as folder:
        settings = [word for setting in SETTINGS for word in ("--set", setting)]
        words = ["fit", str(table), *FITS[name], *settings, *more, "-o", str(Path(folder) / "run")]
        command = [sys.executable, "-m", "polymodal", *words]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        trained = json.loads((Path(folder) / "run" / "metrics.json").read_text(encoding="utf-8"))["train"]
    return trained["rows_per_second"], trained["threads"]


def report(name: str, busy: bool, found: dict[str, list[tuple[float, int]]]) -> None:
    """Print a line."""
    speed = {way: median(each for each, _ in rounds) for way, rounds in found.items()}
    threads = " ".join(str(count) for _, count in found["chosen"])
    ratio = speed["chosen"] / max(speed["one"], speed["all"])
    line = f"{name + (', beside a busy core' if busy else ', alone'):28}"
    line += f"{speed['one']:10.0f}{speed['all']:12.0f}{speed['chosen']:10.0f}{ratio:13.2f}  {threads}"
    print(line, flush=True)


if __name__ == "__main__":
    main()
