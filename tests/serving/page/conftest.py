"""Chromium without a screen, with a made camera and microphone, before a live server."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from polymodal.serving.routes import page
from tests.support.live_servers import live

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip
AXE = Path(__file__).resolve().parents[3] / "build" / "page" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser():
    """One browser per file of tests; with it ends the event loop that playwright keeps running."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the page's files without a service: a test answers its requests."""
    app = FastAPI()
    app.include_router(page.router())
    with live(app) as address:
        yield address


@pytest.fixture(scope="module")
def token() -> str | None:
    """Of the service; it has none."""
    return None


@pytest.fixture
def open_page(browser, address, token):
    """A function that opens the page: its size, its colours, and what of the service is replaced.

    At the end no error may be in the console, and no request may have gone to another host.
    """
    contexts, wrong, allowed = [], [], []

    def opened(width=1280, scheme="light", routes=None, expected=()):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        if token is not None:
            context.request.post(f"{address}/session", data={"token": token})
        view = context.new_page()
        view.set_default_timeout(30_000)
        view.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
        view.on("pageerror", lambda error: wrong.append(str(error)))
        view.on("request", lambda request: wrong.append(request.url) if foreign(request.url) else None)
        allowed.extend(expected)
        for path, handler in (routes or {}).items():
            view.route(address + path, handler)
        view.goto(address)
        view.get_by_role("heading", level=1).wait_for()
        return view

    def foreign(url):
        return not url.startswith((address, "data:", "blob:"))

    yield opened
    for context in contexts:
        context.close()
    assert [line for line in wrong if not any(text in line for text in allowed)] == []


@pytest.fixture
def accessible():
    """A function that fails where axe-core finds something serious in a page, or it scrolls sideways."""

    def check(page):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        if not AXE.is_file():
            pytest.skip(
                f"axe-core is not in {AXE.parent.name}: run src/polymodal/serving/page/build.sh --check"
            )
        if not page.evaluate("'axe' in window"):
            page.evaluate(AXE.read_text(encoding="utf-8"))
        violations = page.evaluate("axe.run(document)")["violations"]
        assert [(v["id"], v["nodes"][0]["target"]) for v in violations if v["impact"] in SERIOUS] == []

    return check
