"""Every kind of control of the page before a service of real runs: what it sends is answered."""

import base64
import io
import json
import os
import subprocess
import sys
import time
import wave
from collections.abc import Iterator

import pytest
from PIL import Image

import polymodal as pm
from polymodal.serving.app import create_app
from polymodal.serving.limits import Limits
from polymodal.serving.service import Service
from tests.support.every_input_runs import every_input_rows, make_every_input_run
from tests.support.live_servers import live
from tests.support.talking_runs import make_talking_run
from tests.support.untrained_runs import make_run

RED = io.BytesIO()
Image.new("RGB", (24, 16), (200, 30, 30)).save(RED, "PNG")
URI = "data:image/png;base64," + base64.b64encode(RED.getvalue()).decode()
NOTES = ("bright balcony", "a garden", "third floor, lift", "quiet street")
TALKS = {
    "name": "talks", "kind": "language", "metric": None, "samples": 0, "capabilities": ["chat"],
    "targets": [], "inputs": [],
}  # fmt: skip
REPORT = "<!doctype html><html lang=en><title>Report</title><h1>Report of all</h1>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("controls")


@pytest.fixture(scope="module")
def runs(folder):
    """``all`` with an input of every modality, ``space`` with an index, ``talks``, which answers in words."""
    media = every_input_rows(folder)
    whole = make_every_input_run(folder / "all", media)
    (folder / "all" / "report.html").write_text(REPORT)
    rows = [
        {"photo": media[number % 2]["my image"], "note": note, "bedrooms": number + 1.0}
        for number, note in enumerate(NOTES)
    ]
    space = make_run(folder / "space", rows, shared=True)
    pm.Index.build(folder / "index", space, rows)
    return {"all": whole, "space": space, "talks": make_talking_run(folder / "talks")}


@pytest.fixture(scope="module")
def address(folder, runs) -> Iterator[str]:
    limits = Limits.lowered({"body_bytes": 2_000_000})
    service = Service(runs, limits=limits, index=folder / "index", decoders=1)
    with live(create_app(service)) as address:
        yield address


def press(page, name="Predict"):
    page.get_by_role("button", name=name, exact=True).click()


def sent_row(page):
    """Predict, and the row that was sent; its answer is shown."""
    with page.expect_response("**/predict") as response:
        press(page)
    assert response.value.status == 200, response.value.text()
    page.locator(".value").first.wait_for()
    return json.loads(response.value.request.post_data)["rows"][0]


def kept_rows(page, address):
    return [sample["row"] for sample in page.request.get(f"{address}/runs/all/samples").json()["samples"]]


def test_values_are_sent_in_their_types(open_page):
    page = open_page()
    page.get_by_label("my text", exact=True).fill("two words")
    page.get_by_label("my number", exact=True).fill("-1e3")
    page.get_by_label("my date", exact=True).fill("2024-02-29")
    page.get_by_label("my sequence", exact=True).fill("1 2.5 3 4 5\n3, 4, 5, 6, 7")
    page.get_by_label("my category", exact=True).select_option("harbour")
    press(page, "garden")
    press(page, "garage")
    press(page, "garden")
    assert sent_row(page) == {
        "my text": "two words", "my number": -1000, "my date": "2024-02-29",
        "my sequence": [[1, 2.5, 3, 4, 5], [3, 4, 5, 6, 7]], "my category": "harbour",
        "my categories": ["garage"],
    }  # fmt: skip


