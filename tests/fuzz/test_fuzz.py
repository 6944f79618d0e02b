"""Damaged files of every kind: no crash, no hang, no traceback, only results and clear lines.

``pytest -m slow tests/fuzz`` tries 10,000 of them; the usual run a few.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.doors import DOORS

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SEED = 20240
FEW, MANY = 35, 10_000


def call_worker(kinds, first, damaged, folder):
    """The lines of a process that tries ``damaged`` files of each kind, and the process, which has ended."""
    paths = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "POLYMODAL_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "tests.fuzz.worker", str(SEED), kinds, str(first), f"+{damaged}"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def run_cases(kind, damaged, folder):
    """How many whole files there are, and what each of them and of ``damaged`` files came to.

    A process that dies is followed by another.
    """
    outcomes, first, count = [], 0, damaged
    while first < count:
        (head, *lines), done = call_worker(kind, first, damaged, folder)
        assert lines, done.stderr
        whole, count = head["whole"], head["whole"] + damaged
        outcomes += [line for line in lines if "end" in line]
        if "end" in lines[-1]:
            assert lines[-1]["end"] == count - 1 and done.returncode == 0, done.stderr
            return whole, outcomes
        died = {"end": lines[-1]["begin"], "failed": f"status {done.returncode}\n{done.stderr[-3000:]}"}
        outcomes.append(died)
        first = died["end"] + 1
    return whole, outcomes


def run_together(kinds, damaged, folder):
    """The same for each of several kinds, in one process, which may not die."""
    lines, done = call_worker(",".join(kinds), 0, damaged, folder)
    assert done.returncode == 0, done.stderr
    found = []
    for line in lines:
        if "whole" in line:
            found.append((line["whole"], []))
        elif "end" in line:
            found[-1][1].append(line)
    return dict(zip(kinds, found, strict=True))


def check_cases(kind, count, whole, outcomes):
    assert [outcome["end"] for outcome in outcomes] == list(range(whole + count))
    failed = [outcome for outcome in outcomes if "failed" in outcome]
    told = "\n".join(f"{SEED} {kind} {entry['end']}:\n{entry['failed']}" for entry in failed[:20])
    assert not failed, f"{len(failed)}, each by python -m tests.fuzz.worker SEED KIND FIRST LAST:\n{told}"
    refused = [bool(outcome["said"]) for outcome in outcomes]
    assert not any(refused[:whole]) and any(refused[whole:])
    return refused[whole:]


MEDIA = ("pictures", "recordings", "clips", "sequences")
"""Kinds whose doors load no torch."""


@pytest.mark.parametrize("kinds", [MEDIA, tuple(kind for kind in DOORS if kind not in MEDIA)], ids=",".join)
def test_a_few_damaged_files(kinds, tmp_path):
    count = -(-FEW // len(DOORS))
    for kind, (whole, outcomes) in run_together(kinds, count, tmp_path).items():
        check_cases(kind, count, whole, outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DOORS)
def test_many_damaged_files(kind, tmp_path):
    count = -(-MANY // len(DOORS))
    refused = check_cases(kind, count, *run_cases(kind, count, tmp_path))
    assert not all(refused)  # damage that is always seen at once tries little of what lies behind
