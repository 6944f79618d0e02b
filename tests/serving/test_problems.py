"""Errors that no client sees."""

import asyncio
import logging


def test_a_client_that_goes_while_it_sends_is_no_error_of_the_server(served, caplog):
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/predict", "raw_path": b"/predict", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip
    parts = [{"type": "http.request", "body": b'{"rows": [', "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    with caplog.at_level(logging.ERROR):
        asyncio.run(served.app(scope, receive, send))
    assert [each["status"] for each in sent if each["type"] == "http.response.start"] == [499]
    assert not caplog.records

    assert 'status="499"' in served.get("/metrics").text
