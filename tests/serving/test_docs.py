"""The lines that ``/docs`` shows: each runs as it is printed, and none is about what no run supports."""

import html
import re
import subprocess

import httpx2
import numpy as np
import pytest

import polymodal as pm
from polymodal.serving.app import create_app
from polymodal.serving.service import Service
from tests.support.live_servers import live
from tests.support.tables import write_picture
from tests.support.talking_runs import make_talking_run
from tests.support.untrained_runs import make_run

TOKEN = "a token of letters"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documented")
    write_picture(folder / "1.png", 0.5, np.random.default_rng(1))
    return folder


@pytest.fixture(scope="module")
def words(folder):
    return make_talking_run(folder / "words", kinds=["image"])


def lines_of(address):
    """By path the commands of the page."""
    page = httpx2.get(f"{address}/docs", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    assert page.status_code == 200
    shown = [html.unescape(code) for code in re.findall(r"<code>(curl .*?)</code>", page.text, re.DOTALL)]
    return {re.search(rf"{address}(\S+)", line)[1]: line for line in shown}


def test_each_line_runs_as_it_is_printed(folder, words):
    rows = [{"photo": str(folder / "1.png"), "note": "it's quiet", "bedrooms": n} for n in (1, 2, 3)]
    runs = {"words": words, "a house": make_run(folder / "houses", rows)}
    pm.Index.build(folder / "index", runs["a house"], rows)
    (folder / "words" / "report.html").write_text("<!doctype html><title>Report</title>")
    service = Service(runs, index=folder / "index", decoders=1, token=TOKEN)
    with live(create_app(service)) as address:
        lines = lines_of(address)
        for path, line in lines.items():
            line = line.replace("curl", "curl -s -o answer -w '%{http_code}'", 1).replace("TOKEN", TOKEN)
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=folder)
            assert (path, done.stdout) == (path, "200"), (folder / "answer").read_text()
    assert set(lines) >= {
        "/predict", "/embed", "/explain", "/search", "/v1/embeddings", "/v1/chat/completions", "/metrics",
        "/runs/words/samples", "/runs/words/report", "/v1/models/words",
    }  # fmt: skip


def test_what_no_run_supports_has_no_line(words):
    with live(create_app(Service({"words": words}, decoders=1, token=TOKEN))) as address:
        lines = lines_of(address)
    assert "/v1/chat/completions" in lines and "/runs" in lines
    assert not {"/predict", "/embed", "/explain", "/search", "/v1/embeddings"} & set(lines)
