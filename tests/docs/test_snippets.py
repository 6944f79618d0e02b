"""Every page runs from top to bottom, commands and Python in order, in a folder with the tables it names."""

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from polymodal.attribution import integrated_gradients
from polymodal.data.readers import READERS
from polymodal.demo.demo_houses import write_houses
from polymodal.evaluation.metrics.metrics import METRICS
from polymodal.models.encoders import ENCODERS, ImageEncoder, TextEncoder
from polymodal.models.fusion import FUSIONS
from polymodal.models.heads import HEADS
from polymodal.pipelines import prediction_fit
from polymodal.pretrained import finding
from polymodal.training.declaration import candidate_choice
from polymodal.training.loop import defaults
from tests.support.checkpoints import CHECKPOINTS
from tests.support.command import polymodal
from tests.support.documentation import PAGES, REPOSITORY, blocks, commands, name_of

TABLES = {"houses.csv": 24, "more_houses.csv": 10, "new_houses.csv": 10}
"""Rows of the tables that `polymodal demo --data houses` writes."""
RUNNABLE = [page for page in PAGES if any(block.language in ("sh", "python") for block in blocks(page))]
TARGETS = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M)


SIZES = {"image": {"hidden_sizes": [16, 32], "depths": [1, 1]}, "text": {"num_hidden_layers": 1}}
"""Of encoders from scratch, where a page names none."""

WITH_PRETRAINED = ("README.md", "docs/start.md")
"""Pages whose fits take a pretrained encoder of texts where they name none: a tiny one in the place of
MiniLM's, which takes seconds in each command that fits, loads or explains."""

WITH_REPORTS = ("docs/start.md",)
"""Pages whose fits end with a report. Reports take a third of the time of fits; pages that show one make it
by ``polymodal report``."""


@pytest.fixture
def folder(page, tmp_path, monkeypatch, default_fit):
    """A folder with the tables of the demo, short ones, as the current one."""
    if name_of(page) in WITH_PRETRAINED:
        CHECKPOINTS["bert"].save(tmp_path / "minilm")
        monkeypatch.setattr(finding, "_in_package", lambda encoder: packaged(encoder, tmp_path / "minilm"))
    else:
        monkeypatch.setattr(candidate_choice, "ENCODERS", "scratch")
    if name_of(page) not in WITH_REPORTS:
        monkeypatch.setattr(prediction_fit, "write_fit_report", lambda *_: None)
    for encoder in (ImageEncoder, TextEncoder):  # each layer takes seconds of an export to ONNX
        monkeypatch.setattr(encoder, "DEFAULT_SIZES", encoder.DEFAULT_SIZES | SIZES[encoder.modality])
    monkeypatch.setattr(integrated_gradients, "MOST_STEPS", 2 * integrated_gradients.STEPS)
    monkeypatch.setitem(write_houses.__kwdefaults__, "tables", TABLES)
    write_houses(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(defaults, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(defaults, "MOST_EPOCHS", 2)  # where a command names none
    monkeypatch.setattr(sys, "stdin", io.StringIO("flat or house?\n"))  # what is typed to polymodal chat
    return tmp_path


def packaged(encoder, folder):
    """The folder of an encoder's weights where a package brings them, as MiniLM's does."""
    return folder if encoder.name == "all-MiniLM-L6-v2" else None


class Server:
    """The server that a page starts with ``polymodal serve``, which its later lines use.

    Attributes:
        address: In the page.
    """

    address = "http://127.0.0.1:8000"

    def __init__(self):
        self.process, self.own = None, self.address

    def start(self, line):
        """Start it in another process, on a free port."""
        self.stop()
        command = [sys.executable, "-m", *shlex.split(line), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.own = re.search(r"http://\S+:\d+", self.process.stdout.readline())[0]

    def curl(self, line):
        """Run a line of curl, which has to be answered."""
        words = shlex.split(line.replace(self.address, self.own))
        done = subprocess.run(
            [*words, "--silent", "--fail-with-body"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and json.loads(done.stdout), f"{line}\n{done.stdout}{done.stderr}"

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=60)
            self.process = None


@pytest.fixture
def server():
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def registries():
    """What a page registers is forgotten afterwards."""
    kept = [(registry, dict(registry._entries)) for registry in (READERS, ENCODERS, FUSIONS, HEADS)]
    metrics, path = list(METRICS._metrics), list(sys.path)
    yield
    sys.path[:] = path
    for registry, entries in kept:
        registry._entries = entries
    METRICS._metrics[:] = metrics


def run_command(line, server):
    """Run a line of a shell block; what is redirected into a file is a declaration, and is fitted."""
    words = shlex.split(line)
    if words[:2] == ["polymodal", "serve"]:
        return server.start(line)
    if words[0] == "curl":
        return server.curl(line)
    if words[0] == "make":
        assert words[1] in TARGETS, line
        return
    assert words[0] == "polymodal", line
    into = Path(words[words.index(">") + 1]) if ">" in words else None
    result = polymodal(*(words[1 : words.index(">")] if into else words[1:]))
    assert result.status == 0, f"{line}\n{result.err}"
    if into:
        into.write_text(result.out)
        assert polymodal("fit", into, "-o", "again", "--set", "train.epochs=1").status == 0


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_page_runs_from_top_to_bottom(page, folder, registries, server, capsys):
    names: dict = {"__name__": "snippets"}
    for number, (language, text) in enumerate(blocks(page), start=1):
        if language == "sh":
            for line in commands(text):
                run_command(line, server)
        elif language == "python":
            text = text.replace(server.address, server.own)
            exec(compile(text, f"{name_of(page)}, block {number}", "exec"), names)
    if "pm" in names:
        assert capsys.readouterr().out
