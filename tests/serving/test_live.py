"""The server as a process: its line, slow headers, the whole OpenAPI by random requests, and SIGTERM."""

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
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

WAIT = 120
CHECKS = [
    not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance,
]  # fmt: skip
"""Which rows fit depends on the run, so a request that fits the schema may be refused."""


@pytest.fixture(scope="module")
def server(fitted_houses):
    """A served run in a process of its own, and its address."""
    command = [
        sys.executable,
        "-m",
        "polymodal",
        "serve",
        "run",
        "--port",
        "0",
        "--limit",
        "header_seconds=1",
    ]
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


def test_random_requests_meet_no_error_of_the_server(server):
    _, address = server
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    for operation in schema.get_all_operations():

        @given(case=operation.ok().as_strategy())
        @settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def meets_the_description(case):
            response = case.call(timeout=WAIT)
            case.validate_response(response, checks=CHECKS)
            assert response.status_code < 500 and "Traceback" not in response.text

        meets_the_description()


def test_at_sigterm_what_is_in_flight_is_answered(server):
    process, address = server
    body = b'{"rows": [{"bedrooms": 3}]}'
    head = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with connected(address) as late:
        late.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
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