def test_pictures_come_from_the_camera_and_sound_from_the_microphone(open_page):
    page = open_page()
    press(page, "Camera for my image")
    press(page, "Microphone for my audio")
    take = page.get_by_role("button", name="Take the picture")
    take.and_(page.locator(":enabled")).wait_for()
    page.get_by_text("Recording, 1 s").wait_for()
    take.click()
    press(page, "Stop")
    page.get_by_label("my audio: recording.wav").wait_for()
    row = sent_row(page)
    assert {*row} == {"my image", "my audio"}
    kind, _, content = row["my image"].partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert kind == "data:image/png;base64" and len(picture.convert("RGB").getcolors(1 << 20)) > 1
    kind, _, content = row["my audio"].partition(",")
    with wave.open(io.BytesIO(base64.b64decode(content))) as sound:
        assert kind == "data:audio/wav;base64" and (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        seconds, samples = sound.getnframes() / sound.getframerate(), sound.readframes(sound.getnframes())
    assert 0.8 < seconds < 15 and any(samples)


def give(page, target, kind):
    """Drop or paste a picture on a control, as the browser does."""
    name = {"drop": "dataTransfer", "paste": "clipboardData"}[kind]
    event = {"drop": "DragEvent", "paste": "ClipboardEvent"}[kind]
    target.evaluate(
        f"""(element, content) => {{
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "{kind}.png", {{ type: "image/png" }}));
            element.dispatchEvent(new {event}("{kind}", {{ {name}: transfer, bubbles: true }}));
        }}""",
        base64.b64encode(RED.getvalue()).decode(),
    )
    page.get_by_role("img", name=f"my image: {kind}.png").wait_for()


def test_pictures_are_dropped_pasted_and_removed(open_page):
    page = open_page()
    control = page.get_by_role("group", name="my image")
    give(page, control, "drop")
    give(page, control, "paste")
    assert sent_row(page) == {"my image": [URI, URI]}
    press(page, "Remove drop.png")
    assert sent_row(page) == {"my image": URI}


def test_a_file_beyond_the_limit_is_not_sent(open_page):
    page = open_page()
    big = {"name": "big.mp4", "mimeType": "video/mp4", "buffer": bytes(2_500_000)}
    page.get_by_label("Choose a clip for my video").set_input_files(big)
    page.get_by_text("big.mp4 has 2.5 MB; this service reads at most 1.5 MB per file.").wait_for()


def test_examples_fill_the_form_and_the_history_brings_requests_back(open_page, address):
    page = open_page()
    kept = kept_rows(page, address)
    assert [len(row) for row in kept] == [9, 9]
    for number, row in enumerate(kept, start=1):
        page.get_by_role("button", name=f"Example {number}").click()
        assert sent_row(page) == row
    entries = page.get_by_role("list").filter(has=page.locator("time")).get_by_role("button")
    assert entries.count() == 2 and "EUR" in entries.last.inner_text()
    entries.last.click()
    assert page.get_by_label("my text", exact=True).input_value() == "a quiet street"
    assert page.get_by_role("img", name="my image: my_image.png").is_visible()


def test_shares_and_explanation_are_those_of_the_service(open_page, folder, accessible):
    page = open_page(width=390)
    page.get_by_label("Choose a picture for my image").set_input_files(folder / "0.png")
    page.get_by_label("my text", exact=True).fill("a quiet street")
    sent_row(page)
    with page.expect_response("**/predict") as response:
        press(page, "Compute contributions")
    [answer] = response.value.json()["answers"]
    bars = page.get_by_role("region", name="Answer").locator(".bars.both")
    bars.first.wait_for()
    shown = dict(text.split("\n") for text in bars.first.locator("li").all_inner_texts())
    shares = answer["shares"]["kind"]
    assert shown.keys() == shares.keys() == {"my text", "my image"}
    assert {name: text[1:] for name, text in shown.items()} == {
        name: f"{abs(100 * share):.1f} points" for name, share in shares.items()
    }
    assert " EUR" in bars.last.inner_text()
    press(page, "Explain this answer")
    explained = page.locator(".explained")
    explained.get_by_text("How to read this").first.wait_for()
    assert explained.get_by_text("quiet").first.is_visible()
    heat = explained.locator("img")
    assert heat.count() >= 2 and heat.first.evaluate("(image) => image.naturalWidth") > 0
    accessible(page)


def test_search_shows_the_nearest_rows(open_page, accessible):
    page = open_page(width=390)
    page.get_by_label("Run", exact=True).select_option("space")
    page.get_by_label("note", exact=True).fill(NOTES[1])
    page.get_by_label("Only rows where").fill("bedrooms > 1")
    with page.expect_response("**/search") as response:
        press(page, "Search")
    hits = response.value.json()["hits"]
    cards = page.locator(".card")
    cards.first.wait_for()
    assert cards.count() == len(hits) > 0 and 1 not in {hit["row"] for hit in hits}
    best = " ".join(cards.first.inner_text().split())
    assert best.startswith(f"Row {hits[0]['row']} {hits[0]['input']}, score {hits[0]['score']:.3f}")
    assert NOTES[hits[0]["row"] - 1] in best
    picture = next(hit["row"] for hit in hits if hit["preview"])
    assert page.get_by_role("img", name=f"Picture of row {picture}").first.is_visible()
    accessible(page)


def test_a_report_is_shown_in_its_tab(open_page):
    page = open_page()
    page.get_by_role("tab", name="Report").click()
    page.frame_locator("iframe").get_by_role("heading", name="Report of all").wait_for()


def test_the_lines_of_every_route_run(open_page, address, tmp_path):
    page = open_page()
    kept = kept_rows(page, address)[1]
    page.get_by_role("button", name="Example 2").click()
    for name, suffix in (("image", "png"), ("audio", "wav"), ("video", "mp4")):
        content = kept[f"my {name}"].partition(",")[2]
        (tmp_path / f"my_{name}.{suffix}").write_bytes(base64.b64decode(content))
    page.get_by_role("tab", name="API").click()
    assert len(run_lines(page, "Predict", tmp_path)["answers"]) == 1
    assert len(run_lines(page, "Vectors", tmp_path)["vectors"]) == 1
    page.get_by_role("tab", name="Predict").click()
    for name in set(kept) - {"my image", "my text"}:  # the explanation of all takes long
        page.get_by_role("switch", name=f"Leave out {name}", exact=True).check()
    page.get_by_role("tab", name="API").click()
    explained = run_lines(page, "Explain", tmp_path)["answers"][0]
    assert set(explained["inputs"]) == {"my image", "my text"}


def run_lines(page, route, folder):
    """What the service answers to the lines for Python; those for a shell are answered as well."""
    press(page, route)
    code, shell = (
        page.get_by_label(name, exact=True).locator("code").inner_text() for name in ("Python", "curl")
    )
    printed = code.replace("print(response.json())", "print(response.text)")
    answers = []
    for line in ([sys.executable, "-c", printed], ["bash", "-c", shell.replace("curl", "curl -s", 1)]):
        done = subprocess.run(
            line, cwd=folder, env={**os.environ, "no_proxy": "127.0.0.1"}, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    assert answers[0].keys() == answers[1].keys()
    return answers[0]


@pytest.mark.parametrize("token", [None, "a token"])
def test_the_lines_of_a_chat_run(open_page, runs, address, token):
    def described(route):
        route.fulfill(json=route.fetch().json() | {"token": token is not None})

    pytest.importorskip("openai", reason="openai is not installed")
    page = open_page(routes={"/runs": described})
    page.get_by_label("Run", exact=True).select_option("talks")
    page.get_by_role("tab", name="API").click()
    code = page.get_by_label("Chat in Python", exact=True).locator("code").inner_text()
    assert address in code and ("POLYMODAL_TOKEN" in code) == (token is not None)
    given = {**os.environ, "no_proxy": "127.0.0.1"} | ({"POLYMODAL_TOKEN": token} if token else {})
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == runs["talks"].chat([{"role": "user", "content": "Hello"}]).strip() != ""


def test_a_chat_streams_with_attachments(open_page, folder, accessible):
    page = open_page(width=390)
    page.get_by_label("Run", exact=True).select_option("talks")
    message = page.get_by_label("Message", exact=True)
    files = [folder / f"0.{suffix}" for suffix in ("png", "wav", "mp4")]
    page.get_by_label("Attach files").set_input_files(files)
    page.get_by_role("img", name="Attachment: 0.png").wait_for()
    answers, sent = page.locator(".turns .assistant p"), []
    for number, text in enumerate(("What is it?", "Is there a lift?"), start=1):
        message.fill(text)
        with page.expect_response("**/v1/chat/completions") as response:
            message.press("Enter")
        assert response.value.headers["content-type"].startswith("text/event-stream")
        sent.append(json.loads(response.value.request.post_data)["messages"])
        page.get_by_role("button", name="Send").wait_for()
        assert answers.count() == number and answers.last.inner_text().strip()
    parts = [part["type"] for part in sent[0][0]["content"]]
    assert parts == ["image_url", "input_audio", "video_url", "text"]
    assert sent[1][:2] == [*sent[0], {"role": "assistant", "content": answers.first.text_content()}]
    accessible(page)


def test_a_stream_that_ends_early_is_named_and_not_sent_again(open_page):
    sent = []

    def complete(route):
        sent.append(json.loads(route.request.post_data)["messages"])
        piece = json.dumps({"choices": [{"delta": {"content": "A red"}}]})
        route.fulfill(body=f"data: {piece}\n\n", content_type="text/event-stream")

    page = open_page()
    page.get_by_label("Run", exact=True).select_option("talks")
    page.route("**/v1/chat/completions", complete)
    for _ in range(2):
        page.get_by_label("Message", exact=True).fill("Sure?")
        press(page, "Send")
        page.get_by_text("The answer ended early").last.wait_for()
    assert sent == 2 * [[{"role": "user", "content": "Sure?"}]]


def test_an_answer_in_words_is_stopped(open_page, runs, monkeypatch):
    model, steps = runs["talks"].model, []
    forward = model.language_model.forward

    def slow(*arguments, **options):
        steps.append(1)
        time.sleep(0.05)
        return forward(*arguments, **options)

    monkeypatch.setattr(model.language_model, "forward", slow)
    monkeypatch.setattr(model.generation_config, "min_new_tokens", 190)
    monkeypatch.setattr(model.generation_config, "max_new_tokens", 190)
    page = open_page()
    page.get_by_label("Run", exact=True).select_option("talks")
    page.get_by_label("Message", exact=True).fill("Go on")
    press(page, "Send")
    page.locator(".turns .assistant p:not(.soft)").wait_for()
    press(page, "Stop")
    page.get_by_text("Stopped.").wait_for()
    assert page.get_by_role("button", name="Send").is_visible()
    time.sleep(0.5)
    count = len(steps)
    time.sleep(0.3)
    assert len(steps) == count < 190


def test_a_service_with_a_token_is_opened_by_it_once(open_page, accessible):
    tokens = []

    def session(route):
        tokens.append(json.loads(route.request.post_data)["token"])
        wrong = {"error": {"message": "the token is wrong", "problems": []}}
        route.fulfill(json={}) if tokens[-1] == "right" else route.fulfill(status=401, json=wrong)

    def runs(route):
        allowed = tokens[-1:] == ["right"]
        route.fulfill(json={"version": "1", "limits": {}, "runs": [TALKS]}) if allowed else route.fulfill(
            status=401, json={"error": {"message": "no"}}
        )

    page = open_page(routes={"/runs": runs, "/session": session}, expected=("401",))
    accessible(page)
    field = page.get_by_label("Token")
    field.fill("wrong")
    press(page, "Continue")
    page.get_by_text("This is not the token of this server.").wait_for()
    field.fill("right")
    press(page, "Continue")
    page.get_by_role("tab", name="Chat").wait_for()
    assert tokens == ["wrong", "right"]
