"""The page over a real run: its answers are those of the service, its errors lie under the field at fault."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polymodal.serving.app import create_app
from polymodal.serving.service import Service
from tests.support.live_servers import live

PHOTO = "photos/1.png"


@pytest.fixture(scope="module")
def token() -> str:
    return "a token of letters"


@pytest.fixture(scope="module")
def address(fitted_houses: Path, token: str) -> Iterator[str]:
    """Of a live service with the run ``run`` (photo, note, bedrooms → kind, price)."""
    service = Service.load([fitted_houses / "run"], device="cpu", decoders=1, token=token)
    with live(create_app(service)) as address:
        yield address


@pytest.fixture
def filled(open_page, fitted_houses):
    """The page with a photo, a note and a number in its form."""
    page = open_page()
    fill(page, fitted_houses / PHOTO)
    return page


def fill(page, photo: Path) -> None:
    page.get_by_label("Choose a picture for photo").set_input_files(photo)
    page.get_by_role("img", name="photo: 1.png").wait_for()
    page.get_by_label("note", exact=True).fill("third floor bright balcony")
    page.get_by_label("bedrooms", exact=True).fill("4")


def predict(page):
    """Press Predict; the request and the answer of the service."""
    with page.expect_response("**/predict") as response:
        page.get_by_role("button", name="Predict", exact=True).click()
    return json.loads(response.value.request.post_data), response.value.json()


def plain(number: float) -> str:
    return f"{abs(number):,.0f}"


def test_the_answer_of_the_service_is_shown(filled):
    sent, received = predict(filled)
    [row], [answer] = sent["rows"], received["answers"]
    assert row["photo"].startswith("data:image/png;base64,") and row["bedrooms"] == 4
    values = filled.locator(".value")
    values.first.wait_for()
    shown = " ".join(values.all_inner_texts())
    assert answer["values"]["kind"] in shown and plain(answer["values"]["price"]) in shown
    bars = filled.locator(".bars").first.inner_text()
    for label, probability in answer["probabilities"]["kind"].items():
        assert label in bars and f"{100 * probability:.1f} %" in bars
    assert filled.locator("[role=status][aria-live=polite]").inner_text().startswith("Answer: ")


def test_an_input_that_is_left_out_or_empty_is_missing(filled):
    filled.get_by_role("switch", name="Leave out photo").check()
    filled.get_by_label("note", exact=True).fill("")
    sent, received = predict(filled)
    assert sent["rows"] == [{"bedrooms": 4}]
    assert {*received["answers"][0]["missing"]} == {"photo", "note"}
    filled.get_by_text(re.compile("^Answered without .*photo")).wait_for()
    filled.get_by_role("switch", name="Leave out photo").uncheck()
    assert filled.get_by_role("img", name="photo: 1.png").is_visible()
    assert filled.get_by_text("The form has changed since this answer.").is_visible()


def test_a_wrong_number_is_named_under_its_field(filled):
    field = filled.get_by_label("bedrooms", exact=True)
    field.fill("3,5")
    filled.get_by_role("button", name="Predict", exact=True).click()
    error = filled.locator(f"#{field.get_attribute('aria-describedby')}")
    assert error.inner_text() == "“3,5” is not a number: write 3.5."
    assert field.get_attribute("aria-invalid") == "true"
    filled.wait_for_function("document.activeElement.getAttribute('aria-invalid') === 'true'")
    field.fill("3.5")
    assert error.count() == 0


def test_an_error_of_the_service_is_named_under_its_field(open_page, tmp_path):
    page = open_page(expected=("422",))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    page.get_by_label("Choose a picture for photo").set_input_files(tmp_path / "broken.png")
    page.get_by_role("button", name="Predict", exact=True).click()
    error = page.locator(".field", has_text="photo").locator(".error")
    error.wait_for()
    assert "photo" in error.inner_text() or "picture" in error.inner_text()
    assert str(tmp_path) not in page.content() and page.locator(".value").count() == 0


def test_files_that_suit_no_field_are_refused_in_the_page(open_page, tmp_path):
    page = open_page()
    (tmp_path / "note.txt").write_text("a note")
    page.get_by_label("Choose a picture for photo").set_input_files(tmp_path / "note.txt")
    page.get_by_text("note.txt is text/plain; expected image/*").wait_for()


def test_the_lines_for_python_and_curl_give_the_same_answer(filled, fitted_houses, token):
    _, received = predict(filled)
    filled.get_by_role("tab", name="API").click()
    code, shell = (
        filled.get_by_label(name, exact=True).locator("code").inner_text() for name in ("Python", "curl")
    )
    folder = fitted_houses / "photos"
    given = {**os.environ, "no_proxy": "127.0.0.1", "POLYMODAL_TOKEN": token}
    for line in (
        [sys.executable, "-c", code.replace("print(response.json())", "print(response.text)")],
        ["bash", "-c", f"{shell} -s"],
    ):
        done = subprocess.run(line, cwd=folder, env=given, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        [answer], [shown] = json.loads(done.stdout)["answers"], received["answers"]
        assert answer["values"]["kind"] == shown["values"]["kind"]
        assert answer["values"]["price"] == pytest.approx(shown["values"]["price"], rel=1e-5)


def test_everything_is_reached_by_the_keyboard(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.id")
    page.keyboard.press("End")
    assert first == "tab-predict" and page.evaluate("document.activeElement.id") == "tab-api"
    page.keyboard.press("Home")
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        active = "document.activeElement"
        reached.append(
            page.evaluate(f"{active}.getAttribute('aria-label') || {active}.id || {active}.textContent")
        )
        if reached[-1] == "Predict":
            break
    wanted = ["Leave out photo", "Choose a picture for photo", "Camera for photo", "Leave out note"]
    assert [name for name in reached if name in wanted] == wanted and reached[-1] == "Predict"
    page.keyboard.press("Enter")
    page.locator(".value").first.wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_is_accessible_and_as_wide_as_the_screen(open_page, accessible, fitted_houses, width, scheme):
    page = open_page(width=width, scheme=scheme)
    fill(page, fitted_houses / PHOTO)
    predict(page)
    page.locator(".value").first.wait_for()
    accessible(page)
    page.get_by_role("tab", name="API").click()
    page.locator("pre").first.wait_for()
    accessible(page)


def test_a_browser_enters_the_token_once(browser, address, token, accessible):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(30_000)
    assert page.goto(address).status == 401
    accessible(page)
    assert page.evaluate("getComputedStyle(document.querySelector('button')).borderRadius") == "6.4px"
    for given, expected in (("wrong", "This is not the token of this server."), (token, "bedrooms")):
        page.get_by_label("Token").fill(given)
        page.get_by_role("button", name="Continue").click()
        page.get_by_text(expected, exact=True).first.wait_for()
    [cookie] = context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and token not in cookie["value"]
    assert page.goto(address).status == 200
    context.close()
