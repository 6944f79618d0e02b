"""Who may send requests, how much, and how fast."""

import asyncio

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

from polymodal.serving.app import Access, create_app
from polymodal.serving.limits import Limits
from polymodal.serving.security import Sessions
from polymodal.serving.service import Service
from tests.serving.conftest import ADDRESS

TOKEN = "a token with ümlaut"
BEARER = {"Authorization": f"Bearer {TOKEN}".encode()}


@pytest.fixture(scope="module")
def guarded(served):
    """A client of a service with the same loaded run, a token, small limits and one allowed site."""
    run = served.app.state.service.runs["run"].run
    limits = Limits.lowered({"body_bytes": 2000, "body_seconds": 0.3, "rows": 5})
    service = Service({"run": run}, token=TOKEN, limits=limits, decoders=1)
    app = create_app(service, Access(origins=["https://friend.example"]))
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        yield client


def test_every_route_but_two_needs_the_token(guarded):
    paths = [*guarded.app.openapi()["paths"], "/docs", "/openapi.json", "/", "/static/page.js"]
    assert {"/predict", "/metrics", "/runs", "/embed"} <= set(paths)
    for path in paths:
        for wrong in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}".encode()}):
            status = guarded.get(path.replace("{name}", "run"), headers=wrong).status_code
            assert status == {"/health": 200, "/ready": 200, "/session": 405}.get(path, 401), path
    assert guarded.get("/runs", headers=BEARER).status_code == 200
    assert guarded.get("/nothing").status_code == 401
    posts = [path for path, methods in guarded.app.openapi()["paths"].items() if "post" in methods]
    for path in set(posts) - {"/session"}:
        upload = guarded.post(path, files={"photo": ("a.png", b"x" * 5000)})  # longer than a body may be
        assert upload.status_code == 401, path


def test_a_browser_gets_a_cookie_for_the_token(guarded):
    form = guarded.get("/runs", headers={"Accept": "text/html"})
    assert form.status_code == 401 and '<form method="post" action="/session">' in form.text
    assert guarded.post("/session", json={"token": "wrong"}).status_code == 401
    opened = guarded.post("/session", data={"token": TOKEN})
    assert opened.status_code == 303 and opened.headers["location"] == "/"
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
    value = cookie.split(";")[0]
    assert guarded.get("/runs", headers={"Cookie": value}).status_code == 200
    assert guarded.get("/runs", headers={"Cookie": "polymodal_session=other"}).status_code == 401
    guarded.cookies.clear()


def test_the_token_is_compared_as_a_whole():
    sessions = Sessions("secret", "cookie")
    assert (
        sessions.is_token(b"secret")
        and not sessions.is_token(b"secre")
        and not Sessions(None, "cookie").is_token(b"")
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "attacker.example"}, 403),
        ({"Host": "127.0.0.1.attacker.example"}, 403),
        ({"Host": "192.168.1.7:8000"}, 403),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
    ],
)
def test_the_host_header_is_checked(served, headers, status):
    assert served.get("/runs", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": ADDRESS, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://friend.example"}, 200),
    ],
)
def test_other_sites_are_refused(guarded, headers, status):
    answer = guarded.post("/predict", json={"rows": [{}]}, headers={**headers, **BEARER})
    assert answer.status_code == status
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (headers["Origin"] if headers.get("Origin") == "https://friend.example" else None)


def test_every_answer_has_security_headers(served):
    for path in ("/runs", "/nothing", "/docs", "/health"):
        headers = served.get(path).headers
        assert (
            headers["x-content-type-options"] == "nosniff"
            and "http" not in headers["content-security-policy"]
        )
    assert "unsafe" not in served.get("/runs").headers["content-security-policy"]


def test_a_large_body_is_refused_while_it_arrives(guarded):
    answer = guarded.post(
        "/predict", content=b" " * 5000, headers={"content-type": "application/json", **BEARER}
    )
    assert answer.status_code == 413 and "2,000 bytes" in answer.json()["error"]["message"]
    for kind in ("application/json", "multipart/form-data; boundary=b"):
        sent = []

        def chunks(sent=sent):
            for _ in range(100):
                sent.append(1)
                yield b"--b\r\n" + b" " * 995

        answer = guarded.post("/predict", content=chunks(), headers={"content-type": kind, **BEARER})
        assert answer.status_code == 413, answer.text


def test_a_slow_body_is_refused(guarded):
    async def slow():
        yield b'{"rows": '
        await asyncio.sleep(2)
        yield b"[{}]}"

    async def send():
        transport = httpx.ASGITransport(guarded.app)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            return await client.post(
                "/predict", content=slow(), headers={"content-type": "application/json", **BEARER}
            )

    answer = asyncio.run(send())
    assert answer.status_code == 408 and "0.3 seconds" in answer.json()["error"]["message"]


def test_rows_are_limited(guarded):
    answer = guarded.post("/predict", json={"rows": [{}] * 6}, headers=BEARER)
    assert answer.status_code == 422 and "at most 5" in answer.json()["error"]["message"]


def test_metrics_count_requests_and_refusals(served):
    served.post("/predict", json={"rows": [{}, {}]})
    served.get("/runs", headers={"Host": "attacker.example"})
    text = served.get("/metrics").text
    assert 'polymodal_requests_total{method="POST",route="/predict",status="200"}' in text
    assert 'polymodal_refused_total{status="403"}' in text and "polymodal_waiting_rows 0.0" in text
    assert 'polymodal_batch_rows_count{run="run"}' in text and "polymodal_request_seconds_bucket" in text
