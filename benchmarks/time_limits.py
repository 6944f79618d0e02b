"""How well `fit --time-limit` holds: seconds of the whole command, its report included, beside the limit.

    python benchmarks/time_limits.py --data ../shared/data [--only emoji …] [--minutes 1 3 10]

Each fit is a process of its own with the default preset, timed from its start to its end, on an otherwise
idle machine. Goal: at most 10 % or 15 s beyond the limit, whichever is more, with a run that predicts. The
tables are in `tables.py`; by default three whose fits take longer than the limits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tables import Source, sources, with_whole_paths

import polymodal

TABLES = ("emoji", "meld_text", "av_digits")


def timed_fit(source: Source, limit: float, folder: Path) -> tuple[float, list[str]]:
    """Seconds of a fit with a limit in seconds, and the candidates that the run answers with.

    A limit that is refused as too short has no candidates: the message is on standard error.
    """
    table, run = folder / "table.csv", folder / "run"
    frame = with_whole_paths(source, source.frame())
    frame = frame[[*source.inputs, source.target, *(["split"] if "split" in frame else [])]]
    frame.to_csv(table, index=False)
    command = [
        sys.executable, "-m", "polymodal", "fit", str(table), "--target", source.target, "-o", str(run),
        "--time-limit", f"{limit:.0f}s", "--set", "data.media_anywhere=true",
    ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    if done.returncode:
        return seconds, ["none: it failed"]
    polymodal.load(run).predict(frame.head(20), quiet=True)
    models = json.loads((run / "metrics.json").read_text())["candidates"]["models"]
    return seconds, [name for name, entry in models.items() if any(entry["weights"].values())]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="*", default=TABLES)
    parser.add_argument("--minutes", nargs="*", type=float, default=[1, 3, 10])
    asked = parser.parse_args()
    known, beyond = sources(asked.data), {}
    print("| table | limit | seconds | beyond the limit | models of the blend |\n|---|---|---|---|---|")
    for name in asked.only:
        for minutes in asked.minutes:
            with TemporaryDirectory() as folder:
                seconds, models = timed_fit(known[name], 60 * minutes, Path(folder))
            beyond[name, minutes] = seconds - 60 * minutes
            late = f"{beyond[name, minutes]:+.0f} s"
            print(f"| {name} | {minutes:g} min | {seconds:.0f} | {late} | {', '.join(models)} |", flush=True)
    worst = max(beyond, key=lambda key: beyond[key] / max(6 * key[1], 15))
    print(f"worst: {worst[0]} with {worst[1]:g} min, {beyond[worst]:+.0f} s")


if __name__ == "__main__":
    main()
