"""Replicas on a Ray cluster: they answer as the run does, behind the same guards, and end at SIGTERM."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pandas as pd
import pytest

import polymodal as pm
from tests.support.command import polymodal

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")


def test_replicas_go_with_the_engine(tmp_path):
    folder = tmp_path / "run"
    frame = pd.DataFrame({"rooms": [1, 2, 7, 8] * 10, "kind": ["flat", "flat", "house", "house"] * 10})
    pm.fit(frame, target="kind", preset="fast", output=folder, settings={"report.write": False}, quiet=True)
    result = polymodal("serve", folder, "--replicas", "2")
    assert result.status == 2 and "it goes with --engine ray" in " ".join(result.err.split())


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", "Authorization": "Bearer secret"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_a_replica_answers_as_the_run_does_and_ends(tmp_path):
    pytest.importorskip("ray.serve", reason="Ray is not installed: pip install 'polymodal[ray]'")
    frame = pd.DataFrame({"rooms": [1, 2, 7, 8] * 10, "kind": ["flat", "flat", "house", "house"] * 10})
    settings = {"report.write": False}
    run = pm.fit(frame, target="kind", preset="fast", output=tmp_path / "run", settings=settings, quiet=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "polymodal", "serve", tmp_path / "run", "--engine", "ray"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--token", "secret"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        if "cannot be reached or started" in (told := "" if line else process.stderr.read()):
            pytest.skip(told)
        assert line.startswith("Serving run at http://127.0.0.1:"), told
        address = f"http://127.0.0.1:{port}"
        answers = get(f"{address}/predict", {"rows": [{"rooms": 2}, {"rooms": 8}]})["answers"]
        expected = run.predict([{"rooms": 2}, {"rooms": 8}], quiet=True)["kind"].tolist()
        assert [answer["values"]["kind"] for answer in answers] == expected
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}/runs", timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
