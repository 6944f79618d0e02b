"""How well `fit --time-limit` holds: seconds of the whole command, its report included, beside the limit.

    python benchmarks/time_limits.py --data ../shared/data [--only emoji …] [--minutes 1 3 10]

Each fit is a process of its own with the default preset, timed from its start to its end, on an otherwise
idle machine. Goal: at most 10 % or 15 s beyond the limit, whichever is more, with a run that predicts. The
tables are in `tables.py`; by default three whose fits take longer than the limits.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tables import sources

import polymodal

TABLES = ("emoji", "meld_text", "av_digits")


def timed_fit(command: list[str]) -> float:
    """Seconds of a fit.

    Raises:
        CalledProcessError: If it fails.
    """
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=TABLES)
    parser.add_argument("--minutes", nargs="*", type=float, default=[1, 3, 10])
    asked = parser.parse_args()
    known, beyond = sources(asked.data), {}
    print("| table | limit | seconds | beyond the limit | candidates of the blend |\n|---|---|---|---|---|")
    for name in asked.only:
        for minutes in asked.minutes:
            source = known[name]
            with TemporaryDirectory() as folder:
                table, run = Path(folder) / "table.csv", Path(folder) / "run"
                _with_whole_paths(source).to_csv(table, index=False)
                seconds = timed_fit([
                    sys.executable, "-m", "polymodal", "fit", str(table), "--target", source.target,
                    "--time-limit", f"{60 * minutes:.0f}s", "--set", "data.media_anywhere=true", "-o", str(run),
                ])  # fmt: skip
                polymodal.load(run).predict(polymodal.load(run).folder.parent / "table.csv", on_error="skip")
                weights = polymodal.load(run).folder
            beyond[name, minutes] = seconds - 60 * minutes
            print(
                f"| {name} | {minutes:g} min | {seconds:.0f} | {beyond[name, minutes]:+.0f} s | {weights} |"
            )
    worst = max(beyond, key=lambda key: beyond[key] / max(6 * key[1], 15))
    print(f"worst: {worst[0]} with {worst[1]:g} min, {beyond[worst]:+.0f} s")


if __name__ == "__main__":
    main()
