"""Every kind of control of the page, over a described run that has them all: what they send."""

import base64
import io
import json
import wave

import pytest
from PIL import Image

RED = io.BytesIO()
Image.new("RGB", (24, 16), (200, 30, 30)).save(RED, "PNG")
URI = "data:image/png;base64," + base64.b64encode(RED.getvalue()).decode()
SIMPLE = {"text": None, "number": None, "date": None, "sequence": None}
INPUTS = [
    *({"name": f"my {kind}", "modality": kind, "choices": None, "accept": None} for kind in SIMPLE),
    {"name": "my category", "modality": "category", "choices": ["hill", "harbour"], "accept": None},
    {"name": "my labels", "modality": "categories", "choices": ["garden", "garage"], "accept": None},
    {"name": "my image", "modality": "image", "choices": None, "accept": "image/*"},
    {"name": "my audio", "modality": "audio", "choices": None, "accept": "audio/*"},
    {"name": "my video", "modality": "video", "choices": None, "accept": "video/*"},
]
TARGETS = [
    {"name": "kind", "task": "classification", "classes": ["flat", "house"], "unit": None},
    {"name": "price", "task": "regression", "classes": None, "unit": "EUR"},
]
RUN = {"name": "all", "kind": "heads", "metric": None, "targets": TARGETS, "inputs": INPUTS, "samples": 2}
WORDS = {
    "name": "talks", "kind": "language", "metric": None, "samples": 0, "capabilities": ["chat"],
    "targets": [{"name": "reply", "task": "generation", "classes": None, "unit": None}],
    "inputs": [INPUTS[6], INPUTS[7]],
}  # fmt: skip
LIMITS = {"body_bytes": 2_000_000, "rows": 10}
ANSWER = {
    "values": {"kind": "house", "price": 231845.0}, "probabilities": {"kind": {"house": 0.7, "flat": 0.3}},
    "intervals": {"price": [187000.0, 280000.0]}, "missing": [], "warnings": [],
}  # fmt: skip
SHARES = {"kind": {"my text": 0.25, "my image": -0.05}, "price": {"my text": 45000.0}}
SAMPLES = [
    {"row": {"my text": "first", "my number": 2, "my labels": ["garage"], "my image": URI}, "answer": ANSWER},
    {"row": {"my text": "second", "my sequence": [[1, 2], [3, 4.5]]}, "answer": ANSWER},
]


def described(*runs):
    return lambda route: route.fulfill(json={"version": "1", "limits": LIMITS, "runs": runs})


class Service:
    """Stands for the routes that a fitted run is not needed for; keeps what the page sends."""

    def __init__(self):
        self.sent = []

    def predict(self, route):
        body = json.loads(route.request.post_data)
        self.sent.append(body)
        shares = {"shares": SHARES} if body.get("shares") else {}
        route.fulfill(json={"run": "all", "answers": [ANSWER | shares]})

    @property
    def routes(self):
        run = RUN | {"capabilities": ["predict", "search", "explain"]}
        return {
            "/runs": described(run, WORDS),
            "/runs/all/samples": lambda route: route.fulfill(json={"samples": SAMPLES}),
            "/predict": self.predict,
        }


@pytest.fixture
def service():
    return Service()


def press(page, name="Predict"):
    page.get_by_role("button", name=name, exact=True).click()


def last_row(page, service):
    """Predict, and the row that was sent."""
    count = len(service.sent)
    press(page)
    page.locator(".value").first.wait_for()
    assert len(service.sent) == count + 1
    return service.sent[-1]["rows"][0]


def test_values_are_sent_in_their_types(open_page, service):
    page = open_page(routes=service.routes)
    page.get_by_label("my text", exact=True).fill("two words")
    page.get_by_label("my number", exact=True).fill("-1e3")
    page.get_by_label("my date", exact=True).fill("2024-02-29")
    page.get_by_label("my sequence", exact=True).fill("1 2.5\n3, 4")
    page.get_by_label("my category", exact=True).select_option("harbour")
    press(page, "garden")
    press(page, "garage")
    press(page, "garden")
    assert last_row(page, service) == {
        "my text": "two words", "my number": -1000, "my date": "2024-02-29",
        "my sequence": [[1, 2.5], [3, 4]], "my category": "harbour", "my labels": ["garage"],
    }  # fmt: skip


def test_pictures_come_from_the_camera_and_sound_from_the_microphone(open_page, service):
    page = open_page(routes=service.routes)
    press(page, "Camera for my image")
    press(page, "Microphone for my audio")
    take = page.get_by_role("button", name="Take the picture")
    take.and_(page.locator(":enabled")).wait_for()
    page.get_by_text("Recording, 1 s").wait_for()
    take.click()
    press(page, "Stop")
    page.get_by_label("my audio: recording.wav").wait_for()
    row = last_row(page, service)
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


def test_pictures_are_dropped_pasted_and_removed(open_page, service):
    page = open_page(routes=service.routes)
    control = page.get_by_role("group", name="my image")
    give(page, control, "drop")
    give(page, control, "paste")
    assert last_row(page, service) == {"my image": [URI, URI]}
    press(page, "Remove drop.png")
    assert last_row(page, service) == {"my image": URI}


def test_a_file_beyond_the_limit_is_not_sent(open_page, service):
    page = open_page(routes=service.routes)
    big = {"name": "big.mp4", "mimeType": "video/mp4", "buffer": bytes(2_500_000)}
    page.get_by_label("Choose a clip for my video").set_input_files(big)
    page.get_by_text("big.mp4 has 2.5 MB; this service reads at most 1.5 MB per file.").wait_for()


