"""A disk on which no more can be written: one line, and what stood there before still stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import error, polymodal, settings
from tests.support.slow import mostly_slow

FULL = Path("/dev/full")
SAID = "cannot be written (No space left on device)"
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_what_was_written_before_stays(folder, command):
    assert polymodal(command, "run", "houses.csv", "-o", "a.parquet", folder=folder).status == 0
    before = (folder / "a.parquet").read_bytes()
    (folder / ".a.parquet.part").symlink_to(FULL)
    said = error(folder, command, "run", "houses.csv", "-o", "a.parquet")
    assert (
        said
        == "a.parquet: cannot be written (No space left on device). Free space, or give another file with -o"
    )
    assert (folder / "a.parquet").read_bytes() == before
    assert not os.path.lexists(folder / ".a.parquet.part")


def test_the_list_of_rows_left_out(folder):
    (folder / "photos/4.png").write_bytes(b"no picture")
    fit = ["fit", "houses.csv", "-t", "kind", "-i", "photo,note", "--on-error", "skip", "-o", "other"]
    (folder / "other").mkdir()
    (folder / "other/rejected.csv").write_text("before")
    (folder / "other/.rejected.csv.part").symlink_to(FULL)
    said = error(folder, *fit, *settings("photo"))
    assert said == f"other/rejected.csv: {SAID}. Free space or give another folder with -o"
    assert (folder / "other/rejected.csv").read_text() == "before"


@pytest.mark.parametrize("command", mostly_slow([["init"], ["check", "--json"]], [["init"]]))
def test_standard_output(folder, command):
    result = subprocess.run(
        [sys.executable, "-m", "polymodal", *command, "houses.csv", "-t", "kind", "-i", "note"],
        cwd=folder, stdout=FULL.open("w"), stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == f"error: standard output: {SAID}. Free space, or write elsewhere\n"
