"""The server as a process, with an index: hostile connections, random requests, and SIGTERM."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import schemathesis

import polymodal as pm
from tests.support.random_requests import meet_the_description

WAIT = 120
NOTES = ("bright balcony", "garden and garage")
POST = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def server(fitted_houses, tmp_path_factory):
    """A served run in a process of its own, with an index of some of its rows, and its address."""
    rows = [{"note": note, "bedrooms": 2} for note in NOTES]
    index = tmp_path_factory.mktemp("searched") / "index"
    pm.Index.build(index, pm.load(fitted_houses / "run", device="cpu"), rows)
    command = [sys.executable, "-m", "polymodal", "serve", "run", "--port", "0", "--index", str(index)]
    command += ["--limit", "header_seconds=1"]
    process = subprocess.Popen(
        [*command, "--decoders", "1", "--device", "cpu"], cwd=fitted_houses, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    line = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert address, line + process.stderr.read()
    yield process, address[0]
    process.kill()
    process.communicate()


def get(address, path):
    """Status and JSON of a GET."""
    try:
        with urllib.request.urlopen(f"{address}{path}", timeout=WAIT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def connected(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT)


def test_a_slow_header_is_cut_off(server):
    _, address = server
    with connected(address) as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        began = time.monotonic()
        assert slow.recv(100) == b""
        assert time.monotonic() - began < 30
    assert get(address, "/health") == (200, {"status": "ok"})


def test_a_body_of_a_gigabyte_is_refused_before_it_is_sent(server):
    _, address = server
    with connected(address) as large:
        large.sendall(f"{POST}Content-Length: {2**30}\r\n\r\n".encode())
        assert large.recv(10**6).startswith(b"HTTP/1.1 413 ")


def test_clients_that_go_in_the_middle_cost_nothing(server):
    _, address = server
    for part in (
        "GET /health",
        f"{POST}Content-Length: 100\r\n\r\n{{",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n5\r\n",
    ):
        with connected(address) as client:
            client.sendall(part.encode())
    assert get(address, "/health") == (200, {"status": "ok"})


def test_ten_thousand_rows_are_refused(server):
    _, address = server
    body = json.dumps({"rows": [{}] * 10_000}).encode()
    request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=WAIT)
    assert (
        refused.value.code == 422 and "10,000 rows, expected at most 1,000" in refused.value.read().decode()
    )


def test_the_index_of_the_command_line_is_searched(server):
    _, address = server
    assert "search" in get(address, "/runs")[1]["runs"][0]["capabilities"]
    body = json.dumps({"row": {"note": NOTES[1]}, "limit": 1}).encode()
    request = urllib.request.Request(f"{address}/search", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        found = json.load(answer)
    [hit] = found["hits"]
    assert found["index"] == "index" and hit["values"]["note"] == NOTES[1] and hit["score"] > 0.99


def test_random_requests_meet_no_error_of_the_server(server):
    _, address = server
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for operation in schema.exclude(path_regex="^/v1/chat").get_all_operations():
        meet_the_description(operation.ok(), examples=3)


def test_at_sigterm_what_is_in_flight_is_answered(server):
    process, address = server
    body = b'{"rows": [{"bedrooms": 3}]}'
    with connected(address) as late:
        late.sendall(f"{POST}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        status, ready = get(address, "/ready")
        assert status == 503 and "the server ends" in ready["error"]["message"]
        assert get(address, "/runs")[0] == 503
        late.sendall(body[10:])
        assert late.recv(10**6).startswith(b"HTTP/1.1 200 OK")
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 0 and "Traceback" not in err, err
