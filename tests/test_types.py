"""Type checkers see the public API: a file that uses it is checked, and its one mistake found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import polymodal

SOURCE = Path(polymodal.__file__).parent.parent
USE = """
import polymodal as pm

run = pm.fit("houses.csv", target="price", inputs=["photo", "note"], settings=["train.epochs=3"])
if isinstance(run, pm.Run):
    vectors = run.embed("houses.csv", batch_size=16)
    found = run.retrieval("houses.csv", inputs=["photo", "note"])
    page = run.report(by=["city"], noise_rows=8)
else:
    frame = run.generate("houses.csv", max_new_tokens=4)
folds = pm.fit_folds("houses.csv", folds=5, target="price")
best: str = folds.fits.best
model: pm.PolymodalModel
pm.check("houses.csv", target="price", prompts="{photo}")
"""


def test_every_public_name_is_one_that_type_checkers_see():
    names = [name for names in polymodal._HOMES.values() for name in names]
    assert sorted(polymodal.__all__) == sorted(["__version__", *names])
    typed = (SOURCE / "polymodal/__init__.py").read_text().split("TYPE_CHECKING:")[1].split("# Read once")[0]
    assert {*re.findall(r"\w+", typed)} >= {*names}


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "polymodal/py.typed").is_file()


@pytest.mark.slow  # mypy reads the whole package
def test_a_wrong_argument_is_found_and_nothing_else(tmp_path):
    (tmp_path / "use.py").write_text(USE)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--ignore-missing-imports",
    ]
    command += ["--cache-dir", str(tmp_path / "cache"), "use.py"]
    environment = os.environ | {"MYPYPATH": str(SOURCE)}
    checked = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600
    )
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1 and 'Unexpected keyword argument "prompts" for "check"' in errors[0], errors