def test_examples_fill_the_form_and_the_history_brings_requests_back(open_page, service):
    page = open_page(routes=service.routes)
    page.get_by_role("button", name="Example 1").click()
    assert last_row(page, service) == SAMPLES[0]["row"]
    page.get_by_role("button", name="Example 2").click()
    assert last_row(page, service) == SAMPLES[1]["row"]
    entries = page.get_by_role("list").filter(has=page.locator("time")).get_by_role("button")
    assert entries.count() == 2
    entries.last.click()
    assert page.get_by_label("my text", exact=True).input_value() == "first"
    assert page.get_by_role("img", name="my image: my_image.png").is_visible()


def test_the_answer_has_probabilities_interval_and_shares(open_page, service, accessible):
    page = open_page(routes=service.routes, width=390)
    page.get_by_role("button", name="Example 1").click()
    press(page)
    answer = page.get_by_role("region", name="Answer")
    answer.get_by_text("between 187,000 and 280,000 EUR").wait_for()
    press(page, "Compute contributions")
    bars = answer.locator(".bars.both")
    bars.first.wait_for()
    assert bars.first.inner_text().split("\n") == ["my text", "+0.25", "my image", "−0.05"]
    assert "+45,000 EUR" in bars.last.inner_text()
    accessible(page)


def test_an_explanation_is_shown_with_its_own_styles(open_page, service):
    html = (
        "<style>:root { --for: rgb(1, 2, 3); } i { display: block; background: var(--for); }</style><main>"
        '<h1>t</h1><h2>Row 1</h2><i id="bar" style="width:37px">x</i><script>window.wasRun = 1</script>'
        "<h2>How</h2><p>So.</p></main>"
    )
    accepted = []

    def explain(route):
        accepted.append(route.request.headers["accept"])
        route.fulfill(body=html, content_type="text/html")

    page = open_page(routes=service.routes | {"/explain": explain})
    press(page)
    press(page, "Explain this answer")
    bar = page.locator("#bar")
    bar.wait_for()
    style = bar.evaluate("(bar) => [getComputedStyle(bar).width, getComputedStyle(bar).backgroundColor]")
    assert style == ["37px", "rgb(1, 2, 3)"] and accepted == ["text/html"]
    assert page.evaluate("window.wasRun") is None


def test_search_shows_the_nearest_rows(open_page, service, accessible):
    sent = []

    def search(route):
        sent.append(json.loads(route.request.post_data))
        hit = {
            "row": 7,
            "score": 0.91,
            "input": None,
            "values": {"price": 1234.5, "note": None},
            "preview": URI,
        }
        route.fulfill(json={"index": "houses", "hits": [hit]})

    page = open_page(routes=service.routes | {"/search": search}, width=390)
    page.get_by_role("tab", name="Search").click()
    page.get_by_label("my text", exact=True).fill("quiet")
    page.get_by_label("Only rows where").fill("price > 1000")
    press(page, "Search")
    page.get_by_role("img", name="Picture of row 7").wait_for()
    assert sent == [{"row": {"my text": "quiet"}, "limit": 10, "where": "price > 1000"}]
    shown = " ".join(page.locator(".card").inner_text().split())
    assert shown == "Row 7 score 0.910 price 1,235 note missing"
    accessible(page)


def test_a_chat_streams_with_attachments(open_page, service, accessible):
    sent = []

    def complete(route):
        sent.append(json.loads(route.request.post_data))
        pieces = [{"choices": [{"delta": {"content": piece}}]} for piece in ("A red ", "wall.")]
        events = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
        end = "" if len(sent) == 2 else "data: [DONE]\n\n"
        route.fulfill(body=events + end, content_type="text/event-stream")

    page = open_page(routes=service.routes | {"/v1/chat/completions": complete}, width=390)
    page.get_by_label("Run", exact=True).select_option("talks")
    message = page.get_by_label("Message", exact=True)
    page.get_by_label("Attach files").set_input_files(
        {"name": "wall.png", "mimeType": "image/png", "buffer": RED.getvalue()}
    )
    page.get_by_role("img", name="Attachment: wall.png").wait_for()
    for text in ("What is it?", "Sure?", "Really?"):
        message.fill(text)
        message.press("Enter")
        page.get_by_role("button", name="Send").wait_for()
    first, _, third = sent
    image = {"type": "image_url", "image_url": {"url": URI}}
    question = {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}
    assert first == {"model": "talks", "stream": True, "messages": [question]}
    page.get_by_text("The answer ended early").wait_for()
    kept = [question, {"role": "assistant", "content": "A red wall."}, {"role": "user", "content": "Really?"}]
    assert third["messages"] == kept
    accessible(page)


def test_an_answer_in_words_is_stopped(open_page, service):
    stopped = []
    page = open_page(routes=service.routes | {"/v1/chat/completions": lambda route: stopped.append(route)})
    page.on("requestfailed", lambda request: stopped.append(request.failure))
    page.get_by_label("Run", exact=True).select_option("talks")
    page.get_by_label("Message", exact=True).fill("Go on")
    press(page, "Send")
    press(page, "Stop")
    page.get_by_text("Stopped.").wait_for()
    assert "net::ERR_ABORTED" in stopped and page.get_by_role("button", name="Send").is_visible()


def test_a_service_with_a_token_is_opened_by_it_once(open_page, service, accessible):
    tokens = []

    def session(route):
        tokens.append(json.loads(route.request.post_data)["token"])
        wrong = {"error": {"message": "the token is wrong", "problems": []}}
        route.fulfill(json={}) if tokens[-1] == "right" else route.fulfill(status=401, json=wrong)

    def runs(route):
        allowed = tokens[-1:] == ["right"]
        described(WORDS)(route) if allowed else route.fulfill(status=401, json={"error": {"message": "no"}})

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
