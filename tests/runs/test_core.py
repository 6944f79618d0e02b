"""The class of a run follows its kind, whatever was imported before."""

import subprocess
import sys

import pytest

from polymodal.artifact.capabilities import Kind
from polymodal.runs.core import MODULES

PROGRAM = """
import sys
from polymodal.artifact.capabilities import Kind
from polymodal.runs.core import RunBase
print(RunBase._class_for(Kind[sys.argv[1]], None).__name__, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("kind", "printed"), [("heads", "PredictionRun False"), ("words", "GenerationRun True")]
)
def test_a_process_that_has_imported_nothing_finds_it(kind, printed):
    done = subprocess.run([sys.executable, "-c", PROGRAM, kind], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == printed, done.stderr


def test_every_kind_has_one():
    assert set(MODULES) == set(Kind)
