"""Cases one after another in a process of its own: ``python -m tests.fuzz.worker SEED KIND FIRST LAST``.

KIND may be several kinds with commas between. LAST is a number, or ``+N`` for N damaged files after the whole
ones. For each kind a line of JSON names the number of whole files; then there is one before each case and one
after it: whoever reads them knows which case a crash or hang is of.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import yaml

from tests.fuzz.doors import DOORS, try_door
from tests.fuzz.mutator import mutate
from tests.fuzz.samples import intact, samples
from tests.fuzz.structures import damage_arrays, damage_cells, damage_json, damage_numbers, damage_values

SECONDS = 20
"""Of the processor: the limit of what a cell or a small table may take."""
PATIENCE = 300
"""Seconds by the clock, on a machine that does other things as well."""
MEMORY = 16 * 2**30
GROWTH = 512 * 2**20
"""Bytes that a case may take above what the whole files took."""
FOLDERS = ("runs", "blends")
"""Kinds whose files belong together: one of them is damaged, and the folder is opened."""
TEXT = ("yaml", "csv", "tsv", "jsonl", "json")


def run_case(seed: int, kind: str, number: int, whole: dict[str, bytes], folder: Path) -> tuple[str, str]:
    """Damage a file and open it; its name and what was said. The first cases are whole files."""
    random = np.random.default_rng([seed, list(DOORS).index(kind), number])
    is_whole = number < intact(kind, whole)
    name = list(whole)[number % len(whole)]
    if kind == "blends" and not is_whole:
        name = list(whole)[int(random.integers(0, len(whole)))]
    path = folder / (name if kind in FOLDERS else f"case.{name.rpartition('.')[2]}")
    if kind == "blends" and not is_whole and random.random() < 0.1:
        path.unlink()
    else:
        path.write_bytes(whole[name] if is_whole else damage(kind, name, whole, random))
    try:
        return name, try_door(kind, path)
    finally:
        if kind in FOLDERS:  # its other files stay as they are
            path.write_bytes(whole[name])


def damage(kind: str, name: str, whole: dict[str, bytes], random: np.random.Generator) -> bytes:
    """The file ``name`` of ``whole``, damaged; three in five tables and declarations keep their form."""
    if kind == "declarations" and random.random() < 0.6:
        return damage_values(yaml.safe_load(whole[name]), random)
    if kind == "runs" and name.endswith(".json") and random.random() < 0.6:
        damaged = yaml.safe_load(damage_values(json.loads(whole[name]), random))
        return json.dumps(damaged, default=str).encode()
    if kind == "blends":
        return damage_blend(name, whole, random)
    if kind == "tables" and random.random() < 0.6:
        return damage_cells(pd.DataFrame(json.loads(whole["houses.json"])).convert_dtypes(), name, random)
    return mutate(whole[name], random, text=name.rpartition(".")[2] in TEXT)


def damage_blend(name: str, whole: dict[str, bytes], random: np.random.Generator) -> bytes:
    """Half of the files keep their form; some are another file of the same kind."""
    suffix = name.rpartition(".")[2]
    like = [other for other in whole if other.endswith(suffix) and whole[other] != whole[name]]
    chance = random.random()
    if chance < 0.15 and like:
        return whole[like[int(random.integers(0, len(like)))]]
    if chance < 0.65 and suffix == "json":
        return damage_json(json.loads(whole[name]), random)
    if chance < 0.65 and suffix == "npz":
        return damage_arrays(whole[name], random)
    if chance < 0.65 and suffix == "txt":
        return damage_numbers(whole[name], random)
    return mutate(whole[name], random, text=suffix in (*TEXT, "txt"))


def main(seed: int, kinds: str, first: int, last: str) -> None:
    """Run the cases ``first`` to ``last`` of each kind, the latter not among them."""
    faulthandler.enable()
    warnings.simplefilter("error", RuntimeWarning)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for kind in kinds.split(","):
        run_kind(seed, kind, first, last)


def run_kind(seed: int, kind: str, first: int, last: str) -> None:
    """The cases of one kind."""
    if kind in ("tables", "declarations", *FOLDERS):
        import_module("polymodal.fitting")  # which takes longer than any case
    with TemporaryDirectory() as place:
        folder = Path(place)
        whole = samples(kind, folder)
        tried = intact(kind, whole)
        _say({"whole": tried})
        for number in range(first, int(last) + (tried if last.startswith("+") else 0)):
            _say({"begin": number})
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            began, base = time.process_time(), _peak()
            try:
                name, said = run_case(seed, kind, number, whole, folder)
                assert time.process_time() - began < SECONDS, f"{name} took too long"
                assert number < tried or _peak() - base < GROWTH, f"{name} took too much memory"
                ended = {"end": number, "file": name, "said": said}
            except Exception:
                ended = {"end": number, "failed": traceback.format_exc()}
            faulthandler.cancel_dump_traceback_later()
            _say({**ended, "seconds": time.process_time() - began})


def _peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _say(content: dict) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
