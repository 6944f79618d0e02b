"""Media at addresses: allowed hosts alone, resolved once, public, bounded, no redirects."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from polymodal.serving.fetching import Fetcher, urls_in
from polymodal.serving.values import ValueProblem


class Files(BaseHTTPRequestHandler):
    """Serves a small file, a large one and a redirection."""

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/small")
            self.end_headers()
            return
        content = {"/small?a=1": b"small", "/large": b"x" * 5000}.get(self.path)
        self.send_response(200 if content else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture(scope="module")
def port():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def fetcher(port):
    looked_up = []

    def resolve(host, number):
        looked_up.append(host)
        return ["127.0.0.1"]

    made = Fetcher([f"files.example:{port}"], 1000, resolve, is_public=lambda address: True)
    made.looked_up = looked_up
    return made


def problem(fetcher, url):
    (result,) = asyncio.run(fetcher.fetch_all([url])).values()
    assert isinstance(result, ValueProblem)
    return str(result)


def test_an_allowed_file_is_fetched_and_its_host_looked_up_once(fetcher, port):
    url = f"http://files.example:{port}/small?a=1"
    assert asyncio.run(fetcher.fetch_all([url, url])) == {url: b"small"}
    assert fetcher.looked_up == ["files.example"]


def test_what_is_refused(fetcher, port):
    assert "leads elsewhere" in problem(fetcher, f"http://files.example:{port}/moved")
    assert "more than 1,000 bytes" in problem(fetcher, f"http://files.example:{port}/large")
    assert "status 404" in problem(fetcher, f"http://files.example:{port}/none")
    for url in ("http://files.example/x", "http://other.example/x", f"http://user@127.0.0.1:{port}/x"):
        assert "is not allowed on this server" in problem(fetcher, url)
    for url in ("file:///etc/passwd", "ftp://files.example/x", "http://"):
        assert "begins with https://" in problem(fetcher, url)
    assert "is no address" in problem(fetcher, "http://[/x")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0"])
def test_private_addresses_are_not_fetched(address):
    fetcher = Fetcher(["inner.example"], 1000, lambda host, port: ["93.184.216.34", address])
    assert "private address" in problem(fetcher, "https://inner.example/x")


def test_addresses_in_rows_are_listed():
    rows = [{"photo": {"url": "a"}, "note": {"url": "no"}}, {"photo": [{"url": "b"}, "data:,"]}]
    assert urls_in(rows, ["photo"]) == ["a", "b"]
