"""An answer that nobody waits for any more ends soon, and the next one is not kept waiting."""

import json
import socket
import threading
import time

import httpx2
import numpy as np
import pytest

from polymodal.serving.app import create_app
from polymodal.serving.limits import Limits
from polymodal.serving.service import Service
from polymodal.utils.cancelling import Cancelled, until_cancelled
from tests.support.live_servers import live
from tests.support.tables import write_picture
from tests.support.untrained_runs import make_run

ROW = {"note": "a quiet street", "bedrooms": 2.0}
BODIES = {"explain": {"row": ROW}, "predict": {"rows": 8 * [ROW], "shares": True}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cancelled")
    write_picture(folder / "1.png", 0.5, np.random.default_rng(1))
    return make_run(folder / "houses", [ROW | {"photo": str(folder / "1.png")}, ROW])


@pytest.fixture
def service(run):
    return Service({"houses": run}, decoders=1)


@pytest.fixture
def steps(run, monkeypatch):
    """The moments at which the fusion began; each time it takes longer than usual."""
    began, fusion = [], run.model.model.fusion
    forward = fusion.forward

    def slow(*arguments, **options):
        began.append(time.monotonic())
        time.sleep(0.03)
        return forward(*arguments, **options)

    monkeypatch.setattr(fusion, "forward", slow)
    return began


def post(address, route, body):
    return httpx2.post(f"{address}/{route}", json=body, timeout=60)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def sent(address, route, body):
    """A connection on which a request was sent; its answer is not read."""
    host, port = address.removeprefix("http://").split(":")
    content = json.dumps(body).encode()
    head = f"POST /{route} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection((host, int(port)))
    connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return connection


@pytest.mark.parametrize("route", BODIES)
def test_who_leaves_ends_the_computation_and_the_next_is_answered(service, steps, route):
    with live(create_app(service)) as address:
        assert post(address, route, BODIES[route]).status_code == 200
        whole = len(steps)
        steps.clear()
        with sent(address, route, BODIES[route]):
            until(lambda: len(steps) > 1)
        answer = post(address, "predict", {"rows": [ROW]})
    assert answer.status_code == 200 and len(steps) < whole
    assert service.runs["houses"].in_flight == 0


def test_a_computation_ends_at_the_deadline(run, steps):
    service = Service({"houses": run}, limits=Limits.lowered({"seconds": 0.3}), decoders=1)
    with live(create_app(service)) as address:
        late = post(address, "explain", BODIES["explain"])
        taken = len(steps)
        until(lambda: steps[-1] < time.monotonic() - 0.3)
    assert late.status_code == 504 and "no answer after 0.3 seconds" in late.json()["error"]["message"]
    assert len(steps) <= taken + 1


def test_what_was_left_before_it_began_is_not_computed(service, steps):
    release, busy = threading.Event(), threading.Event()
    service.model_thread.submit(lambda: (busy.set(), release.wait(60)))
    assert busy.wait(60)
    with live(create_app(service)) as address:
        for route, body in BODIES.items():
            with sent(address, route, body):
                until(lambda: service.runs["houses"].in_flight)
            until(lambda: not service.runs["houses"].in_flight)
        release.set()
        assert post(address, "predict", {"rows": [ROW]}).status_code == 200
    assert len(steps) == 1


def test_words_end_at_the_next_token(tmp_path):
    from polymodal.runs.answering import answer_turns
    from tests.support.talking_runs import make_talking_run

    run, cancelled, tokens = make_talking_run(tmp_path / "words", kinds=["image"]), threading.Event(), []
    run.model.generation_config.min_new_tokens = 20
    forward = run.model.language_model.forward

    def counted(*arguments, **options):
        tokens.append(1)
        if len(tokens) == 3:
            cancelled.set()
        return forward(*arguments, **options)

    run.model.language_model.forward = counted
    conversation = run.conversation([{"role": "user", "content": "Is there a lift?"}])
    turns = [run.processor.encode(conversation, reply=True)]
    options = {"max_new_tokens": 30, "do_sample": False}
    with pytest.raises(Cancelled):
        until_cancelled(cancelled, answer_turns, run.model, run.processor, turns, options)
    assert len(tokens) == 3
    [whole] = answer_turns(run.model, run.processor, turns, options)
    assert whole and len(tokens) > 20
