"""Many requests at once: each gets its own answer, and what is too much or too late is refused in time."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient

import polymodal as pm
from polymodal import api
from polymodal.serving.app import create_app
from polymodal.serving.limits import Limits
from polymodal.serving.service import Service
from tests.serving.conftest import ADDRESS
from tests.support.command import error


def test_concurrent_requests_get_their_own_answers(served, fitted_houses):
    rows = [{"bedrooms": number, "note": "garden" if number % 2 else "lift"} for number in range(24)]
    run = pm.load(fitted_houses / "run", device="cpu")
    expected = [run.predict([{"photo": None, **row}], quiet=True) for row in rows]
    bad = {"note": 3}

    def send(row):
        return served.post("/predict", json={"rows": [row]})

    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(send, [part for row in rows for part in (row, bad)]))
    for frame, answer in zip(expected, answers[::2], strict=True):
        (one,) = answer.json()["answers"]
        assert one["values"]["kind"] == frame["kind"][0]
        assert np.isclose(one["values"]["price"], frame["price"][0], rtol=1e-5)
    assert {answer.status_code for answer in answers[1::2]} == {422}


@pytest.fixture
def held(served, monkeypatch):
    """A client of a service whose model computes nothing until ``released`` is set, and this event."""
    released, real = threading.Event(), api.answer_rows

    def answer(run, rows):
        assert released.wait(60)
        return real(run, rows)

    monkeypatch.setattr(api, "answer_rows", answer, raising=False)
    limits = Limits.lowered({"seconds": 1, "waiting_rows": 3})
    service = Service({"run": served.app.state.service.runs["run"].run}, limits=limits, decoders=1)
    with TestClient(create_app(service), base_url=ADDRESS) as client:
        yield client, released
        released.set()


def test_what_is_too_late_or_too_much_is_refused_and_wedges_nothing(held):
    client, released = held

    def send(rows):
        return client.post("/predict", json={"rows": rows})

    with ThreadPoolExecutor(2) as threads:
        late = threads.submit(send, [{}, {}])
        while not client.app.state.service.runs["run"].in_flight:
            time.sleep(0.01)
        full = send([{}, {}])
        assert full.status_code == 503 and full.headers["retry-after"] == "1"
        assert late.result().status_code == 504
    released.set()
    assert client.app.state.service.runs["run"].in_flight == 0
    assert send([{}]).status_code == 200


def test_work_that_waited_too_long_is_never_begun(held, monkeypatch):
    client, released = held
    explained, computed = [], []
    monkeypatch.setattr(api, "explain_read", lambda *given, **named: explained.append(given), raising=False)
    client.app.state.service.runs["run"]._answers.on_batch = computed.append

    def send(path, body):
        return client.post(path, json=body).status_code

    with ThreadPoolExecutor(3) as threads:
        late = [threads.submit(send, "/predict", {"rows": [{}]})]
        while not computed:
            time.sleep(0.01)
        late += [
            threads.submit(send, "/explain", {"row": {}}),
            threads.submit(send, "/predict", {"rows": [{}]}),
        ]
        assert [each.result() for each in late] == [504, 504, 504]
    released.set()
    assert send("/predict", {"rows": [{}]}) == 200
    assert explained == [] and computed == [1, 1]


def test_without_the_extra_one_line_names_it(fitted_houses, monkeypatch):
    monkeypatch.delitem(sys.modules, "polymodal.serving.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    line = error(fitted_houses, "serve", "run", "--port", "0")
    assert line == "a server needs uvicorn, which is not installed: pip install 'polymodal[serve]'"
